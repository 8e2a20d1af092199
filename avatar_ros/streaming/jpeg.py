# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures as JPEG."""

import cv2

from avatar_ros.types import Image


def encode_jpeg(rgb: Image, quality: int = 85) -> bytes:
    """(H, W, 3) RGB -> JPEG file content.

    :raises ValueError: if OpenCV cannot write it.
    """
    ok, jpeg = cv2.imencode(
        '.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not ok:
        raise ValueError(f'OpenCV could not write an image of shape {rgb.shape} as JPEG.')
    return jpeg.tobytes()
