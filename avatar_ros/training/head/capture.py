# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Captures of heads: NeRSemble as GaussianAvatars hands it out, and ours in the same layout.

::

    CAPTURE/transforms_train.json, _val.json (held-out views), _test.json (held-out expressions)
    CAPTURE/images/00000_00.png      timestep, camera
    CAPTURE/fg_masks/00000_00.png    255 = the person
    CAPTURE/flame_param/00000.npz    shape, expr, rotation, neck_pose, jaw_pose, eyes_pose,
                                     translation, static_offset

A folder of such captures is what a prior learns from.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.geometry import Camera, invert_rigid
from avatar_ros.training.capture import CaptureError, Shot
from avatar_ros.training.datasets.camera_file import read_json
from avatar_ros.types import Array, FloatArray

#: Split -> file; the names are those of the data set.
SPLITS = {
    'train': 'transforms_train.json',
    'novel_view': 'transforms_val.json',
    'novel_expression': 'transforms_test.json',
}
#: OpenGL's camera (y up, looks along -z) from the optical one.
_R_GL_OPTICAL = np.diag([1.0, -1.0, -1.0, 1.0])
_SIZES = {'rotation': 3, 'neck_pose': 3, 'jaw_pose': 3, 'eyes_pose': 6, 'translation': 3}


@dataclass(frozen=True)
class FlameParameters:
    """FLAME of one instant."""

    expression: FloatArray
    """(E,)."""
    rotvecs: FloatArray
    """(5, 3): global, neck, jaw, left eye, right eye."""
    translation: FloatArray
    """(3,) metres."""

    @classmethod
    def neutral(cls, expressions: int) -> 'FlameParameters':
        """A face at rest that looks along z."""
        return cls(np.zeros(expressions), np.zeros((5, 3)), np.zeros(3))


@dataclass(frozen=True)
class HeadCapture:
    """One person's head."""

    name: str
    shape: FloatArray
    """FLAME betas (S,)."""
    offset: FloatArray | None
    """FLAME's static offset (V, 3) in metres."""
    instants: Mapping[str, FlameParameters]
    """By the timestep's name."""
    shots: Mapping[str, Sequence[Shot]]
    """By split."""


def load_head_capture(folder: str | Path) -> HeadCapture:
    """A capture folder.

    :raises CaptureError: naming the file and the field that is missing or wrong.
    """
    folder = Path(folder)
    shots: dict[str, list[Shot]] = {}
    files: dict[str, Path] = {}
    for split, name in SPLITS.items():
        path = folder / name
        if not path.exists():
            if split == 'train':
                raise CaptureError(
                    f'{path}: is missing. Expected a NeRSemble capture in the layout of '
                    'GaussianAvatars, or one that `avatar_ros capture heads` made.'
                )
            continue
        shots[split] = _read_split(folder, path, files)
    shape: FloatArray | None = None
    offset: FloatArray | None = None
    instants = {}
    for name, path in files.items():
        values = _read_flame(path)
        if shape is None:
            shape, offset = values['shape'], values.get('static_offset')
        instants[name] = FlameParameters(
            values['expr'],
            np.concatenate([values[k].reshape(-1, 3) for k in ('rotation', 'neck_pose', 'jaw_pose',
                                                               'eyes_pose')]),
            values['translation'],
        )  # fmt: skip
    if shape is None:
        raise CaptureError(f'{folder}: has no frames in {SPLITS["train"]}.')
    used = np.flatnonzero(shape)
    return HeadCapture(
        folder.name, shape[: int(used[-1]) + 1 if len(used) else 1], offset, instants, shots
    )


def load_head_captures(folder: str | Path) -> list[HeadCapture]:
    """Every capture in a folder, or the one that the folder is.

    :raises CaptureError: if there is none.
    """
    folder = Path(folder)
    if (folder / SPLITS['train']).exists():
        return [load_head_capture(folder)]
    found = sorted(path.parent for path in folder.glob(f'*/{SPLITS["train"]}'))
    if not found:
        raise CaptureError(
            f'{folder}: holds no capture of a head (no */{SPLITS["train"]}). Make some with '
            '`avatar_ros capture heads`.'
        )
    return [load_head_capture(path) for path in found]


def _read_split(folder: Path, path: Path, files: dict[str, Path]) -> list[Shot]:
    frames = read_json(path).get('frames')
    if not isinstance(frames, list):
        raise CaptureError(f'{path}: has no list "frames"; copy the capture again.')
    result = []
    for i, frame in enumerate(frames):
        try:
            name = f'{int(frame["timestep_index"]):05d}'
            T_world_gl = np.array(frame['transform_matrix'], float)
            if T_world_gl.shape != (4, 4) or not np.isfinite(T_world_gl).all():
                raise ValueError(f'transform_matrix has shape {T_world_gl.shape}, expected 4x4')
            K = np.array(
                [
                    [frame['fl_x'], 0, frame['cx']],
                    [0, frame.get('fl_y', frame['fl_x']), frame['cy']],
                    [0, 0, 1],
                ],
                float,
            )
            camera = Camera(
                K,
                int(frame['w']),
                int(frame['h']),
                invert_rigid(T_world_gl @ _R_GL_OPTICAL),
                frame_id=str(frame.get('camera_id', frame['camera_index'])),
            )
            image, mask, flame = (
                _inside(folder, frame[key])
                for key in ('file_path', 'fg_mask_path', 'flame_param_path')
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CaptureError(f'{path}: frame {i}: {error!r}. Copy the capture again.') from error
        files.setdefault(name, flame)
        result.append(Shot(int(name), camera.frame_id, camera, image, mask))
    return result


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if folder.resolve() not in path.parents:
        raise ValueError(f'path {name!r} leads out of the capture')
    return path


def _read_flame(path: Path) -> dict[str, FloatArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {key: np.asarray(file[key], float) for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CaptureError(
            f'{path}: cannot be read ({error}); expected FLAME parameters.'
        ) from None
    result: dict[str, FloatArray] = {}
    for key in ('shape', 'expr', *_SIZES):
        if key not in values:
            raise CaptureError(f'{path}: has no {key!r}; it has {", ".join(sorted(values))}.')
        flat = values[key].reshape(-1)
        if not np.isfinite(flat).all() or (key in _SIZES and len(flat) != _SIZES[key]):
            raise CaptureError(f'{path}: {key} has shape {values[key].shape} or is not finite.')
        result[key] = flat
    if 'static_offset' in values:
        offset = values['static_offset'].reshape(-1, 3)
        if not np.isfinite(offset).all():
            raise CaptureError(f'{path}: static_offset is not finite.')
        result['static_offset'] = offset
    return result


def flame_arrays(
    shape: FloatArray, offset: FloatArray | None, at: FlameParameters
) -> dict[str, Array]:
    """The arrays of a ``flame_param`` file."""
    padded = np.zeros(300, np.float32)
    padded[: len(shape)] = shape
    expression = np.zeros((1, 100), np.float32)
    expression[0, : len(at.expression)] = at.expression
    result = {
        'shape': padded,
        'expr': expression,
        'rotation': at.rotvecs[:1],
        'neck_pose': at.rotvecs[1:2],
        'jaw_pose': at.rotvecs[2:3],
        'eyes_pose': at.rotvecs[3:].reshape(1, 6),
        'translation': at.translation[None],
    }
    if offset is not None:
        result['static_offset'] = offset[None]
    return {key: np.asarray(value, np.float32) for key, value in result.items()}


def write_split(path: Path, frames: Sequence[tuple[int, int, Camera]]) -> None:
    """Write a ``transforms_*.json`` of (timestep, camera number, camera)."""
    listed: list[dict[str, Any]] = []
    for timestep, number, camera in frames:
        stem = f'{timestep:05d}_{number:02d}'
        listed.append(
            {
                'timestep_index': timestep,
                'camera_index': number,
                'camera_id': camera.frame_id or f'{number:02d}',
                'fl_x': float(camera.K[0, 0]),
                'fl_y': float(camera.K[1, 1]),
                'cx': float(camera.K[0, 2]),
                'cy': float(camera.K[1, 2]),
                'w': camera.width,
                'h': camera.height,
                'camera_angle_x': float(2 * np.arctan(camera.width / 2 / camera.K[0, 0])),
                'transform_matrix': (invert_rigid(camera.T_camera_world) @ _R_GL_OPTICAL).tolist(),
                'file_path': f'images/{stem}.png',
                'fg_mask_path': f'fg_masks/{stem}.png',
                'flame_param_path': f'flame_param/{timestep:05d}.npz',
            }
        )
    path.write_text(json.dumps({'frames': listed}, indent=1) + '\n')


def only_cameras(capture: HeadCapture, split: str, cameras: Sequence[str]) -> HeadCapture:
    """The capture with the named cameras alone in a split.

    :raises CaptureError: if a camera is not there.
    """
    shots = [s for s in capture.shots[split] if s.camera_name in cameras]
    missing = set(cameras) - {s.camera_name for s in shots}
    if missing:
        known = sorted({s.camera_name for s in capture.shots[split]})
        raise CaptureError(
            f'{capture.name}: has no camera {", ".join(sorted(missing))} for {split}; '
            f'it has {", ".join(known)}.'
        )
    return replace(capture, shots={**capture.shots, split: shots})
