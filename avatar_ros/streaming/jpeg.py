# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures as JPEG."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from avatar_ros.types import Image

if TYPE_CHECKING:  # a camera has no need of torch
    from torch import Tensor


def encode_jpeg(rgb: 'Image | Tensor', quality: int = 85) -> bytes:
    """(H, W, 3) RGB of uint8 -> JPEG file content; by nvJPEG if the picture is on a GPU.

    :raises ValueError: if OpenCV cannot write it.
    """
    if not isinstance(rgb, np.ndarray):
        from avatar_ros.streaming.nvjpeg import encode_on_gpu, nvjpeg_works

        if rgb.is_cuda and nvjpeg_works():
            return encode_on_gpu(rgb, quality)
        rgb = rgb.cpu().numpy()
    ok, jpeg = cv2.imencode(
        '.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not ok:
        raise ValueError(f'OpenCV could not write an image of shape {rgb.shape} as JPEG.')
    return jpeg.tobytes()
