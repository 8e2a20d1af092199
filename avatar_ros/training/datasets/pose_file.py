# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""``poses.npz`` of a capture folder: how the person moved, in our names or those of SMPL files."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

# The tables of motion files: a capture holds the same fields.
from avatar_ros.avatars.motion import _FIELDS, _WHOLE_POSE
from avatar_ros.body.skeletons import SMPL, SMPLX, Skeleton
from avatar_ros.training.capture import CaptureError, Poses
from avatar_ros.types import Array, FloatArray


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an ``.npz``; never unpickles.

    :raises CaptureError: if it is missing, damaged, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except FileNotFoundError as error:
        raise CaptureError(
            f'{path}: no such file. A capture needs it; see docs/captures.md.'
        ) from (error)
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise CaptureError(
            f'{path}: cannot be read ({error}); expected an .npz of numbers and names, no objects. '
            'Copy or write it again.'
        ) from error


def parse_poses(path: Path, arrays: dict[str, Array], skeleton: str | None = None) -> Poses:
    """The poses in the arrays of a file; `skeleton` is what the manifest says, if it does.

    :raises CaptureError: if a field is missing, has a wrong shape or is not finite.
    """
    rotvecs, found = _rotvecs(path, arrays)
    if skeleton is not None and skeleton != found.name:
        raise CaptureError(
            f'{path}: holds poses of {found.name} ({len(found)} joints); capture.json says '
            f'{skeleton!r}. Give poses of one skeleton.'
        )
    count = len(rotvecs)
    key = next((k for k in ('translations', 'transl', 'trans') if k in arrays), None)
    if key is None:
        raise CaptureError(f'{path}: has neither translations nor transl (T, 3).')
    translations = numbers(path, key, arrays)
    if translations.shape != (count, 3):
        raise CaptureError(f'{path}: {key} have shape {translations.shape}; expected ({count}, 3).')
    bad = ~np.isfinite(rotvecs).all((1, 2)) | ~np.isfinite(translations).all(1)
    if bad.any():
        raise CaptureError(
            f'{path}: pose {int(bad.argmax())} is not finite ({int(bad.sum())} of {count}). '
            'Leave these instants out.'
        )
    names = tuple(map(str, arrays.get('names', [f'{i:06d}' for i in range(count)])))
    if len(names) != count or not count:
        raise CaptureError(f'{path}: {len(names)} names for {count} poses; expected one for each.')
    if len(set(names)) != count:
        twice = next(name for name in names if names.count(name) > 1)
        raise CaptureError(f'{path}: the name {twice!r} is given twice; expected distinct names.')
    expression = None
    if 'expression' in arrays:
        expression = numbers(path, 'expression', arrays)
        if expression.ndim != 2 or len(expression) != count or not np.isfinite(expression).all():
            raise CaptureError(
                f'{path}: expression has shape {expression.shape}; expected ({count}, E), finite.'
            )
    return Poses(found, names, rotvecs, translations, expression)


def numbers(path: Path, key: str, arrays: dict[str, Array]) -> FloatArray:
    """A field as float64.

    :raises CaptureError: if it holds no numbers.
    """
    try:
        return np.asarray(arrays[key], dtype=float)
    except (TypeError, ValueError) as error:
        raise CaptureError(f'{path}: {key} holds no numbers ({error}).') from error


def write_poses(path: Path, poses: Poses, **extra: Array) -> None:
    """Write a ``poses.npz``; `extra` may be betas, minimal_shape, rest_joints, ..."""
    fields: dict[str, Array] = {
        'names': np.array(poses.names),
        'rotvecs': poses.rotvecs,
        'translations': poses.translations,
        **extra,
    }
    if poses.expression is not None:
        fields['expression'] = poses.expression
    np.savez_compressed(path, **fields)  # type: ignore[arg-type]


def _rotvecs(path: Path, arrays: dict[str, Array]) -> tuple[FloatArray, Skeleton]:
    """(T, J, 3), and whose they are."""
    if 'rotvecs' in arrays:
        rotvecs = numbers(path, 'rotvecs', arrays)
        joints = rotvecs.shape[1] if rotvecs.ndim == 3 and rotvecs.shape[2] == 3 else 0
        found = {len(s): s for s in (SMPL, SMPLX)}.get(joints)
        if found is None:
            raise CaptureError(
                f'{path}: rotvecs have shape {rotvecs.shape}; expected (T, {len(SMPL)}, 3) for '
                f'SMPL or (T, {len(SMPLX)}, 3) for SMPL-X.'
            )
        return rotvecs, found
    if 'poses' in arrays:
        whole = numbers(path, 'poses', arrays)
        whole = whole.reshape(len(whole), -1) if whole.ndim else whole.reshape(0, 0)
        if whole.shape[1] not in _WHOLE_POSE:
            raise CaptureError(
                f'{path}: poses have {whole.shape[1]} columns; expected 72 (SMPL), 156 (SMPL-H) '
                'or 165 (SMPL-X).'
            )
        skeleton = SMPL if whole.shape[1] == 3 * len(SMPL) else SMPLX
        rotvecs = np.zeros((len(whole), len(skeleton), 3))
        rotvecs[:, skeleton.rows(_WHOLE_POSE[whole.shape[1]])] = whole.reshape(len(whole), -1, 3)
        return rotvecs, skeleton
    return _from_fields(path, arrays)


def _from_fields(path: Path, arrays: dict[str, Array]) -> tuple[FloatArray, Skeleton]:
    root = next((k for k in ('global_orient', 'root_orient') if k in arrays), None)
    body = next((k for k in ('body_pose', 'pose_body') if k in arrays), None)
    if root is None or body is None:
        raise CaptureError(
            f'{path}: has neither rotvecs (T, J, 3) nor global_orient and body_pose; it has '
            f'{", ".join(sorted(arrays)) or "nothing"}.'
        )
    count = numbers(path, root, arrays).size // 3
    if numbers(path, body, arrays).size == count * 3 * (len(SMPL) - 1):
        parts = [numbers(path, key, arrays).reshape(count, -1, 3) for key in (root, body)]
        return np.concatenate(parts, axis=1), SMPL
    rotvecs = np.zeros((count, len(SMPLX), 3))
    for names, joints in _FIELDS.items():
        for name in names:
            if name not in arrays:
                continue
            value = numbers(path, name, arrays)
            if value.size != count * len(joints) * 3:
                raise CaptureError(
                    f'{path}: {name} has shape {value.shape}; expected ({count}, '
                    f'{len(joints) * 3}) rotation vectors (no PCA of the hands).'
                )
            rotvecs[:, SMPLX.rows(joints)] = value.reshape(count, -1, 3)
    return rotvecs, SMPLX
