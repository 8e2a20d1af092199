# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming.xr.conftest import FRUSTUM, LEFT, PERSON, RIGHT

from avatar_ros.geometry import quat_from_rotvec, xyzw_from_quat
from avatar_ros.streaming.xr.viewport import (
    LockedViewport,
    cameras_of_eyes,
    eyes_of_cameras,
    in_scene,
)

finite = st.floats(-3, 3, allow_nan=False)


def eye(position, rotvec=(0, 0, 0), tangents=FRUSTUM):
    return np.array([*position, *xyzw_from_quat(quat_from_rotvec(rotvec)), *tangents])


@given(st.tuples(finite, finite, finite), st.tuples(finite, finite, finite))
def test_eyes_become_cameras_and_back(position, rotvec):
    views = np.array([eye(position, rotvec)])
    back = eyes_of_cameras(cameras_of_eyes(views, 320, 200))
    same = back[0, 3:7] @ views[0, 3:7]
    np.testing.assert_allclose(back[0, 3:7] * np.sign(same), views[0, 3:7], atol=1e-6)
    np.testing.assert_allclose(np.delete(back[0], range(3, 7)), [*position, *FRUSTUM], atol=1e-6)


def test_viewer_before_the_avatar_sees_it_upright_and_unmirrored():
    """In scene axes: at z = 2 m, looking along -z. In the stage frame that is x = 2 m."""
    camera = cameras_of_eyes(np.array([eye((0.0, 1.0, 2.0))]), 100, 100)[0]
    np.testing.assert_allclose(camera.position, [2.0, 0.0, 1.0], atol=1e-9)
    middle, head, left_hand = camera.project([[0, 0, 1.0], [0, 0, 1.8], [0, 0.7, 1.0]])
    assert head[1] < middle[1]
    # The person's left hand (y > 0, REP-103) is to the right of one who faces the person.
    assert left_hand[0] > middle[0]


def test_asymmetric_frustum_keeps_its_sides():
    camera = cameras_of_eyes(np.array([eye((0, 0, 0))]), 200, 200)[0]
    # Scene: x right, y up, z towards the viewer. At 1 m before the eye:
    corners = np.array([[-1.1, 0.8, -1.0], [0.9, -1.2, -1.0]])
    stage = corners @ np.linalg.inv(np.array([in_scene(row) for row in np.eye(3)]))
    np.testing.assert_allclose(camera.project(stage), [[0, 0], [200, 200]], atol=1e-6)


@given(
    st.floats(1.1, 8), st.floats(-180, 180), st.floats(0.2, 2.4), st.tuples(finite, finite, finite)
)
def test_views_contain_the_person_and_ignore_where_the_head_looks(far, azimuth, height, turn):
    angle = np.radians(azimuth)
    middle = np.array([np.sin(angle) * far, height, np.cos(angle) * far])
    aside = 0.032 * np.array([np.cos(angle), 0, -np.sin(angle)])
    ahead = np.array([eye(middle - aside), eye(middle + aside)])
    turned = np.array([eye(middle - aside, turn), eye(middle + aside, turn)])
    cameras = locked(ahead)
    for one, other in zip(cameras, locked(turned), strict=True):
        np.testing.assert_allclose(one.T_camera_world, other.T_camera_world, atol=1e-9)
        pixels = one.project(PERSON)
        if far > 2.0:  # nearer, the frustum is cut at its widest
            assert pixels.min() > 0
            assert (pixels < np.array([160, 240])).all()
    if far > 2.0:
        spread = np.ptp(np.concatenate([c.project(PERSON) for c in cameras]), axis=0)
        np.testing.assert_allclose(spread, np.array([160, 240]) / 1.16, rtol=1e-6)


def locked(views, viewport=None, points=PERSON, now_s=0.0):
    viewport = viewport or LockedViewport()
    return viewport.cameras(cameras_of_eyes(views, 160, 240), points, now_s)


def test_left_eye_comes_first_and_sees_near_things_further_right():
    cameras = locked(np.array([eye(LEFT), eye(RIGHT)]))
    wire = eyes_of_cameras(cameras)
    assert wire[0, 0] < wire[1, 0]
    nose = np.array([[0.4, 0.0, 1.0]])
    rays = [camera.rays(camera.project(nose))[0, 0] for camera in cameras]
    assert rays[0] > rays[1]


@pytest.mark.parametrize('place', [(0.5, 1.8, 0.2), (0.0, 0.9, 0.0), (0.5, 1.75, 0.25)])
def test_eye_that_touches_the_person_looks_where_it_looks(place):
    inside = np.array([eye(place, (0, 1.0, 0))])
    camera = locked(inside)[0]
    eyes = cameras_of_eyes(inside, 160, 240)
    np.testing.assert_allclose(camera.T_camera_world, eyes[0].T_camera_world, atol=1e-9)


@pytest.mark.parametrize('height', [8.0, -6.0])
def test_view_from_straight_above_or_below_exists(height):
    pixels = locked(np.array([eye((0.0, height, 0.0))]))[0].project(PERSON)
    assert np.isfinite(pixels).all()
    assert np.ptp(pixels, axis=0).min() > 50


def test_frustum_grows_at_once_and_shrinks_late():
    viewport, views = LockedViewport(), np.array([eye((0.0, 1.2, 2.5))])
    wide = PERSON * (1.0, 2.5, 1.0)
    first = locked(views, viewport, now_s=0.0)[0].tangents
    np.testing.assert_array_equal(locked(views, viewport, now_s=0.1)[0].tangents, first)
    held = locked(views, viewport, wide, 0.2)[0].tangents
    assert held[0] < first[0]
    assert held[1] > first[1]
    for now_s in (0.3, 2.0):
        np.testing.assert_array_equal(locked(views, viewport, now_s=now_s)[0].tangents, held)
    late = locked(views, viewport, now_s=2.4)[0].tangents
    assert late[1] < held[1]


def test_camera_turns_after_a_person_who_walks_away():
    viewport, views = LockedViewport(), np.array([eye((0.0, 1.2, 3.0))])
    before = locked(views, viewport)[0]
    near = locked(views, viewport, PERSON + (0, 0.1, 0))[0]
    np.testing.assert_array_equal(near.T_camera_world, before.T_camera_world)
    there = PERSON + (0, 1.0, 0)
    after = locked(views, viewport, there)[0]
    ahead = after.T_camera_world[2, :3]
    towards = there.mean(0) - after.position
    assert ahead @ towards > 0.99 * np.linalg.norm(towards)
    pixels = after.project(there)
    assert pixels.min() > 0
    assert (pixels < np.array([160, 240])).all()
