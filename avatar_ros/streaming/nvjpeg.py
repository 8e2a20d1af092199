# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""JPEG by the GPU (nvJPEG), where torchvision is installed and has it."""

import logging
from functools import cache

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


@cache
def nvjpeg_works() -> bool:
    """Whether a picture can really be encoded so here; says so once in the log."""
    try:
        picture = torch.zeros(16, 16, 3, dtype=torch.uint8, device='cuda')
        encode_on_gpu(picture, 80)
    except (ImportError, RuntimeError, AssertionError) as reason:
        logger.info('JPEG is encoded on the CPU: nvJPEG cannot be used here (%s)', reason)
        return False
    logger.info('JPEG is encoded by nvJPEG')
    return True


def encode_on_gpu(rgb: Tensor, quality: int) -> bytes:
    """(H, W, 3) of uint8 on a CUDA device -> JPEG file content."""
    from torchvision.io import encode_jpeg

    jpeg = encode_jpeg(rgb.permute(2, 0, 1).contiguous(), quality)
    return jpeg.cpu().numpy().tobytes()
