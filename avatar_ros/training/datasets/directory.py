# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A capture as a folder that a lab can make by itself.

::

    cameras.json    {"cam00": {"width", "height", "K": 3x3, "T_camera_world": 4x4, "distortion"}}
    poses.npz       names (T,); rotvecs (T, J, 3) and translations (T, 3), or the fields of SMPL
                    and SMPL-X files (global_orient, body_pose, ..., transl); optional betas,
                    expression (T, E) with expression_names, minimal_shape (V, 3), rest_joints
    images/<camera>/<name>.png      masks/<camera>/<name>.png      parts/<camera>/<name>.png
    capture.json    optional: name, licence, fps, skeleton, body_model, splits

World: metres, any axes. OpenCV cameras, pixel centres at half integers. Docs: docs/captures.md.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.body.model import BodyModel, free_body, load_body_model
from avatar_ros.body.skeletons import SMPL, SMPLX, Skeleton
from avatar_ros.geometry import Camera
from avatar_ros.training.capture import SPLITS, Capture, CaptureError, Poses, Shot, Subject
from avatar_ros.types import Array, FloatArray

FORMAT = 'avatar_ros.capture'
_FREE = {'free_smplx': 'smplx', 'free_smpl': 'smpl'}
#: Fields of SMPL and SMPL-X files: name -> joints.
_FIELDS = {
    'global_orient': ('pelvis',),
    'body_pose': SMPLX.joints[1:22],
    'jaw_pose': ('jaw',),
    'leye_pose': ('left_eye_smplhf',),
    'reye_pose': ('right_eye_smplhf',),
    'left_hand_pose': SMPLX.joints[25:40],
    'right_hand_pose': SMPLX.joints[40:55],
}
_EXTENSIONS = ('.png', '.jpg', '.jpeg')


def load_directory(path: str | Path, body_model: str | Path | None = None) -> Capture:
    """The capture in a folder; the pictures are not opened yet.

    :raises CaptureError: if something is missing or does not fit together.
    """
    folder = Path(path)
    manifest = _json(folder / 'capture.json') if (folder / 'capture.json').exists() else {}
    if manifest.get('format', FORMAT) != FORMAT:
        raise CaptureError(f'{folder}/capture.json: format is {manifest["format"]!r}; {FORMAT!r}.')
    arrays = _npz(folder / 'poses.npz')
    poses = _poses(folder / 'poses.npz', arrays, manifest.get('skeleton'))
    model = _model(folder, body_model or manifest.get('body_model'), poses.skeleton)
    cameras = read_cameras(folder / 'cameras.json')
    shots, skipped = _shots(folder, cameras, poses)
    return Capture(
        name=str(manifest.get('name', folder.resolve().name)),
        licence=str(manifest.get('licence', 'not stated')),
        subject=_subject(folder / 'poses.npz', arrays, model),
        poses=poses,
        shots=shots,
        splits=_splits(folder, manifest.get('splits'), shots, len(poses)),
        fps=float(manifest.get('fps', 30.0)),
        skipped=tuple(skipped),
    )


def read_cameras(path: Path) -> dict[str, Camera]:
    """The cameras of a ``cameras.json``.

    :raises CaptureError: naming the camera and the field that is wrong.
    """
    result = {}
    for name, values in _json(path).items():
        try:
            T = np.array(values['T_camera_world'], float)
            K, distortion = np.array(values['K'], float), values.get('distortion', [])
            if T.shape != (4, 4) or not np.isfinite(T).all():
                raise ValueError(f'T_camera_world has shape {T.shape}; expected 4x4 numbers')
            if abs(np.linalg.det(T[:3, :3]) - 1) > 1e-2:
                raise ValueError('T_camera_world is no rotation and translation')
            size = int(values['width']), int(values['height'])
            result[name] = Camera(K, *size, T, np.array(distortion, float), name)
        except (KeyError, TypeError, ValueError) as error:
            raise CaptureError(
                f'{path}: camera {name!r}: {error}. Expected width, height, K (3x3), '
                'T_camera_world (4x4, world to camera) and optionally distortion.'
            ) from error
    if not result:
        raise CaptureError(f'{path}: has no cameras.')
    return result


def write_cameras(path: Path, cameras: Mapping[str, Camera]) -> None:
    """Write a ``cameras.json``."""
    values = {
        name: {
            'width': c.width,
            'height': c.height,
            'K': c.K.tolist(),
            'T_camera_world': c.T_camera_world.tolist(),
            'distortion': c.distortion.tolist(),
        }
        for name, c in cameras.items()
    }
    path.write_text(json.dumps(values, indent=1) + '\n')


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


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise CaptureError(
            f'{path}: cannot be read ({error.strerror}). A capture is a folder with images/, '
            'masks/, cameras.json and poses.npz; see docs/captures.md.'
        ) from error
    except ValueError as error:
        raise CaptureError(f'{path}: is not JSON ({error}).') from error
    if not isinstance(values, dict):
        raise CaptureError(f'{path}: holds a {type(values).__name__}; expected an object.')
    return values


def _npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise CaptureError(
            f'{path}: cannot be read ({error}); expected arrays of numbers, no objects.'
        ) from error


def _poses(path: Path, arrays: dict[str, Array], skeleton_name: str | None) -> Poses:
    translations = arrays.get('translations', arrays.get('transl'))
    if translations is None:
        raise CaptureError(f'{path}: has neither translations nor transl (T, 3).')
    if 'rotvecs' in arrays:
        rotvecs = np.asarray(arrays['rotvecs'], float)
        count = rotvecs.shape[1] if rotvecs.ndim == 3 else 0
        found = {len(s): s for s in (SMPL, SMPLX)}.get(count)
        if found is None:
            raise CaptureError(
                f'{path}: rotvecs have shape {rotvecs.shape}; expected (T, 24, 3) for SMPL or '
                '(T, 55, 3) for SMPL-X.'
            )
    else:
        found, rotvecs = _from_fields(path, arrays)
    if skeleton_name is not None and skeleton_name != found.name:
        raise CaptureError(
            f'{path}: holds poses of {found.name} ({len(found)} joints); capture.json says '
            f'{skeleton_name!r}. Give poses of one skeleton.'
        )
    translations = np.asarray(translations, float)
    if translations.shape != (len(rotvecs), 3):
        raise CaptureError(
            f'{path}: translations have shape {translations.shape}; expected ({len(rotvecs)}, 3).'
        )
    if not (np.isfinite(rotvecs).all() and np.isfinite(translations).all()):
        bad = np.flatnonzero(~np.isfinite(rotvecs).all((1, 2)) | ~np.isfinite(translations).all(1))
        raise CaptureError(f'{path}: pose {bad[0]} is not finite. Leave its instant out.')
    names = arrays.get('names', np.array([f'{i:06d}' for i in range(len(rotvecs))]))
    if len(names) != len(rotvecs):
        raise CaptureError(f'{path}: {len(names)} names for {len(rotvecs)} poses.')
    expression = arrays.get('expression')
    if expression is not None and (expression.ndim != 2 or len(expression) != len(rotvecs)):
        raise CaptureError(f'{path}: expression has shape {expression.shape}; expected (T, E).')
    return Poses(found, tuple(map(str, names)), rotvecs, translations, expression)


def _from_fields(path: Path, arrays: dict[str, Array]) -> tuple[Skeleton, FloatArray]:
    if 'global_orient' not in arrays or 'body_pose' not in arrays:
        raise CaptureError(
            f'{path}: has neither rotvecs (T, J, 3) nor global_orient and body_pose; it has '
            f'{", ".join(sorted(arrays)) or "nothing"}.'
        )
    count = len(arrays['global_orient'])
    body = np.asarray(arrays['body_pose'], float).reshape(count, -1, 3)
    if body.shape[1] == len(SMPL) - 1:
        first = np.asarray(arrays['global_orient'], float).reshape(count, 1, 3)
        return SMPL, np.concatenate([first, body], axis=1)
    rotvecs = np.zeros((count, len(SMPLX), 3))
    for name, joints in _FIELDS.items():
        if name in arrays:
            value = np.asarray(arrays[name], float)
            if value.size != count * len(joints) * 3:
                raise CaptureError(
                    f'{path}: {name} has shape {value.shape}; expected ({count}, '
                    f'{len(joints) * 3}) rotation vectors (no PCA of the hands).'
                )
            rotvecs[:, SMPLX.rows(joints)] = value.reshape(count, -1, 3)
    return SMPLX, rotvecs


def _model(folder: Path, named: str | Path | None, skeleton: Skeleton) -> BodyModel:
    if named is None:
        return free_body(skeleton.name)
    if str(named) in _FREE:
        model = free_body(_FREE[str(named)])
    else:
        given = Path(named)
        model = load_body_model(given if given.is_absolute() else folder / given)
    if model.skeleton is not skeleton:
        raise CaptureError(
            f'{folder}: poses are of {skeleton.name}, the body model is {model.skeleton.name}. '
            'Give a body model of the same kind (--body-model).'
        )
    return model


def _subject(path: Path, arrays: dict[str, Array], model: BodyModel) -> Subject:
    betas = arrays.get('betas')
    if betas is not None:
        betas = np.asarray(betas, float).reshape(-1, betas.shape[-1])[0]
    vertices, joints = model.rest_vertices(betas), model.rest_joints(betas)
    if 'minimal_shape' in arrays:
        vertices = np.asarray(arrays['minimal_shape'], float)
        if vertices.shape != model.template.shape:
            raise CaptureError(
                f'{path}: minimal_shape is {vertices.shape}; the body model has '
                f'{model.template.shape}. Give the model that it was made with (--body-model).'
            )
        joints = model.joint_regressor @ vertices
    if 'rest_joints' in arrays:
        joints = np.asarray(arrays['rest_joints'], float)
        if joints.shape != (len(model.skeleton), 3):
            raise CaptureError(f'{path}: rest_joints have shape {joints.shape}.')
    wanted = tuple(map(str, arrays.get('expression_names', ())))
    dirs = None
    if wanted:
        unknown = set(wanted) - set(model.expression_names)
        if unknown:
            raise CaptureError(
                f'{path}: the body model has no expression {sorted(unknown)[0]!r}; it has '
                f'{", ".join(model.expression_names[:3]) or "none by name"} ...'
            )
        rows = [model.expression_names.index(name) for name in wanted]
        dirs = model.expression_dirs[:, :, rows]
    return Subject(model.skeleton, vertices, model.faces, model.weights, joints, wanted, dirs)


def _shots(
    folder: Path, cameras: Mapping[str, Camera], poses: Poses
) -> tuple[tuple[Shot, ...], list[str]]:
    images = folder / 'images'
    if not images.is_dir():
        raise CaptureError(f'{images}: no such folder; expected images/<camera>/<name>.png.')
    present = sorted(p.name for p in images.iterdir() if p.is_dir())
    unknown = sorted(set(present) - set(cameras))
    if unknown or not present:
        raise CaptureError(
            f'{folder}: images/ has {len(present)} cameras, cameras.json {len(cameras)}; '
            f'not calibrated: {", ".join(unknown) or "(none)"}. Every folder of images/ needs '
            'an entry of its name.'
        )
    shots, skipped = (
        [],
        [f'{folder}/images/{n}: no such folder' for n in cameras if n not in present],
    )
    for name in present:
        files = {p.stem: p for p in sorted((images / name).iterdir()) if p.suffix in _EXTENSIONS}
        masks, parts = folder / 'masks' / name, folder / 'parts' / name
        for row, instant in enumerate(poses.names):
            image = files.get(instant)
            if image is None:
                skipped.append(f'{images / name / instant}: no picture')
                continue
            mask = _beside(masks, instant)
            if mask is None and masks.is_dir():
                skipped.append(f'{masks / instant}: no mask')
                continue
            part = _beside(parts, instant)
            shots.append(Shot(row, name, cameras[name], image, mask, parts=part))
    if not shots:
        raise CaptureError(
            f'{folder}: no picture has the name of a pose; poses.npz names '
            f'{poses.names[0]!r} .. {poses.names[-1]!r}.'
        )
    if not (folder / 'masks').is_dir():
        with_alpha = shots[0].image.suffix == '.png'
        if not with_alpha:
            raise CaptureError(
                f'{folder}/masks: no such folder. Masks are needed (white = person, one for each '
                'picture); `avatar_ros capture from-video` makes them.'
            )
    return tuple(shots), skipped


def _beside(folder: Path, name: str) -> Path | None:
    for extension in _EXTENSIONS:
        path = folder / f'{name}{extension}'
        if path.exists():
            return path
    return None


def _splits(
    folder: Path, given: Any, shots: Sequence[Shot], instants: int
) -> dict[str, tuple[int, ...]]:
    cameras = sorted({shot.camera_name for shot in shots})
    if given is None:
        # The last camera and the last fifth of the time are kept for judging.
        end = max(1, instants * 4 // 5)
        known = cameras[:-1] or cameras
        given = {
            'train': {'cameras': known, 'frames': [0, end]},
            'novel_pose': {'cameras': cameras, 'frames': [end, instants]},
        }
        if len(cameras) > 1:
            given['novel_view'] = {'cameras': cameras[-1:], 'frames': [0, end]}
    result = {}
    for name, choices in given.items():
        if name not in SPLITS:
            raise CaptureError(
                f'{folder}/capture.json: split {name!r}; expected {", ".join(SPLITS)}.'
            )
        rows: set[int] = set()
        for choice in choices if isinstance(choices, list) else [choices]:
            missing = set(choice.get('cameras', cameras)) - set(cameras)
            if missing:
                raise CaptureError(
                    f'{folder}/capture.json: split {name!r} names camera {sorted(missing)[0]!r}; '
                    f'there are {", ".join(cameras)}.'
                )
            frames = set(range(instants)[slice(*choice.get('frames', [None]))])
            wanted = choice.get('cameras', cameras)
            rows |= {i for i, s in enumerate(shots) if s.camera_name in wanted and s.row in frames}
        result[name] = tuple(sorted(rows))
    if not result.get('train'):
        raise CaptureError(f'{folder}: no picture is for training; see "splits" in capture.json.')
    return result
