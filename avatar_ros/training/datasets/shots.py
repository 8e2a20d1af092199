# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Which pictures lie in a capture folder, and which split each belongs to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from avatar_ros.geometry import Camera
from avatar_ros.training.capture import SPLITS, CaptureError, Poses, Shot

_EXTENSIONS = ('.png', '.jpg', '.jpeg')
_SPLIT = 'expected {"cameras": [names], "frames": [start, stop, step]}, or a list of these.'


def find_shots(
    folder: Path, cameras: Mapping[str, Camera], poses: Poses
) -> tuple[tuple[Shot, ...], list[str]]:
    """Every picture of a pose that has a mask, and a line for each that is missing.

    :raises CaptureError: if there are none, or a folder of pictures has no calibrated camera.
    """
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
    masked = (folder / 'masks').is_dir()
    shots: list[Shot] = []
    skipped = [f'{images / name}: no such folder' for name in cameras if name not in present]
    for name in present:
        files = {p.stem: p for p in sorted((images / name).iterdir()) if p.suffix in _EXTENSIONS}
        masks, parts = folder / 'masks' / name, folder / 'parts' / name
        for row, instant in enumerate(poses.names):
            image = files.get(instant)
            if image is None:
                skipped.append(f'{images / name / instant}: no picture')
                continue
            mask = _beside(masks, instant)
            if mask is None and masked:
                skipped.append(f'{masks / instant}: no mask')
                continue
            part = _beside(parts, instant)
            shots.append(Shot(row, name, cameras[name], image, mask, parts=part))
    if not shots:
        raise CaptureError(
            f'{folder}: no picture has the name of a pose; poses.npz names '
            f'{poses.names[0]!r} .. {poses.names[-1]!r}.'
        )
    if not masked and not any(_has_alpha(shot.image) for shot in shots[:3]):
        raise CaptureError(
            f'{folder}/masks: no such folder, and the pictures have no alpha channel. Masks are '
            'needed: masks/<camera>/<name>.png, white = person, one for each picture. Make them '
            'with `avatar_ros capture from-video` or any segmentation tool.'
        )
    return tuple(shots), skipped


def _beside(folder: Path, name: str) -> Path | None:
    for extension in _EXTENSIONS:
        path = folder / f'{name}{extension}'
        if path.exists():
            return path
    return None


def _has_alpha(path: Path) -> bool:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image is not None and image.ndim == 3 and image.shape[2] == 4


def split_shots(
    folder: Path, given: Any, shots: Sequence[Shot], instants: int
) -> dict[str, tuple[int, ...]]:
    """Rows of `shots` in each split; `given` is the manifest's ``splits``, or None.

    Without it, the last camera and the last fifth of the time are kept for judging.

    :raises CaptureError: if a split is unknown or malformed, or nothing is left to train on.
    """
    cameras = sorted({shot.camera_name for shot in shots})
    if given is None:
        end = max(1, instants * 4 // 5)
        given = {
            'train': {'cameras': cameras[:-1] or cameras, 'frames': [0, end]},
            'novel_pose': {'cameras': cameras, 'frames': [end, instants]},
        }
        if len(cameras) > 1:
            given['novel_view'] = {'cameras': cameras[-1:], 'frames': [0, end]}
    if not isinstance(given, dict):
        raise CaptureError(f'{folder}/capture.json: splits are a {type(given).__name__}; {_SPLIT}')
    result = {}
    for name, choices in given.items():
        if name not in SPLITS:
            raise CaptureError(
                f'{folder}/capture.json: split {name!r}; expected {", ".join(SPLITS)}.'
            )
        rows: set[int] = set()
        for choice in choices if isinstance(choices, list) else [choices]:
            wanted, frames = _choice(folder, name, choice, cameras, instants)
            rows |= {i for i, s in enumerate(shots) if s.camera_name in wanted and s.row in frames}
        result[name] = tuple(sorted(rows))
    if not result.get('train'):
        raise CaptureError(f'{folder}: no picture is for training; see "splits" in capture.json.')
    return result


def _choice(
    folder: Path, name: str, choice: Any, cameras: list[str], instants: int
) -> tuple[set[str], set[int]]:
    """Cameras and rows of one choice of a split."""
    try:
        wanted = [str(camera) for camera in choice.get('cameras', cameras)]
        frames = set(range(instants)[slice(*choice.get('frames', [None]))])
    except (AttributeError, TypeError, ValueError) as error:
        raise CaptureError(
            f'{folder}/capture.json: split {name!r} is {choice!r} ({error}); {_SPLIT}'
        ) from error
    missing = sorted(set(wanted) - set(cameras))
    if missing:
        raise CaptureError(
            f'{folder}/capture.json: split {name!r} names camera {missing[0]!r}; '
            f'there are {", ".join(cameras)}.'
        )
    return set(wanted), frames
