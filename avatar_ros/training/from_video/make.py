# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Videos in, a capture folder out. What a camera's video gave is kept, so that a run goes on."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from avatar_ros.body.model import free_body, load_body_model
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import Camera, load_camera_yaml
from avatar_ros.training.capture import CaptureError, Poses
from avatar_ros.training.datasets.camera_file import read_cameras
from avatar_ros.training.datasets.directory import save_capture_metadata
from avatar_ros.training.from_video.fit import Fit, fit_body
from avatar_ros.training.from_video.multiview import load_cameras, triangulate
from avatar_ros.training.from_video.report import CameraReport, report
from avatar_ros.training.from_video.silhouette import camera_masks
from avatar_ros.training.from_video.watch import VideoOptions, video_fps, video_size, watch
from avatar_ros.types import Array, FloatArray

__all__ = ['VideoOptions', 'capture_from_video']
logger = logging.getLogger(__name__)


def capture_from_video(
    folder: Path,
    videos: Mapping[str, Path],
    calibration: Path | None,
    options: VideoOptions,
    body_model: Path | None = None,
    progress: bool = True,
) -> tuple[Fit, list[CameraReport]]:
    """Write a capture; the videos are synchronised and show one person.

    :param body_model: a SMPL-X file of the user's own; None: the free body.
    :raises CaptureError: if a video or the calibration cannot be used, or nobody is seen.
    """
    cameras = _calibrated(videos, calibration, options)
    model = free_body('smplx') if body_model is None else load_body_model(body_model)
    if (folder / 'images').exists() and not (folder / '.work').exists():
        raise CaptureError(
            f'{folder}: holds pictures that were not made here; they would be overwritten. Give a '
            'folder that is new, or one of an earlier run.'
        )
    (folder / '.work').mkdir(parents=True, exist_ok=True)
    names = list(videos)
    sights = [watch(folder, n, videos[n], cameras[n], options, progress) for n in names]
    count = min(len(sight.pixels) for sight in sights)
    pixels = np.stack([sight.pixels[:count] for sight in sights])
    visibility = np.stack([sight.visibility[:count] for sight in sights])
    enough = np.isfinite(pixels).all((2, 3)).sum(0) >= min(2, len(names))
    if enough.sum() < 2:
        raise CaptureError(
            f'{folder}: a person is seen by enough cameras in {int(enough.sum())} of {count} '
            'frames. Is someone wholly in the picture, and are the videos synchronised?'
        )
    rows = np.flatnonzero(enough)
    pixels, visibility = pixels[:, rows], visibility[:, rows]
    ideal = [replace(cameras[n], distortion=np.zeros(0)) for n in names]
    if len(names) > 1:
        points = _triangulated(ideal, pixels, visibility, progress)
    else:
        logger.warning('one camera: depth, and turns towards it, are guesses of the estimator')
        points = _lifted(ideal[0], pixels[0], sights[0].world[:count][rows])
    instants = tuple(f'{row:06d}' for row in rows)
    masks = [_masks(folder, cameras[n], instants) for n in names]
    outlines = [camera_masks(camera, found) for camera, found in zip(ideal, masks, strict=True)]
    fit = fit_body(
        model, ideal, pixels, visibility, points, outlines, options.iterations,
        options.iterations // 2, progress=progress,
        shift_cameras=len(names) > 1 and not options.trust_calibration,
    )  # fmt: skip
    found = report(names, [_shifted(c, s) for c, s in zip(ideal, fit.shift_px, strict=True)],
                   model, fit, masks)  # fmt: skip
    save_capture_metadata(
        folder,
        {n: _shifted(cameras[n], s) for n, s in zip(names, fit.shift_px, strict=True)},
        Poses(SMPLX, instants, fit.rotvecs, fit.translations),
        name=folder.resolve().name,
        licence=options.licence,
        fps=min(video_fps(path) for path in videos.values()) / options.every,
        body_model=None if body_model is None else str(body_model.resolve()),
        betas=fit.betas,
    )
    rows_of_report = [asdict(row) for row in found]
    (folder / '.work' / 'report.json').write_text(json.dumps(rows_of_report, indent=1) + '\n')
    return fit, found


def _shifted(camera: Camera, shift_px: Array) -> Camera:
    K = camera.K.copy()
    K[:2, 2] += shift_px
    return replace(camera, K=K)


def _masks(folder: Path, camera: Camera, instants: tuple[str, ...]) -> list[Array | None]:
    """Masks of a camera as an ideal pinhole sees them; None where there is none."""
    K = camera.K.copy()
    K[:2, 2] -= 0.5  # OpenCV has pixel centres at integers
    result: list[Array | None] = []
    for instant in instants:
        mask = cv2.imread(str(folder / 'masks' / camera.frame_id / f'{instant}.png'), 0)
        if mask is not None and camera.distortion.size:
            mask = cv2.undistort(mask, K, camera.distortion)
        result.append(mask)
    return result


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
    elif calibration.suffix in ('.yaml', '.yml'):
        if len(videos) > 1:
            raise CaptureError(
                f'{calibration}: a ROS camera_info file is of one camera and does not say where it '
                f'stands; there are {len(videos)} videos. Give cameras.json or a .qca.txt.'
            )
        try:
            known = {name: load_camera_yaml(calibration) for name in videos}
        except ValueError as error:
            raise CaptureError(str(error)) from error
    elif calibration.suffix == '.json':
        known = read_cameras(calibration)
    else:
        try:
            known = load_cameras(calibration)
        except (OSError, ValueError, KeyError, AttributeError, SyntaxError) as error:
            raise CaptureError(
                f'{calibration}: is neither cameras.json, camera_info YAML nor a Qualisys '
                f'calibration ({error}).'
            ) from error
    result = {}
    for name, path in videos.items():
        width, height = video_size(path)
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


def _triangulated(
    cameras: list[Camera], pixels: Array, visibility: Array, progress: bool
) -> FloatArray:
    """Points (T, 33, 3), smoothed a little over time."""
    result = np.empty((pixels.shape[1], 33, 3))
    for t in tqdm(range(pixels.shape[1]), 'triangulating', disable=not progress):
        rows = np.flatnonzero(np.isfinite(pixels[:, t]).all((1, 2)))
        result[t] = triangulate([cameras[r] for r in rows], pixels[rows, t], visibility[rows, t])
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
