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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.body.model import BodyModel, free_body, load_body_model
from avatar_ros.body.skeletons import Skeleton
from avatar_ros.geometry import Camera
from avatar_ros.training.capture import Capture, CaptureError, Poses, Subject
from avatar_ros.training.datasets.camera_file import read_cameras, read_json, write_cameras
from avatar_ros.training.datasets.pose_file import numbers, parse_poses, read_arrays, write_poses
from avatar_ros.training.datasets.shots import find_shots, split_shots
from avatar_ros.types import Array

__all__ = [
    'FORMAT',
    'load_directory',
    'read_cameras',
    'save_capture_metadata',
    'write_cameras',
    'write_poses',
]

FORMAT = 'avatar_ros.capture'
VERSION = 1
_FREE = {'free_smplx': 'smplx', 'free_smpl': 'smpl'}


def load_directory(path: str | Path, body_model: str | Path | None = None) -> Capture:
    """The capture in a folder; the pictures are not opened yet.

    :raises CaptureError: if something is missing or does not fit together.
    """
    folder = Path(path)
    manifest = _manifest(folder / 'capture.json')
    arrays = read_arrays(folder / 'poses.npz')
    poses = parse_poses(folder / 'poses.npz', arrays, manifest.get('skeleton'))
    model = _model(folder, body_model or manifest.get('body_model'), poses.skeleton)
    cameras = read_cameras(folder / 'cameras.json')
    shots, skipped = find_shots(folder, cameras, poses)
    return Capture(
        name=str(manifest.get('name', folder.resolve().name)),
        licence=str(manifest.get('licence', 'not stated')),
        subject=_subject(folder / 'poses.npz', arrays, model, poses),
        poses=poses,
        shots=shots,
        splits=split_shots(folder, manifest.get('splits'), shots, len(poses)),
        fps=float(manifest.get('fps', 30.0)),
        skipped=tuple(skipped),
    )


def save_capture_metadata(
    folder: str | Path,
    cameras: Mapping[str, Camera],
    poses: Poses,
    *,
    name: str,
    licence: str,
    fps: float = 30.0,
    body_model: str | None = None,
    splits: Mapping[str, Any] | None = None,
    **extra: Array,
) -> None:
    """Write capture.json, cameras.json and poses.npz; pictures and masks are the caller's.

    `body_model` and `splits` as in the manifest; `extra` are arrays for poses.npz (betas,
    minimal_shape, rest_joints, expression_names).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        'format': FORMAT,
        'version': VERSION,
        'name': name,
        'licence': licence,
        'skeleton': poses.skeleton.name,
        'fps': fps,
        'body_model': body_model or f'free_{poses.skeleton.name}',
    }
    if splits is not None:
        manifest['splits'] = dict(splits)
    write_cameras(folder / 'cameras.json', cameras)
    write_poses(folder / 'poses.npz', poses, **extra)
    (folder / 'capture.json').write_text(json.dumps(manifest, indent=1) + '\n')


def _manifest(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    manifest = read_json(path)
    if manifest.get('format', FORMAT) != FORMAT:
        raise CaptureError(f'{path}: format is {manifest["format"]!r}; expected {FORMAT!r}.')
    if manifest.get('version', VERSION) != VERSION:
        raise CaptureError(
            f'{path}: version is {manifest["version"]!r}; this release reads {VERSION}. '
            'Update avatar_ros.'
        )
    fps = manifest.get('fps', 30.0)
    if not isinstance(fps, int | float) or not 0 < fps < 10_000:
        raise CaptureError(f'{path}: fps is {fps!r}; expected a positive number.')
    return manifest


def _model(folder: Path, named: str | Path | None, skeleton: Skeleton) -> BodyModel:
    if named is None:
        return free_body(skeleton.name)
    if str(named) in _FREE:
        model = free_body(_FREE[str(named)])
    else:
        given = Path(named).expanduser()
        # A path in capture.json is relative to it, one on the command line to where we are.
        beside = folder / given
        path = beside if beside.exists() and not given.exists() else given
        try:
            model = load_body_model(path)
        except (OSError, ValueError) as error:
            raise CaptureError(f'{folder}: body model {named}: {error}') from error
    if model.skeleton is not skeleton:
        raise CaptureError(
            f'{folder}: poses are of {skeleton.name}, the body model is {model.skeleton.name}. '
            'Give a body model of the same kind (--body-model).'
        )
    return model


def _subject(path: Path, arrays: dict[str, Array], model: BodyModel, poses: Poses) -> Subject:
    def finite(key: str) -> Array:
        value = numbers(path, key, arrays)
        if not value.size or not np.isfinite(value).all():
            raise CaptureError(f'{path}: {key} is empty or not finite.')
        return value

    betas = finite('betas') if 'betas' in arrays and arrays['betas'].size else None
    if betas is not None:
        betas = betas.reshape(-1, betas.shape[-1])[0]
        known = model.shape_dirs.shape[2]
        if len(betas) > known and 'minimal_shape' not in arrays:
            raise CaptureError(
                f'{path}: {len(betas)} betas; the body model has {known}. Give the model that '
                'they were made with (--body-model), or minimal_shape.'
            )
        betas = betas[:known]
    vertices, joints = model.rest_vertices(betas), model.rest_joints(betas)
    if 'minimal_shape' in arrays:
        vertices = finite('minimal_shape')
        if vertices.shape != model.template.shape:
            raise CaptureError(
                f'{path}: minimal_shape is {vertices.shape}; the body model has '
                f'{model.template.shape}. Give the model that it was made with (--body-model).'
            )
        joints = model.joint_regressor @ vertices
    if 'rest_joints' in arrays:
        joints = finite('rest_joints')
        if joints.shape != (len(model.skeleton), 3):
            raise CaptureError(
                f'{path}: rest_joints have shape {joints.shape}; expected '
                f'({len(model.skeleton)}, 3).'
            )
    wanted = tuple(map(str, arrays.get('expression_names', ())))
    columns = 0 if poses.expression is None else poses.expression.shape[1]
    if wanted and len(wanted) != columns:
        raise CaptureError(
            f'{path}: {len(wanted)} expression_names for {columns} columns of expression.'
        )
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
