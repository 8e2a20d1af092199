# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The avatar's Gaussians for RViz, in the message of RVizSplat, when somebody asks.

`SplatArray` (https://github.com/splat-ros: package splat_interfaces, before that gsplat_msgs) holds
for each Gaussian a stamped pose, the covariance of its centre in the upper left of a 6x6 matrix, an
opacity of 8 bits and harmonics. One message object a Gaussian takes seconds in Python, so the CDR
encoding, in which all of them are equally long, is written as one array.
"""

import importlib
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import Trigger

from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import sh0_from_rgb
from avatar_ros.geometry.rotations import matrix_from_quat, normalize_quat, xyzw_from_quat
from avatar_ros.nodes import qos

PACKAGES = ('splat_interfaces', 'gsplat_msgs')
_LITTLE_ENDIAN = b'\x00\x01\x00\x00'  # CDR of OMG's DDSI-RTPS 10.2


def splat_array_cdr(gaussians: Gaussians, frame_id: str, stamp_ns: int) -> bytes:
    """A serialized `SplatArray` of Gaussians with plain colours (N, 3).

    :raises ValueError: if colours depend on the view, which a snapshot cannot show.
    """
    colors = _numpy(gaussians.colors)
    if gaussians.sh_degree is not None or colors.ndim != 2 or colors.shape[1] != 3:
        raise ValueError(f'colours are {colors.shape}; expected ({len(gaussians)}, 3) of one view.')
    quats = normalize_quat(_numpy(gaussians.quats))
    spread = matrix_from_quat(quats) * _numpy(gaussians.scales)[:, None, :]
    splats = np.zeros(len(gaussians), _splat_type(frame_id))
    splats['sec'], splats['nanosec'] = divmod(stamp_ns, 1_000_000_000)
    splats['frame_id_size'] = len(frame_id.encode()) + 1
    splats['frame_id'] = frame_id.encode()
    splats['position'] = _numpy(gaussians.means)
    splats['orientation'] = xyzw_from_quat(quats)
    splats['covariance'][:, :3, :3] = spread @ spread.transpose(0, 2, 1)
    splats['opacity'] = np.rint(_numpy(gaussians.opacities).clip(0, 1) * 255)
    splats['harmonics_size'] = 3
    splats['harmonics'] = sh0_from_rgb(colors)
    return _LITTLE_ENDIAN + struct.pack('<I', len(splats)) + splats.tobytes()


def _splat_type(frame_id: str) -> np.dtype[Any]:
    """One splat as CDR lays it out behind the four bytes of a count: doubles at multiples of 8."""
    size = len(frame_id.encode()) + 1
    return np.dtype(
        [
            ('sec', '<i4'),
            ('nanosec', '<u4'),
            ('frame_id_size', '<u4'),
            ('frame_id', f'S{-(-size // 8) * 8}'),
            ('position', '<f8', 3),
            ('orientation', '<f8', 4),
            ('covariance', '<f8', (6, 6)),
            ('opacity', 'u1'),
            ('harmonics_degree', 'u1'),
            ('padding', 'V2'),
            ('harmonics_size', '<u4'),
            ('harmonics', '<f4', 3),
        ]
    )


def _numpy(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().double().cpu().numpy())


class SplatSnapshots:
    """`~/gaussian_splats` for everybody who begins to listen, and again on `~/publish_splats`."""

    def __init__(
        self,
        node: LifecycleNode,
        frame_id: str,
        show_again: Callable[[], None],
        is_active: Callable[[], bool],
    ) -> None:
        self._frame_id, self._show_again, self._is_active = frame_id, show_again, is_active
        self._requested = False
        self._listeners = 0
        self._publisher: Any = None
        kind = _installed_kind()
        if kind is not None:
            self._publisher = qos.create(
                node.create_lifecycle_publisher, kind, '~/gaussian_splats', profile=qos.LATCHED
            )
        self._service = node.create_service(Trigger, '~/publish_splats', self._request)

    def destroy(self, node: LifecycleNode) -> None:
        """Take topic and service off the graph."""
        if self._publisher is not None:
            node.destroy_lifecycle_publisher(self._publisher)
        node.destroy_service(self._service)

    def wanted(self) -> bool:
        """A snapshot of the next frame is due."""
        if self._publisher is None:
            return False
        before, self._listeners = self._listeners, self._publisher.get_subscription_count()
        self._requested |= self._listeners > before
        return self._requested

    def publish(self, gaussians: Gaussians, stamp_ns: int) -> None:
        """Send these; they are due no more."""
        self._requested = False
        self._publisher.publish(splat_array_cdr(gaussians, self._frame_id, stamp_ns))

    def _request(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._publisher is not None and self._is_active()
        if response.success:
            self._requested = True
            self._show_again()  # of somebody who stands still no new pose may come
            response.message = 'gaussian_splats goes out with the next pose'
        elif self._publisher is not None:
            response.message = 'the node is not active; activate it, then ask again.'
        else:
            response.message = (
                'no SplatArray can be sent: install splat_interfaces (with RVizSplat) and '
                'configure the node again.'
            )
        return response


def _installed_kind() -> Any:
    for package in PACKAGES:
        try:
            return importlib.import_module(f'{package}.msg').SplatArray
        except ImportError:
            continue
    return None
