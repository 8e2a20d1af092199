# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Reading a picture of a capture: composited, undistorted, cropped, scaled, with its camera."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.training.capture import CaptureError, Shot
from avatar_ros.types import Array

#: Of the person's box, on each side of a crop.
_MARGIN = 0.1


@dataclass(frozen=True)
class Picture:
    """What a camera saw, as an ideal pinhole."""

    rgb: Array
    """(H, W, 3) uint8, black where the mask is 0."""
    mask: Array
    """(H, W) uint8, 255 = person."""
    camera: Camera


def read_picture(shot: Shot, size: int | None = None, crop: bool = False) -> Picture:
    """The picture, its longer side `size` pixels long; cropped to the person if asked for.

    :raises CaptureError: if a file is missing or damaged, or does not fit its camera or mask.
    """
    rgb, mask = _read(shot)
    camera = shot.camera
    if camera.distortion.size:
        K = _opencv(camera)
        rgb = cv2.undistort(rgb, K, camera.distortion)
        mask = cv2.undistort(mask, K, camera.distortion)
        camera = replace(camera, distortion=np.zeros(0))
    rgb = (rgb.astype(np.uint16) * mask[..., None] // 255).astype(np.uint8)
    pieces = [rgb, mask]
    if crop:
        pieces, camera = _cropped(shot, pieces, mask, camera)
    if size is not None and size != max(camera.width, camera.height):
        scale = size / max(camera.width, camera.height)
        width, height = round(camera.width * scale), round(camera.height * scale)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        pieces = [cv2.resize(piece, (width, height), interpolation=way) for piece in pieces]
        camera = camera.scaled(width, height)
    return Picture(np.ascontiguousarray(pieces[0]), np.ascontiguousarray(pieces[1]), camera)


def read_parts(shot: Shot, picture: Picture) -> Array:
    """Exact part map (H, W) uint8 in the geometry of a picture of the shot: part + 1, 0 outside.

    :raises CaptureError: if the capture has none for this picture, or it is of another size.
    """
    parts = None if shot.parts is None else cv2.imread(str(shot.parts), cv2.IMREAD_GRAYSCALE)
    if parts is None:
        raise CaptureError(f'{shot.parts or shot.image}: no part map; only made captures have one.')
    source, target = shot.camera, picture.camera
    if parts.shape != (source.height, source.width):
        raise CaptureError(
            f'{shot.parts}: is {parts.shape[1]}x{parts.shape[0]}; camera {shot.camera_name!r} is '
            f'calibrated for {source.width}x{source.height}.'
        )
    # Both cameras stand at one place, so that each pixel of the picture has one in the file.
    x, y = cv2.initUndistortRectifyMap(
        _opencv(source),
        source.distortion if source.distortion.size else np.zeros(4),
        np.eye(3),
        _opencv(target),
        (target.width, target.height),
        cv2.CV_32FC1,
    )
    return np.asarray(cv2.remap(parts, x, y, cv2.INTER_NEAREST))


def _read(shot: Shot) -> tuple[Array, Array]:
    image = cv2.imread(str(shot.image), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise CaptureError(f'{shot.image}: is missing or no picture. Copy it again.')
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if shot.mask is None:
        if image.shape[2] != 4:
            raise CaptureError(
                f'{shot.image}: has no alpha channel and no mask. Put one into masks/, white = '
                'person; `avatar_ros capture from-video` makes them.'
            )
        mask = image[..., 3]
    else:
        found = cv2.imread(str(shot.mask), cv2.IMREAD_GRAYSCALE)
        if found is None:
            raise CaptureError(f'{shot.mask}: is missing or no picture; expected a mask.')
        mask = np.where(found > 0, 255, 0).astype(np.uint8) if shot.labels else found
    if mask.shape != image.shape[:2]:
        raise CaptureError(
            f'{shot.mask}: is {mask.shape[1]}x{mask.shape[0]}, its picture '
            f'{image.shape[1]}x{image.shape[0]}; they must be of one size.'
        )
    expected = (shot.camera.height, shot.camera.width)
    if mask.shape != expected:
        raise CaptureError(
            f'{shot.image}: is {mask.shape[1]}x{mask.shape[0]}; camera {shot.camera_name!r} is '
            f'calibrated for {expected[1]}x{expected[0]}. Scale the picture or its calibration.'
        )
    if mask.max() < 128:
        raise CaptureError(f'{shot.mask or shot.image}: the mask is empty.')
    rgb = cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)
    return np.asarray(rgb), np.ascontiguousarray(mask)


def _opencv(camera: Camera) -> Array:
    """K with OpenCV's pixel centres, at integers instead of halves."""
    K = camera.K.copy()
    K[:2, 2] -= 0.5
    return K


def _cropped(
    shot: Shot, pieces: list[Array], mask: Array, camera: Camera
) -> tuple[list[Array], Camera]:
    """A square around the person, filled up with black where it leaves the picture."""
    rows, columns = np.nonzero(mask > 127)
    if not len(rows):
        raise CaptureError(f'{shot.image}: the mask is empty once lens distortion is removed.')
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()]) + 1
    side = int(np.ceil((high - low).max() * (1 + 2 * _MARGIN)))
    corner = np.floor((low + high - side) / 2).astype(int)
    K = camera.K.copy()
    K[:2, 2] -= corner
    x, y = corner
    result = []
    for piece in pieces:
        square = np.zeros((side, side, *piece.shape[2:]), np.uint8)
        top, left = max(y, 0), max(x, 0)
        part = piece[top : y + side, left : x + side]
        square[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
        result.append(square)
    return result, replace(camera, K=K, width=side, height=side)
