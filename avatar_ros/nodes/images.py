# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Pure builders and parsers for images and camera calibrations (see `messages`)."""

import array
import io

import cv2
import numpy as np
import PIL.Image
from cv_bridge import CvBridge
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import Header

from avatar_ros.geometry import Camera
from avatar_ros.nodes.messages import MessageError, check_finite
from avatar_ros.streaming.jpeg import encode_jpeg
from avatar_ros.types import Array, Image

MAX_PIXELS = 64_000_000
_NAMED_ENCODINGS = 'rgb8, bgr8, rgba8, bgra8, mono8, yuv422_yuy2, bayer_*'


def image_message(pixels: Array, message_header: Header) -> ImageMsg:
    """(H, W, 3) uint8 -> rgb8, (H, W) float32 -> 32FC1."""
    pixels = np.ascontiguousarray(pixels)
    encoding = 'rgb8' if pixels.dtype == np.uint8 else '32FC1'
    message = ImageMsg(
        header=message_header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.strides[0],
    )
    data = array.array('B')
    data.frombytes(pixels.data.cast('B'))
    message.data = data
    return message


def compressed_image_message(rgb: Image, message_header: Header, quality: int) -> CompressedImage:
    """(H, W, 3) RGB -> JPEG."""
    jpeg = encode_jpeg(rgb, quality)
    message = CompressedImage(header=message_header, format='rgb8; jpeg compressed bgr8')
    data = array.array('B')
    data.frombytes(jpeg)
    message.data = data
    return message


def parse_image(message: ImageMsg) -> Image:
    """Any colour or grey encoding -> (H, W, 3) RGB.

    :raises MessageError: see module.
    """
    height, width = int(message.height), int(message.width)
    if height <= 0 or width <= 0 or len(message.data) == 0:
        raise MessageError(
            f'the image is empty ({width}x{height} pixels, {len(message.data)} bytes); '
            'check the camera driver.'
        )
    if height * width > MAX_PIXELS:
        raise MessageError(
            f'the image has {width}x{height} pixels; at most {MAX_PIXELS} are taken.'
        )
    if len(message.data) != height * message.step or message.step < width:
        raise MessageError(
            f'the image has {len(message.data)} bytes; {height} rows of step {message.step} for '
            f'{width} pixels need {height * message.step}. The driver or a bridge cut it.'
        )
    if message.encoding == 'rgb8' and message.step == 3 * width:
        return np.frombuffer(message.data, np.uint8).reshape(height, width, 3)
    try:
        rgb = CvBridge().imgmsg_to_cv2(message, 'rgb8')
    except Exception as error:  # cv_bridge raises its own, OpenCV's and numpy's errors
        raise MessageError(
            f'an image of encoding {message.encoding!r} cannot be read as rgb8 ({error}); '
            f'expected one of {_NAMED_ENCODINGS}.'
        ) from None
    return np.ascontiguousarray(rgb)


def parse_compressed_image(message: CompressedImage) -> Image:
    """JPEG or PNG -> (H, W, 3) RGB.

    :raises MessageError: see module.
    """
    data = np.frombuffer(message.data, np.uint8)
    if data.size == 0:
        raise MessageError('the compressed image is empty (0 bytes); check the camera driver.')
    is_jpeg = data[:2].tobytes() == b'\xff\xd8'
    # OpenCV fills what is missing of a cut JPEG with grey instead of failing.
    if is_jpeg and b'\xff\xd9' not in data[-64:].tobytes():
        raise MessageError(
            f'the JPEG is truncated ({data.size} bytes without an end marker); '
            'a network or a bridge cut it.'
        )
    _check_size(data)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if bgr is None:
        raise MessageError(
            f'{data.size} bytes with format {message.format!r} are no image that OpenCV reads; '
            'expected JPEG or PNG.'
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


# -- cameras -----------------------------------------------------------------------------------


def _check_size(data: Array) -> None:
    """A small file may unpack to gigabytes: look at its header first."""
    try:
        width, height = PIL.Image.open(io.BytesIO(data.tobytes())).size
    except PIL.Image.DecompressionBombError as error:
        raise MessageError(f'{error} At most {MAX_PIXELS} pixels are taken.') from None
    except (OSError, ValueError):
        return  # OpenCV will say whether it is a picture
    if width * height > MAX_PIXELS:
        raise MessageError(
            f'the image has {width}x{height} pixels; at most {MAX_PIXELS} are taken.'
        )


def camera_info_message(camera: Camera, message_header: Header) -> CameraInfo:
    """Camera -> CameraInfo. ROS has pixel centres at integers, we have them at halves."""
    K = camera.K.copy()
    K[:2, 2] -= 0.5
    model = 'plumb_bob' if camera.distortion.size <= 5 else 'rational_polynomial'
    coefficients = camera.distortion if camera.distortion.size else np.zeros(5)
    return CameraInfo(
        header=message_header,
        width=camera.width,
        height=camera.height,
        distortion_model=model,
        d=coefficients.tolist(),
        k=K.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=np.concatenate([K, np.zeros((3, 1))], axis=1).ravel().tolist(),
    )


def parse_camera_info(message: CameraInfo) -> Camera:
    """Checked CameraInfo -> Camera.

    :raises MessageError: above all when the camera was never calibrated (K is zero).
    """
    K = np.asarray(message.k, dtype=float).reshape(3, 3).copy()
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise MessageError(
            f'camera_info has fx = {K[0, 0]:g}, fy = {K[1, 1]:g}; both must be positive. The '
            'camera is not calibrated: run camera_calibration or set camera_info_url.'
        )
    if message.width == 0 or message.height == 0:
        raise MessageError(
            f'camera_info is for {message.width}x{message.height} pixels; expected the image size.'
        )
    known = ('plumb_bob', 'rational_polynomial', '')
    distortion = np.asarray(message.d, dtype=float)
    if np.any(distortion) and message.distortion_model not in known:
        raise MessageError(
            f'camera_info has distortion model {message.distortion_model!r}; expected plumb_bob or '
            'rational_polynomial. Rectify the image first (image_proc).'
        )
    check_finite('camera_info.d', distortion)
    K[:2, 2] += 0.5
    return Camera(
        K,
        int(message.width),
        int(message.height),
        distortion=distortion if np.any(distortion) else np.zeros(0),
        frame_id=message.header.frame_id,
    )
