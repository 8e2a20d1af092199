# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar_ros.avatars import SkinnedAvatar, load_avatar
from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import SMPLX, BodyPose, rest_pose
from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    matrix_from_rotvec,
    quat_from_rotvec,
    rigid,
)
from avatar_ros.render import select_engine


@pytest.fixture(scope='module')
def avatar():
    return load_avatar('dressed')


def seen_at(position, turn=(0, 0, 0), stamp_ns=0, person='a') -> BodyPose:
    """Someone who faces a level camera, turned by a rotation vector in SMPL axes."""
    R = R_OPTICAL_SMPL @ matrix_from_rotvec(turn)
    return replace(
        rest_pose(), T_frame_root=rigid(R, position), stamp_ns=stamp_ns, person_id=person
    )


def test_person_who_faces_the_camera_looks_along_x_of_the_stage(avatar):
    placed = Stage().place(seen_at([0.3, 0.2, 3.0]), avatar)
    R = placed.T_frame_root[:3, :3]
    np.testing.assert_allclose(R @ [0, 0, 1], [1, 0, 0], atol=1e-12)  # forward: to the camera
    np.testing.assert_allclose(R @ [0, 1, 0], [0, 0, 1], atol=1e-12)  # up is up
    np.testing.assert_allclose(R @ [1, 0, 0], [0, 1, 0], atol=1e-12)  # left is left
    np.testing.assert_allclose(placed.T_frame_root[:2, 3], 0, atol=1e-12)


def test_feet_stand_on_the_floor_in_any_pose(avatar):
    rng = np.random.default_rng(0)
    for _ in range(5):
        pose = seen_at([0, 0, 3])
        pose.rotations[1:22] = quat_from_rotvec(rng.normal(0, 0.4, (21, 3)))
        placed = Stage().place(pose, avatar)
        assert avatar.ground_height(placed, np.array([0, 0, 1.0])) == pytest.approx(0, abs=1e-6)


def test_step_to_the_persons_left_is_a_step_along_y_and_towards_the_camera_along_x(avatar):
    stage = Stage()
    stage.place(seen_at([0, 0, 3.0]), avatar)
    placed = stage.place(seen_at([0.5, 0, 2.6], stamp_ns=33_000_000), avatar)
    # Image right is the left of a person who faces the camera.
    np.testing.assert_allclose(placed.T_frame_root[:2, 3], [0.4, 0.5], atol=1e-12)


def test_tilted_camera_does_not_tilt_the_person(avatar):
    pitch, roll = 25.0, 10.0
    tilt = matrix_from_rotvec([np.radians(pitch), 0, 0])
    level = seen_at([0, 0, 3.0])
    # A camera that looks down sees an upright person leaning, by the same angle about its x axis.
    seen = replace(level, T_frame_root=rigid(tilt, [0, 0, 0]) @ level.T_frame_root)
    placed = Stage(camera_pitch_deg=pitch).place(seen, avatar)
    np.testing.assert_allclose(placed.T_frame_root[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-9)
    rolled = matrix_from_rotvec([0, 0, np.radians(-roll)])
    seen = replace(level, T_frame_root=rigid(rolled, [0, 0, 0]) @ level.T_frame_root)
    placed = Stage(camera_roll_deg=roll).place(seen, avatar)
    np.testing.assert_allclose(placed.T_frame_root[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-9)


def test_somebody_else_and_a_jump_back_in_time_start_at_the_origin_again(avatar):
    stage = Stage()
    stage.place(seen_at([0, 0, 3.0], stamp_ns=10**9), avatar)
    moved = stage.place(seen_at([1, 0, 3.0], stamp_ns=2 * 10**9), avatar)
    assert np.linalg.norm(moved.T_frame_root[:2, 3]) == pytest.approx(1.0)
    other = stage.place(seen_at([2, 0, 3.0], stamp_ns=3 * 10**9, person='b'), avatar)
    np.testing.assert_allclose(other.T_frame_root[:2, 3], 0, atol=1e-12)
    again = stage.place(seen_at([5, 0, 3.0], stamp_ns=0, person='b'), avatar)
    np.testing.assert_allclose(again.T_frame_root[:2, 3], 0, atol=1e-12)


def test_avatar_frame_follows_smoothly_and_arrives(avatar):
    stage = Stage()
    stage.place(seen_at([0, 0, 3.0]), avatar)
    way = []
    for k in range(1, 120):
        stage.place(seen_at([1.0, 0, 3.0], stamp_ns=k * 33_000_000), avatar)
        way.append(stage.T_stage_avatar[1, 3])
    assert way[0] < 0.1
    assert np.all(np.diff(way) > 0)
    assert way[-1] == pytest.approx(1.0, abs=0.01)


@pytest.fixture(scope='module')
def player(avatar):
    return Player(avatar, select_engine('numba'), Stage(), background=(0, 0, 0))


def shot(player, azimuth_deg=0.0, pose=None, **kwargs):
    camera = orbit_camera(96, 128, azimuth_deg=azimuth_deg, **kwargs)
    return player.render(pose or seen_at([0, 0, 3.0]), None, [camera], depth=True).pictures[0]


def test_picture_has_the_persons_left_on_its_right_and_the_head_above(player):
    pose = seen_at([0, 0, 3.0])
    pose.rotations[SMPLX.index['right_shoulder']] = quat_from_rotvec([0, 0, 1.3])  # arm down
    seen = np.isfinite(shot(player, pose=pose).depth)
    rows, columns = np.nonzero(seen)
    # The left arm is still stretched out: to the right in the picture.
    assert columns.max() - 48 > 48 - columns.min() + 5
    assert rows.min() < 30


def test_views_from_front_and_back_differ_and_depth_is_the_distance(player):
    front, back = shot(player), shot(player, 180)
    assert np.abs(front.rgb.astype(int) - back.rgb[:, ::-1]).max() > 60
    assert np.nanmedian(front.depth) == pytest.approx(3.0, abs=0.3)
    assert np.isnan(front.depth).any()


def test_pictures_are_the_callers_to_keep(player):
    first = shot(player)
    kept = first.rgb.copy(), first.depth.copy()
    shot(player, 90)
    np.testing.assert_array_equal(first.rgb, kept[0])
    np.testing.assert_array_equal(first.depth, kept[1])


def test_two_views_in_one_call_are_those_of_two_calls(player):
    cameras = [orbit_camera(64, 64, azimuth_deg=a) for a in (0, 40)]
    pose = seen_at([0, 0, 3.0])
    both = player.render(pose, None, cameras).pictures
    for camera, picture in zip(cameras, both, strict=True):
        single = player.render(pose, None, [camera]).pictures[0]
        np.testing.assert_array_equal(picture.rgb, single.rgb)


@pytest.mark.parametrize(('distance', 'elevation'), [(0.0, 0.0), (2.0, 90.0), (float('nan'), 0.0)])
def test_orbit_that_gives_no_view_is_refused(distance, elevation):
    with pytest.raises(ValueError, match='no view'):
        orbit_camera(10, 10, distance_m=distance, elevation_deg=elevation)


def test_view_dependent_colours_change_with_the_view_and_turn_with_the_body(avatar):
    bundle = avatar.bundle
    g = bundle.gaussians
    colors = torch.zeros(len(g), 4, 3)
    colors[:, 2] = 1.0  # brighter where the direction of view points along +z of the T-pose
    shiny = SkinnedAvatar(replace(bundle, gaussians=replace(g, colors=colors, sh_degree=1)))
    player = Player(shiny, select_engine('numba'), Stage(), background=(0, 0, 0))

    def brightness(azimuth_deg, turn=(0, 0, 0)):
        picture = shot(player, azimuth_deg, seen_at([0, 0, 3.0], turn))
        return picture.rgb[np.isfinite(picture.depth)].mean()

    front, back = brightness(0), brightness(180)
    assert back > 2 * front  # seen from behind, the view runs along +z
    # Turned round, the person shows the same colours from the other side.
    assert brightness(0, (0, np.pi, 0)) == pytest.approx(back, rel=0.05)
