# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Videos in, a capture folder out. What a camera's video gave is kept, so that a run goes on."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from avatar_ros.body.model import free_body
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import Camera
from avatar_ros.training.capture import CaptureError, Poses
from avatar_ros.training.datasets.directory import FORMAT, read_cameras, write_cameras, write_poses
from avatar_ros.training.from_video.fit import Fit, fit_body
from avatar_ros.training.from_video.multiview import load_cameras, triangulate
from avatar_ros.types import Array, FloatArray, Image

logger = logging.getLogger(__name__)


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


def capture_from_video(
    folder: Path,
    videos: Mapping[str, Path],
    calibration: Path | None,
    options: VideoOptions,
    progress: bool = True,
) -> Fit:
    """Write a capture of the free body; the videos are synchronised and show one person.

    :raises CaptureError: if a video or the calibration cannot be used, or nobody is seen.
    """
    cameras = _calibrated(videos, calibration, options)
    folder.mkdir(parents=True, exist_ok=True)
    seen = {}
    for name, video in videos.items():
        seen[name] = _watch(folder, name, video, cameras[name], options, progress)
    count = min(len(pixels) for pixels, _, _ in seen.values())
    names = list(videos)
    pixels = np.stack([seen[name][0][:count] for name in names])
    visibility = np.stack([seen[name][1][:count] for name in names])
    enough = np.isfinite(pixels).all((2, 3)).sum(0) >= min(2, len(names))
    if enough.sum() < 2:
        raise CaptureError(
            f'{folder}: a person is seen by enough cameras in {int(enough.sum())} of {count} '
            'frames. Is someone wholly in the picture, and are the videos synchronised?'
        )
    rows = np.flatnonzero(enough)
    pixels, visibility = pixels[:, rows], visibility[:, rows]
    placed = [cameras[name] for name in names]
    if len(names) > 1:
        points = _triangulated(placed, pixels, visibility, progress)
    else:
        logger.warning('one camera: depth and turns towards it are guesses of the estimator')
        points = _lifted(placed[0], pixels[0], seen[names[0]][2][:count][rows])
    model = free_body('smplx')
    fit = fit_body(model, placed, pixels, visibility, points, progress=progress)
    _write(folder, cameras, names, rows, fit, options)
    for name, error in zip(names, fit.error_px, strict=True):
        logger.info('%s: body landmarks are off by %.1f px (median) of %d', name, error,
                    max(cameras[name].width, cameras[name].height))  # fmt: skip
    return fit


def _calibrated(
    videos: Mapping[str, Path], calibration: Path | None, options: VideoOptions
) -> dict[str, Camera]:
    """The camera of each video, for the size in which pictures are kept."""
    if calibration is None:
        if len(videos) > 1:
            raise CaptureError(
                f'{len(videos)} videos and no calibration. Give --calibration: cameras.json or '
                'a Qualisys .qca.txt.'
            )
        known: dict[str, Camera] = {}
    elif calibration.suffix == '.json':
        known = read_cameras(calibration)
    else:
        try:
            known = load_cameras(calibration)
        except (OSError, ValueError, KeyError, AttributeError, SyntaxError) as error:
            raise CaptureError(
                f'{calibration}: is neither cameras.json nor a Qualisys calibration ({error}).'
            ) from error
    result = {}
    for name, path in videos.items():
        width, height = _size(path)
        if not known:
            camera = Camera.from_fov(width, height, options.fov_deg or 50.0)
        elif name in known:
            # A video may be cut or encoded a few pixels narrower than the sensor.
            camera = known[name]
            if abs(camera.width - width) > 16 or abs(camera.height - height) > 16:
                camera = camera.scaled(width, height)
        else:
            raise CaptureError(
                f'{calibration}: has no camera {name!r}; it has {", ".join(known)}. Name videos '
                'as the calibration does: --video NAME=FILE.'
            )
        scale = options.size / max(width, height)
        K = np.diag([scale, scale, 1.0]) @ camera.K
        result[name] = Camera(
            K, round(width * scale), round(height * scale), camera.T_camera_world,
            camera.distortion, name,
        )  # fmt: skip
    return result


def _size(path: Path) -> tuple[int, int]:
    video = cv2.VideoCapture(str(path))
    width, height = (
        int(video.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    if not video.isOpened() or width <= 0:
        raise CaptureError(f'{path}: is missing or no video.')
    return width, height


def _frames(path: Path, size: tuple[int, int], options: VideoOptions) -> Iterator[Image]:
    video = cv2.VideoCapture(str(path))
    index = kept = 0
    while kept < options.max_frames:
        ok, bgr = video.read()
        if not ok:
            return
        if index % options.every == 0:
            small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
            yield np.ascontiguousarray(small[..., ::-1], np.uint8)
            kept += 1
        index += 1


def _watch(
    folder: Path, name: str, path: Path, camera: Camera, options: VideoOptions, progress: bool
) -> tuple[Array, Array, Array]:
    """Pixels (T, 33, 2) undistorted, visibility (T, 33) and world landmarks (T, 33, 3).

    Writes pictures and masks; an instant in which nobody is seen has NaN and no mask.
    """
    done = folder / '.work' / f'{name}.npz'
    if done.exists():
        with np.load(done, allow_pickle=False) as kept:
            return kept['pixels'], kept['visibility'], kept['world']
    from avatar_ros.tracking.mediapipe_estimator import MediaPipeEstimator

    for kind in ('images', 'masks'):
        (folder / kind / name).mkdir(parents=True, exist_ok=True)
    estimator = MediaPipeEstimator(face=False, hands=False, segmentation=True)
    pixels: list[Array] = []
    visibility: list[Array] = []
    world: list[Array] = []
    nothing = np.full((33, 2), np.nan)
    frames = _frames(path, (camera.width, camera.height), options)
    for index, rgb in enumerate(tqdm(frames, name, unit='frame', disable=not progress)):
        found = estimator.estimate(rgb, camera).body
        mask = None if estimator.mask is None else clean_mask(estimator.mask)
        if found is None or mask is None or not mask.any():
            pixels.append(nothing)
            visibility.append(np.zeros(33))
            world.append(np.zeros((33, 3)))
            continue
        straight = camera.rays(found.pixels) @ camera.K[:2, :2].T + camera.K[:2, 2]
        pixels.append(straight)
        visibility.append(found.visibility)
        world.append(found.world)
        cv2.imwrite(str(folder / 'images' / name / f'{index:06d}.jpg'), rgb[..., ::-1],
                    [cv2.IMWRITE_JPEG_QUALITY, 95])  # fmt: skip
        cv2.imwrite(str(folder / 'masks' / name / f'{index:06d}.png'), mask)
    estimator.close()
    if not pixels:
        raise CaptureError(f'{path}: has no frames that can be read.')
    result = np.stack(pixels), np.stack(visibility), np.stack(world)
    done.parent.mkdir(exist_ok=True)
    np.savez(done, pixels=result[0], visibility=result[1], world=result[2])
    return result


def clean_mask(share: Array) -> Array:
    """Mask (H, W) uint8 of a soft one in 0..1: the largest piece, its holes filled."""
    solid = (share > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    if count < 2:
        return np.zeros(share.shape, np.uint8)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    solid = (labels == largest).astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # Only pinholes: between an arm and the body there is background.
    small = [line for line in outlines if cv2.contourArea(line) < 30]
    cv2.drawContours(solid, small, -1, 1, cv2.FILLED)
    return np.asarray(solid * 255)


def _triangulated(
    cameras: list[Camera], pixels: Array, visibility: Array, progress: bool
) -> FloatArray:
    """Points (T, 33, 3), smoothed a little over time."""
    ideal = [replace(camera, distortion=np.zeros(0)) for camera in cameras]
    result = np.empty((pixels.shape[1], 33, 3))
    for t in tqdm(range(pixels.shape[1]), 'triangulating', disable=not progress):
        rows = np.flatnonzero(np.isfinite(pixels[:, t]).all((1, 2)))
        result[t] = triangulate([ideal[r] for r in rows], pixels[rows, t], visibility[rows, t])
    return np.asarray(gaussian_filter1d(result, 1.5, axis=0, mode='nearest'))


def _lifted(camera: Camera, pixels: Array, world: Array) -> FloatArray:
    """World landmarks (T, 33, 3) of one camera, put where they project to what is seen."""
    result = np.empty_like(world)
    inverse = np.linalg.inv(camera.T_camera_world)
    for t in range(len(world)):
        rays = (pixels[t] - camera.K[:2, 2]) / camera.K[[0, 1], [0, 1]]
        # x + X = (z + Z) u: linear in the shift (X, Y, Z).
        A = np.zeros((66, 3))
        A[0::2, 0], A[1::2, 1] = 1, 1
        A[0::2, 2], A[1::2, 2] = -rays[:, 0], -rays[:, 1]
        b = (rays * world[t][:, 2:] - world[t][:, :2]).reshape(-1)
        shift = np.linalg.lstsq(A, b, rcond=None)[0]
        seen = world[t] + shift
        result[t] = seen @ inverse[:3, :3].T + inverse[:3, 3]
    return result


def _write(
    folder: Path,
    cameras: Mapping[str, Camera],
    names: list[str],
    rows: Array,
    fit: Fit,
    options: VideoOptions,
) -> None:
    write_cameras(folder / 'cameras.json', {name: cameras[name] for name in names})
    instants = tuple(f'{row:06d}' for row in rows)
    poses = Poses(SMPLX, instants, fit.rotvecs, fit.translations)
    write_poses(folder / 'poses.npz', poses, betas=fit.betas)
    manifest = {
        'format': FORMAT,
        'version': 1,
        'name': folder.name,
        'licence': options.licence,
        'skeleton': 'smplx',
        'body_model': 'free_smplx',
    }
    (folder / 'capture.json').write_text(json.dumps(manifest, indent=1) + '\n')
