# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A head bundle of any size with random networks, to time what does not depend on its looks."""

import numpy as np
import torch

from avatar_ros.avatars.head.binding import bind
from avatar_ros.avatars.head.bundle import HeadBundle
from avatar_ros.avatars.head.config import HeadNetworkConfig
from avatar_ros.avatars.head.gapnet import GapNet
from avatar_ros.body.flame import free_head


def random_head(config: HeadNetworkConfig) -> HeadBundle:
    """The free head, with networks that have learned nothing."""
    head = free_head()
    binding = bind(head, config.grid)
    torch.manual_seed(0)
    net = GapNet(config, binding.slices, torch.from_numpy(binding.log_scale))
    rng = np.random.default_rng(0)
    tensors = {
        'point': rng.normal(size=(len(binding), config.point_features)).astype(np.float32),
        'code': rng.normal(size=(1, net.parts, config.code)).astype(np.float32),
    }
    tensors |= {f'net.{k}': v.numpy() for k, v in net.state_dict().items()}
    return HeadBundle('random', 'CC0-1.0', head.model, 'arkit52', binding, config, tensors)
