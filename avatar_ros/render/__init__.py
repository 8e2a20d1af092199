# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Images of Gaussians: gsplat on CUDA, numba on CPUs, a float64 reference for tests.

All engines follow ``gsplat.rasterization``: pixel centres at half integers, a cut at alpha
1/255, a clamp at 0.999, a stop before transmittance falls to 1e-4.
"""

from avatar_ros.render.engine import Engine, RasterizeMode, Rendered, RenderMode
from avatar_ros.render.gsplat_engine import GsplatEngine
from avatar_ros.render.numba_engine import NumbaEngine
from avatar_ros.render.reference import ReferenceEngine
from avatar_ros.render.rgb8 import rgb8_on_device, to_rgb8
from avatar_ros.render.select import ENGINES, rasterize, select_engine
from avatar_ros.render.workspace import Workspace

__all__ = [
    'ENGINES',
    'Engine',
    'GsplatEngine',
    'NumbaEngine',
    'RasterizeMode',
    'ReferenceEngine',
    'RenderMode',
    'Rendered',
    'Workspace',
    'rasterize',
    'select_engine',
    'rgb8_on_device',
    'to_rgb8',
]
