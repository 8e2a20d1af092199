# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Who is on the stage, when they come and go, and that nobody disturbs the others."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from avatars.test_stage_and_player import seen_at

from avatar_ros.avatars import load_avatar
from avatar_ros.avatars.cast import FADE_S, Cast, Shown
from avatar_ros.avatars.player import Player, joined, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import neutral_face
from avatar_ros.body.pose import TrackingState
from avatar_ros.render import select_engine

FRAME_S = 1 / 30


@pytest.fixture(scope='module')
def avatar():
    return load_avatar('demo')


def at(person, t_s=0.0, x=0.0, **kwargs):
    pose = seen_at([x, 0, 3.0], stamp_ns=round(t_s * 1e9) + 1, person=person)
    return replace(pose, state=TrackingState.TRACKED, **kwargs)


def ids(frame):
    return [s.pose.person_id for s in frame]


def play(cast, t_s, *people):
    """One instant in which these people are seen."""
    for person in people:
        cast.accept_pose(at(person, t_s), t_s)
    return cast.frame(t_s)


def test_the_first_person_is_there_at_once_and_who_comes_later_fades_in(avatar):
    cast = Cast(avatar, max_people=2)
    assert play(cast, 0.0, 'a')[0].share == 1.0
    shares = [play(cast, k * FRAME_S, 'a', 'b') for k in range(1, 30)]
    assert all(a.share == 1.0 for a, _ in shares)
    newcomer = np.array([b.share for _, b in shares])
    assert newcomer[0] < 0.01
    assert np.diff(newcomer).max() < 1.01 * FRAME_S / FADE_S
    assert newcomer[-1] == 1.0


def test_who_is_not_heard_of_fades_out_and_the_others_do_not_notice(avatar):
    cast = Cast(avatar, max_people=2, leave_s=1.0)
    for k in range(30):
        play(cast, k * FRAME_S, 'a', 'b')
    seen = [play(cast, k * FRAME_S, 'b') for k in range(30, 90)]
    assert all(s[-1].share == 1.0 and s[-1].pose.person_id == 'b' for s in seen)
    leaving = np.array([s[0].share if len(s) == 2 else 0.0 for s in seen])
    assert leaving[25] == 1.0
    assert np.abs(np.diff(leaving)).max() < 1.01 * FRAME_S / FADE_S
    assert ids(seen[-1]) == ['b']


def test_nobody_leaves_while_nobody_sends(avatar):
    cast = Cast(avatar, max_people=2, leave_s=1.0)
    play(cast, 0.0, 'a', 'b')
    assert ids(cast.frame(1000.0)) == ['a', 'b']


def test_one_too_many_is_refused_by_name_and_comes_when_there_is_room(avatar):
    cast = Cast(avatar, max_people=2, leave_s=1.0)
    play(cast, 0.0, 'a', 'b')
    with pytest.raises(ValueError, match=r"'c'.*max_people = 2"):
        cast.accept_pose(at('c'), 0.1)
    play(cast, 3.0, 'b')
    assert ids(play(cast, 3.1, 'b', 'c')) == ['b', 'c']


def test_a_thousand_ids_stay_within_the_bound(avatar):
    cast = Cast(avatar, max_people=3)
    refused = 0
    for k in range(1000):
        cast.accept_face(replace(neutral_face(), person_id=f'p{k}'))
        try:
            cast.accept_pose(at(f'p{k}'), 0.0)
        except ValueError:
            refused += 1
    assert refused == 997
    assert len(cast.frame(0.0)) == 3
    assert len(cast._faces) == 6


def test_for_one_person_the_newest_id_replaces_the_one_before(avatar):
    cast = Cast(avatar, max_people=1)
    assert ids(play(cast, 0.0, 'a')) == ['a']
    (shown,) = play(cast, 0.1, 'b')
    assert (shown.pose.person_id, shown.share, shown.avatar) == ('b', 1.0, avatar)


def test_who_is_lost_makes_way_for_whoever_comes(avatar):
    cast = Cast(avatar, max_people=4)
    cast.accept_pose(replace(at('a'), state=TrackingState.LOST), 0.0)
    (shown,) = play(cast, 0.1, 'b')
    assert (shown.pose.person_id, shown.share) == ('b', 1.0)


def test_who_is_lost_is_not_shown_beside_others(avatar):
    cast = Cast(avatar, max_people=4, leave_s=1.0)
    play(cast, 0.0, 'a', 'b')
    for k in range(1, 60):
        for person in ('a', 'c'):
            lost = replace(at(person, k * FRAME_S), state=TrackingState.LOST)
            cast.accept_pose(lost, k * FRAME_S)
        frame = play(cast, k * FRAME_S, 'b')
        assert 'c' not in ids(frame)
    assert ids(frame) == ['b']


def test_everybody_has_an_avatar_of_their_own_and_known_people_their_own_kind(avatar):
    other = load_avatar('demo')
    cast = Cast(avatar, {'bob': other}, max_people=3, leave_s=1.0)
    a, bob, c = play(cast, 0.0, 'a', 'bob', 'c')
    assert bob.avatar is other
    assert a.avatar is not c.avatar
    assert a.avatar.name == c.avatar.name == avatar.name
    for t_s in (3.0, 3.1):
        play(cast, t_s, 'bob')
    again = play(cast, 3.2, 'bob', 'd', 'e')[1:]
    assert {id(s.avatar) for s in again} == {id(a.avatar), id(c.avatar)}, 'taken up again'


def test_a_pose_that_was_not_shown_yet_is_replaced_and_that_is_told(avatar):
    cast = Cast(avatar, max_people=2)
    assert not cast.accept_pose(at('a', 0.0), 0.0)
    assert not cast.accept_pose(at('b', 0.0), 0.0)
    assert cast.accept_pose(at('a', 0.1), 0.1)
    cast.frame(0.1)
    assert not cast.fresh
    assert not cast.accept_pose(at('a', 0.2), 0.2)


def test_people_of_one_picture_are_waited_for_and_shown_at_the_same_instant(avatar):
    cast = Cast(avatar, max_people=3)
    for person in ('a', 'b'):
        cast.accept_pose(at(person, 1.0), 1.0)
    cast.accept_pose(at('c', 0.7), 1.0)  # of another camera
    cast.frame(1.0)
    cast.accept_pose(at('a', 2.0), 2.0)
    threading.Timer(0.05, lambda: cast.accept_pose(at('b', 2.0), 2.0)).start()
    start = time.perf_counter()
    cast.wait(5.0)
    assert 0.03 < time.perf_counter() - start < 2.0
    stamps = {s.pose.person_id: s.pose.stamp_ns for s in cast.frame(2.0)}
    assert stamps['a'] == stamps['b'] != stamps['c']
    start = time.perf_counter()
    cast.accept_pose(at('c', 2.1), 2.1)
    cast.wait(5.0)
    assert time.perf_counter() - start < 1.0, 'who comes alone waits for nobody'


def test_faces_go_with_their_person_and_a_lone_face_with_a_lone_person(avatar):
    cast = Cast(avatar, max_people=2)
    nameless = replace(neutral_face(), stamp_ns=1)
    cast.accept_face(nameless)
    assert play(cast, 0.0, 'a')[0].face is nameless
    of_b = replace(nameless, person_id='b')
    cast.accept_face(of_b)
    a, b = play(cast, 0.01, 'a', 'b')
    assert a.face is None
    assert b.face is of_b
    assert play(cast, 5.0, 'a', 'b')[1].face is None, 'too old'


# -- stage and picture -------------------------------------------------------------------------


def test_people_keep_their_distance_and_a_newcomer_moves_nobody(avatar):
    stage = Stage()
    alone = stage.place(at('a', 0.0, x=1.0), avatar, ['a'])
    both = [stage.place(at(p, 0.1, x=x), avatar, ['a', 'b']) for p, x in (('a', 1.0), ('b', -0.5))]
    np.testing.assert_allclose(both[0].T_frame_root, alone.T_frame_root, atol=1e-9)
    # Image left is the right of who faces the camera, and y of the stage is their left.
    apart = both[1].T_frame_root[:3, 3] - both[0].T_frame_root[:3, 3]
    np.testing.assert_allclose(apart, [0, -1.5, 0], atol=1e-6)


def test_view_glides_to_the_middle_of_the_people(avatar):
    stage = Stage()
    way = []
    for k in range(200):
        people = ['a'] if k < 10 else ['a', 'b']
        for p in people:
            stage.place(at(p, k * FRAME_S, x=0.0 if p == 'a' else 2.0), avatar, people)
        way.append(stage.T_stage_avatar[1, 3])
    assert np.abs(np.diff(way)).max() < 0.06
    assert way[-1] == pytest.approx(1.0, abs=0.01)


@pytest.fixture
def player(avatar):
    return Player(avatar, select_engine('numba'), Stage(), background=(0, 0, 0))


def test_two_people_stand_side_by_side_in_one_picture(player, avatar):
    camera = orbit_camera(160, 96, distance_m=4.0)
    a, b = at('a', x=0.6), at('b', x=-0.6)
    people = [Shown(a, None, avatar), Shown(b, None, avatar.twin())]
    seen = np.isfinite(player.render_people(people, [camera], depth=True).pictures[0].depth)
    one = Player(avatar.twin(), player.engine, Stage())
    alone = np.isfinite(one.render(a, None, [camera], depth=True).pictures[0].depth)
    assert 1.6 < seen.sum() / alone.sum() < 2.1
    # The first stands at the origin, the other at image left of him.
    columns = np.flatnonzero(seen.any(0))
    assert columns.min() < np.flatnonzero(alone.any(0)).min() - 15


def test_one_person_is_drawn_as_ever_and_nothing_is_copied_for_it(player, avatar):
    camera = orbit_camera(64, 64)
    first = player.render(at('a'), None, [camera]).pictures[0].rgb
    cast = Cast(avatar, max_people=4)
    people = play(cast, 0.0, 'a')
    np.testing.assert_array_equal(player.render_people(people, [camera]).pictures[0].rgb, first)
    assert joined(player._parts) is player._parts[0]


def test_who_fades_is_seen_through(player, avatar):
    camera = orbit_camera(64, 64)
    drawn = []
    for share in (1.0, 0.5, 1e-3):
        player.pose_people([Shown(at('a'), None, avatar, share)])
        drawn.append(float(player.draw([camera], depth=False).alphas.sum()))
    assert drawn[0] > drawn[1] > drawn[2]
    assert drawn[2] < 0.05 * drawn[0]


def test_twins_are_in_different_poses_at_the_same_time(avatar):
    twin = avatar.twin()
    here, there = avatar.deform(at('a')), twin.deform(at('b', x=1.0))
    np.testing.assert_allclose(
        (there.means - here.means).numpy(), [[1, 0, 0]] * len(avatar), atol=1e-5
    )
    assert twin._rest_means is avatar._rest_means


def test_plain_and_view_dependent_avatars_are_drawn_together(player, avatar):
    class Of:
        """The demo avatar, with or without colours that depend on the view."""

        def __init__(self, inner, view_dependent):
            self.inner, self.view_dependent = inner, view_dependent

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __len__(self):
            return len(self.inner)

        def colors_for(self, eyes):
            return torch.stack(
                [torch.full((len(self.inner), 3), 0.1 * k) for k, _ in enumerate(eyes)]
            )

    people = [
        Shown(at('a'), None, Of(avatar, False)),
        Shown(at('b'), None, Of(avatar.twin(), True)),
    ]
    player.pose_people(people)
    colors = player._colors([np.zeros(3), np.ones(3)])
    n = len(avatar)
    assert colors.shape == (2, 2 * n, 3)
    torch.testing.assert_close(colors[0, :n], player._parts[0].colors)
    torch.testing.assert_close(colors[1, n:], torch.full((n, 3), 0.1))
    player.draw([orbit_camera(32, 32)] * 2, depth=True)
