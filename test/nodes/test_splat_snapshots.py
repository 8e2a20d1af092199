# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Snapshots for RViz: what an independent CDR decoder reads, who gets one, and when."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for
from nodes.test_graph import standing
from nodes.test_video_publishers import Node as VideoNode
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from std_srvs.srv import Trigger

from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import rgb_from_sh0
from avatar_ros.geometry import matrix_from_quat, quat_from_xyzw
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode
from avatar_ros.nodes.splat_snapshots import PACKAGES, SplatSnapshots, splat_array_cdr
from avatar_ros.render import select_engine

SPLAT = """\
geometry_msgs/PoseWithCovarianceStamped pose
uint8 opacity
uint8 harmonics_deg
float32[] spherical_harmonics
"""


def some(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return Gaussians(
        torch.randn(count, 3, generator=rng),
        torch.randn(count, 4, generator=rng),
        torch.rand(count, 3, generator=rng) * 0.02 + 1e-4,
        torch.rand(count, generator=rng),
        torch.rand(count, 3, generator=rng),
    )


def decoded(data, package):
    store = get_typestore(Stores.ROS2_KILTED)
    store.register(get_types_from_msg(SPLAT, f'{package}/msg/Splat'))
    store.register(get_types_from_msg(f'{package}/Splat[] splats', f'{package}/msg/SplatArray'))
    return store.deserialize_cdr(data, f'{package}/msg/SplatArray').splats


@pytest.mark.parametrize('frame_id', ['', 'map', 'stage_7', 'eight_ch', 'bühne', 'x' * 40])
def test_a_decoder_reads_the_gaussians_that_were_sent(frame_id):
    sent = some(17)
    splats = decoded(splat_array_cdr(sent, frame_id, 12_000_000_034), PACKAGES[0])
    assert len(splats) == 17
    for k, splat in enumerate(splats):
        header, pose = splat.pose.header, splat.pose.pose.pose
        assert (header.frame_id, header.stamp.sec, header.stamp.nanosec) == (frame_id, 12, 34)
        position = [pose.position.x, pose.position.y, pose.position.z]
        assert np.allclose(position, sent.means[k], atol=1e-7)
        q = pose.orientation
        R = matrix_from_quat(quat_from_xyzw([q.x, q.y, q.z, q.w]))
        covariance = splat.pose.pose.covariance.reshape(6, 6)
        spread = R.T @ covariance[:3, :3] @ R  # in its own axes only the scales are left
        assert np.allclose(spread, np.diag(sent.scales[k].double().numpy() ** 2), atol=1e-9)
        assert not covariance[3:].any()
        assert not covariance[:, 3:].any()
        assert abs(splat.opacity / 255 - float(sent.opacities[k])) <= 0.5 / 255 + 1e-6
        assert splat.harmonics_deg == 0
        assert np.allclose(rgb_from_sh0(splat.spherical_harmonics), sent.colors[k], atol=1e-6)


def test_colours_of_several_views_are_refused_by_name():
    several = Gaussians(
        *(getattr(some(3), n) for n in ('means', 'quats', 'scales', 'opacities')),
        torch.rand(2, 3, 3),
    )
    with pytest.raises(ValueError, match=r'colours are \(2, 3, 3\); expected \(3, 3\)'):
        splat_array_cdr(several, 'map', 0)


class Node(VideoNode):
    """A node's publishers and services, callable by a test."""

    def create_service(self, kind, name, callback):
        self.call = lambda: callback(kind.Request(), kind.Response())
        return name

    def destroy_service(self, name):
        self.call = None


@pytest.mark.parametrize('package', PACKAGES)
def test_newcomers_and_requests_get_one_snapshot_each(monkeypatch, package):
    module = ModuleType(f'{package}.msg')
    module.SplatArray = SimpleNamespace
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, f'{package}.msg', module)
    node, asked, active = Node(), [], [False]
    snapshots = SplatSnapshots(node, 'stage', lambda: asked.append(1), lambda: active[0])
    topic = node.topics['~/gaussian_splats']
    assert not snapshots.wanted()
    topic.listeners = 1
    assert snapshots.wanted()
    snapshots.publish(some(2), 5)
    assert not snapshots.wanted()
    assert 'activate' in node.call().message
    assert not snapshots.wanted()
    active[0] = True
    assert node.call().success
    assert asked  # the last pose is shown again
    assert snapshots.wanted()
    snapshots.publish(some(3), 6)
    topic.listeners = 0
    assert not snapshots.wanted()
    topic.listeners = 1
    assert snapshots.wanted()
    assert [len(decoded(data, package)) for data in topic.sent] == [2, 3]
    snapshots.destroy(node)
    assert not node.topics


def test_without_the_package_the_service_says_what_to_install(ros):
    node = AvatarRendererNode()
    assert node.trigger_configure().name == 'SUCCESS', node.statistics.error
    ros.add(node)
    client = ros.node().create_client(Trigger, 'avatar_renderer/publish_splats')
    assert client.wait_for_service(5)
    future = client.call_async(Trigger.Request())
    assert wait_for(future.done)
    assert not future.result().success
    assert 'install splat_interfaces' in future.result().message


@pytest.mark.parametrize('name', ['demo', 'dressed'])
def test_a_snapshot_looks_as_the_avatar_does_from_there(name):
    from avatar_ros.avatars import load_avatar

    player = Player(load_avatar(name), select_engine('numba'), Stage())
    player.pose(standing(1), None)
    view = orbit_camera(96, 96, azimuth_deg=40.0)
    view = view.at(player.stage.view_from_avatar_frame(view.T_camera_world))
    shown = player.draw([view], depth=False).colors.clone()
    snapshot = player.snapshot(view.position)
    assert snapshot.sh_degree is None
    again = player.engine.rasterize(snapshot, [view], backgrounds=torch.zeros(1, 3))
    assert torch.allclose(again.colors, shown, atol=1e-6)


def test_of_a_head_with_a_network_the_plain_colours_are_sent():
    from avatar_ros.avatars import load_avatar

    player = Player(load_avatar('head'), select_engine('numba'), Stage())
    player.pose(standing(1), None)
    splats = decoded(splat_array_cdr(player.snapshot(np.zeros(3)), 'stage', 0), PACKAGES[0])
    assert len(splats) == len(player.avatar)
