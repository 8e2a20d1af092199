# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""One video in; pictures, masks and landmarks out. What a video gave is kept and used again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from avatar_ros.geometry import Camera
from avatar_ros.training.capture import CaptureError
from avatar_ros.types import Array, Image

#: Longer side of what the estimator sees; it looks at a crop, so that more pixels help.
_LOOK_PX = 1920


@dataclass(frozen=True)
class VideoOptions:
    """What to take of the videos."""

    every: int = 1
    max_frames: int = 300
    size: int = 720
    """Pixels of the longer side of the pictures that are kept."""
    fov_deg: float | None = None
    """Vertical field of view of a single video without calibration."""
    licence: str = 'not stated'
    trust_calibration: bool = False
    """Leave the principal points of several cameras where the calibration has them."""
    iterations: int = 400
    """Steps of the fit, and half as many again with the masks."""


@dataclass(frozen=True)
class Sight:
    """What one camera saw of the person, T instants."""

    pixels: Array
    """BlazePose landmarks (T, 33, 2) in the kept pictures, without distortion; NaN: nobody."""
    visibility: Array
    """(T, 33)."""
    world: Array
    """(T, 33, 3) metres, optical axes, as one camera guesses them."""


def video_size(path: Path) -> tuple[int, int]:
    """Width and height.

    :raises CaptureError: if there is no such video.
    """
    video = _opened(path)
    width, height = (
        int(video.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    if width <= 0 or height <= 0:
        raise CaptureError(f'{path}: has no pictures; expected a video that OpenCV can read.')
    return width, height


def video_fps(path: Path) -> float:
    """Pictures a second as the file states them, 30 if it does not."""
    fps = float(_opened(path).get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps < 10_000 else 30.0


def _opened(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path)) if path.is_file() else None
    if video is None or not video.isOpened():
        raise CaptureError(f'{path}: is missing or no video that OpenCV can read.')
    return video


def _frames(path: Path, options: VideoOptions) -> Iterator[Image]:
    video = _opened(path)
    index = kept = 0
    while kept < options.max_frames:
        ok, bgr = video.read()
        if not ok:
            return
        if index % options.every == 0:
            yield np.ascontiguousarray(bgr[..., ::-1], np.uint8)
            kept += 1
        index += 1


def watch(
    folder: Path, name: str, path: Path, camera: Camera, options: VideoOptions, progress: bool
) -> Sight:
    """Landmarks of a video; writes ``images/<name>`` and ``masks/<name>`` of `camera`'s size.

    :raises CaptureError: if the video has no pictures.
    """
    done = folder / '.work' / f'{name}.npz'
    made_of = f'{path.resolve()} {path.stat().st_size} {options.every} {options.max_frames} ' + (
        ' '.join(f'{x:.6g}' for x in (camera.width, camera.height, *camera.K.flat))
        + f' {camera.distortion.tolist()}'
    )
    if done.exists():
        with np.load(done, allow_pickle=False) as kept:
            if 'made_of' in kept.files and str(kept['made_of']) == made_of:
                return Sight(kept['pixels'], kept['visibility'], kept['world'])
        # Made here, of another video or with other options.
        for kind in ('images', 'masks'):
            for old in (folder / kind / name).glob('*.*'):
                old.unlink()
        done.unlink()
    sight = _look(folder, name, path, camera, options, progress)
    done.parent.mkdir(exist_ok=True)
    partial = done.with_suffix('.partial.npz')
    np.savez(
        partial,
        pixels=sight.pixels,
        visibility=sight.visibility,
        world=sight.world,
        made_of=np.array(made_of),
    )
    partial.replace(done)
    return sight


def _look(
    folder: Path, name: str, path: Path, camera: Camera, options: VideoOptions, progress: bool
) -> Sight:
    from avatar_ros.tracking.mediapipe_estimator import MediaPipeEstimator

    images, masks = (folder / kind / name for kind in ('images', 'masks'))
    for place in (images, masks):
        place.mkdir(parents=True, exist_ok=True)
    pixels: list[Array] = []
    visibility: list[Array] = []
    world: list[Array] = []
    estimator = MediaPipeEstimator(face=False, hands=False, segmentation=True)
    try:
        frames = _frames(path, options)
        for index, rgb in enumerate(tqdm(frames, name, unit='frame', disable=not progress)):
            scale = min(1.0, _LOOK_PX / max(rgb.shape[:2]))
            look = rgb if scale == 1 else cv2.resize(rgb, None, fx=scale, fy=scale,
                                                     interpolation=cv2.INTER_AREA)  # fmt: skip
            height, width = look.shape[:2]
            seen_by = camera.scaled(width, height)
            found = estimator.estimate(look, seen_by).body
            size = camera.width, camera.height
            share = estimator.mask
            mask = None
            if found is not None and share is not None:
                kept_share = cv2.resize(share, size, interpolation=cv2.INTER_AREA)
                at = found.pixels * (camera.width / width, camera.height / height)
                mask = clean_mask(kept_share, at[found.visibility > 0.5])
            if found is None or mask is None or not mask.any():
                pixels.append(np.full((33, 2), np.nan))
                visibility.append(np.zeros(33))
                world.append(np.zeros((33, 3)))
                continue
            pixels.append(seen_by.rays(found.pixels) @ camera.K[:2, :2].T + camera.K[:2, 2])
            visibility.append(found.visibility)
            world.append(found.world)
            small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(images / f'{index:06d}.jpg'), small[..., ::-1],
                        [cv2.IMWRITE_JPEG_QUALITY, 95])  # fmt: skip
            cv2.imwrite(str(masks / f'{index:06d}.png'), mask)
    finally:
        estimator.close()
    if not pixels:
        raise CaptureError(f'{path}: has no frames that can be read.')
    return Sight(np.stack(pixels), np.stack(visibility), np.stack(world))


def clean_mask(share: Array, landmarks: Array | None = None) -> Array:
    """Mask (H, W) uint8 of a soft one in 0..1: one piece of it, pinholes filled.

    :param landmarks: pixels (N, 2) of the person; of several pieces the one with most of them is
        taken, so that a bystander is not. Without, the largest.
    """
    solid = (share > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    if count < 2:
        return np.zeros(share.shape, np.uint8)
    votes: Array = np.zeros(count)
    if landmarks is not None and len(landmarks):
        at = np.floor(landmarks).astype(int)
        at = at[(at >= 0).all(1) & (at < share.shape[::-1]).all(1)]
        votes = np.bincount(labels[at[:, 1], at[:, 0]], minlength=count).astype(float)
    # Area only breaks ties.
    score = votes + stats[:, cv2.CC_STAT_AREA] / (2.0 * share.size)
    chosen = 1 + int(score[1:].argmax())
    solid = (labels == chosen).astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # Only pinholes: between an arm and the body there is background.
    small = [line for line in outlines if cv2.contourArea(line) < 30]
    cv2.drawContours(solid, small, -1, 1, cv2.FILLED)
    return np.asarray(solid * 255)
