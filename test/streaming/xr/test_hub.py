# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming.xr.conftest import LEFT, PERSON, RIGHT, disc, eyes_message, read_frame

from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.hub import Hub
from avatar_ros.streaming.xr.protocol import Hello, ProtocolError
from avatar_ros.streaming.xr.rate import LADDER, RateControl
from avatar_ros.streaming.xr.viewers import FULL_WINDOW, WINDOW, Viewer

FRAME_S = 1 / 30


class Theatre:
    """A hub with viewers, a clock of its own, and a renderer that draws a disc."""

    def __init__(self, **options):
        self.now = 100.0
        self.got = {}
        self.hub = Hub(
            lambda v, data: self.got[v].append(read_frame(data)), **{'height': 64, **options}
        )
        self.views = 0

    def viewer(self, position=LEFT, lanes=('h264',), stereo=False):
        viewer = Viewer(Hello(lanes, 'vr', 2048))
        self.got[viewer] = []
        self.hub.join(viewer)
        self.look(viewer, position, stereo)
        return viewer

    def look(self, viewer, position, stereo=False):
        self.views += 1
        both = (position, np.add(position, np.subtract(RIGHT, LEFT)))
        message = eyes_message(self.views, both if stereo else both[:1], t=self.now * 1e3, frame=0)
        self.hub.see(viewer, protocol.parse_binary(message), self.now)

    def frame(self, acknowledging=()):
        """One picture for everybody who has room; these acknowledge it at once."""
        works = self.hub.work(PERSON, self.now)
        for work in works:
            camera = work.cameras[0]
            layers = [disc(camera.width, camera.height) for _ in work.cameras]
            self.hub.finish(work, layers, 0.0, 1.0, lambda: self.now)
        for viewer in acknowledging:
            if self.got[viewer]:
                self.hub.acknowledge(viewer, self.got[viewer][-1]['frame_id'], self.now)
        self.now += FRAME_S
        return works


def test_poses_keep_to_the_window_and_the_newest_wins():
    sent = []
    hub = Hub(lambda viewer, data: sent.append(data))
    viewer = Viewer(Hello(('pose',), 'vr', 2048))
    hub.join(viewer)
    hub.see(viewer, protocol.parse_binary(eyes_message(1, (LEFT,))), 100.0)
    for k in range(5):
        now_s = 100.0 + k * FRAME_S
        hub.send_pose(hub.takers(True, now_s), bytes([k]), 0.0, now_s)
    assert [data[16] for data in sent] == list(range(WINDOW))
    assert viewer.skipped == 5 - WINDOW
    hub.acknowledge(viewer, WINDOW, 100.3)
    hub.send_pose(hub.takers(True, 100.4), b'newest', 0.0, 100.4)
    assert sent[-1].endswith(b'newest')


def test_viewers_with_the_same_eyes_share_one_picture():
    theatre = Theatre()
    one, two = theatre.viewer(), theatre.viewer(np.add(LEFT, (0.01, 0, 0)))
    works = theatre.frame()
    assert len(works) == 1
    assert len(works[0].members) == 2
    a, b = theatre.got[one][0], theatre.got[two][0]
    assert a['payload'] == b['payload']
    assert a['key']
    assert a['view_id'] != b['view_id']


def test_viewers_elsewhere_or_of_another_kind_get_their_own():
    theatre = Theatre()
    theatre.viewer()
    theatre.viewer(np.add(LEFT, (0.5, 0, 0)))
    theatre.viewer(stereo=True)
    theatre.viewer(lanes=('jpeg',))
    works = theatre.frame()
    assert [len(work.members) for work in works] == [1, 1, 1, 1]
    assert sorted(len(work.cameras) for work in works) == [1, 1, 1, 2]


def test_one_who_walks_away_leaves_the_stream_and_joins_again():
    theatre = Theatre()
    one, two = theatre.viewer(), theatre.viewer()
    everybody = (one, two)
    assert len(theatre.frame(everybody)) == 1
    theatre.look(two, np.add(LEFT, (0.3, 0, 0)))
    assert len(theatre.frame(everybody)) == 2
    theatre.look(two, LEFT)
    assert len(theatre.frame(everybody)) == 2  # not back at once
    theatre.now += 5.0
    works = [theatre.frame(everybody) for _ in range(2)][-1]
    assert len(works[-1].members) == 2
    keys = [frame['key'] for frame in theatre.got[two]]
    assert keys[0]
    assert keys[1]
    assert any(keys[2:])


def test_who_does_not_acknowledge_gets_a_window_of_frames():
    theatre = Theatre()
    silent = theatre.viewer()
    for _ in range(10):
        theatre.frame()
    assert len(theatre.got[silent]) == WINDOW
    theatre.hub.acknowledge(silent, theatre.got[silent][-1]['frame_id'], theatre.now)
    theatre.frame()
    assert len(theatre.got[silent]) == WINDOW + 1


def sent_while_silent(trips_ms):
    """Frames that a viewer gets without acknowledging, after frames that took so long."""
    viewer, now_s = Viewer(Hello(('h264',), 'vr', 512)), 5.0
    for trip in trips_ms:
        viewer.acknowledge(viewer.send(1000, now_s), now_s + trip * 1e-3)
        now_s += 1.0
    count = 0
    while viewer.has_room(now_s):
        viewer.send(1000, now_s)
        count += 1
    return count


def test_a_third_frame_goes_out_where_a_packet_may_be_lost_but_not_on_a_way_that_is_full():
    assert sent_while_silent([25] * 5) == WINDOW
    assert sent_while_silent([25] * 5 + [90]) == FULL_WINDOW
    assert sent_while_silent([25] * 5 + [90, 25]) == WINDOW
    assert sent_while_silent([180] * 5) == WINDOW  # far away is not full


def test_a_slow_viewer_holds_up_nobody_for_long():
    theatre = Theatre()
    fast, slow = theatre.viewer(), theatre.viewer()
    for _ in range(30):
        theatre.frame(acknowledging=(fast,))
    assert len(theatre.got[fast]) >= 26
    assert len(theatre.got[slow]) == WINDOW


def test_every_chain_begins_with_a_key_frame():
    """Whatever happened before, what a viewer gets first in a stream stands alone."""
    theatre = Theatre()
    one = theatre.viewer()
    for _ in range(3):
        theatre.frame((one,))
    two = theatre.viewer()
    theatre.frame((one, two))
    assert theatre.got[two][0]['key']
    theatre.hub.ask_key(one, theatre.now)
    theatre.frame((one, two))
    assert theatre.got[one][-1]['key']
    theatre.frame((one, two))
    assert not theatre.got[one][-1]['key']


def test_key_frames_cannot_be_had_without_end():
    theatre = Theatre()
    one = theatre.viewer()
    for _ in range(90):
        theatre.hub.ask_key(one, theatre.now)
        theatre.frame((one,))
    assert sum(frame['key'] for frame in theatre.got[one]) <= 2 + 3 * 2 + 1


def test_lost_acknowledgements_do_not_stop_a_viewer_for_ever():
    theatre = Theatre()
    one = theatre.viewer()
    for _ in range(3 * 30):
        theatre.frame()
    assert len(theatre.got[one]) > WINDOW


def test_pixels_a_second_are_bounded():
    theatre = Theatre()
    theatre.frame((theatre.viewer(),))
    width, height = next(iter(theatre.got.values()))[0]['size']
    theatre = Theatre(max_pixels_per_s=width * height * 10.0)
    one = theatre.viewer()
    for _ in range(60):
        theatre.frame((one,))
    assert 18 <= len(theatre.got[one]) <= 24


def test_a_budget_smaller_than_a_picture_still_shows_one_now_and_then():
    theatre = Theatre(max_pixels_per_s=1000.0)
    one = theatre.viewer()
    for _ in range(600):
        theatre.frame((one,))
    assert 2 <= len(theatre.got[one]) <= 10


def test_a_budget_of_pixels_is_shared_fairly():
    theatre = Theatre(max_pixels_per_s=100_000.0)
    everybody = [theatre.viewer((0.5 * k, 1.6, 2.0)) for k in range(4)]
    for _ in range(300):
        theatre.frame(everybody)
    counts = [len(theatre.got[viewer]) for viewer in everybody]
    assert min(counts) > 0.7 * max(counts)


def test_a_viewer_who_shakes_does_not_cost_others_key_frames():
    theatre = Theatre()
    calm, shaking = theatre.viewer(), theatre.viewer()
    for k in range(60):
        theatre.look(shaking, np.add(LEFT, (0.1 * (k % 2), 0, 0)))
        theatre.frame((calm, shaking))
    assert sum(frame['key'] for frame in theatre.got[calm]) <= 3


def test_lane_changes_and_goodbyes():
    theatre = Theatre()
    one = theatre.viewer(lanes=('h264', 'jpeg'))
    theatre.frame((one,))
    theatre.hub.change_lane(one, 'jpeg')
    theatre.frame((one,))
    assert [frame['codec'] for frame in theatre.got[one]] == [0, 1]
    theatre.hub.leave(one)
    assert theatre.frame() == []
    assert theatre.hub.count() == (0, 0)


def test_a_viewer_who_wants_small_pictures_gets_them_alone():
    theatre = Theatre(height=128)
    one, two = theatre.viewer(), theatre.viewer()
    theatre.hub.greet_again(two, Hello(('h264',), 'vr', 64))
    theatre.frame((one, two))
    assert theatre.got[one][-1]['size'][1] == 128
    assert theatre.got[two][-1]['size'][1] == 64


def test_asking_for_the_lane_that_one_has_changes_nothing():
    theatre = Theatre()
    one = theatre.viewer()
    theatre.frame((one,))
    for _ in range(5):
        theatre.hub.change_lane(one, 'h264')
        theatre.frame((one,))
    assert sum(frame['key'] for frame in theatre.got[one]) == 1


def test_changes_of_lane_and_size_are_counted():
    viewer = Viewer(Hello(('h264',), 'vr', 512))
    for _ in range(6):
        viewer.spend_change(5.0)
    with pytest.raises(ProtocolError, match='change'):
        viewer.spend_change(5.0)


def test_late_eyes_are_left_out():
    theatre = Theatre()
    one = theatre.viewer()
    new = protocol.parse_binary(eyes_message(1000, (LEFT,)))
    old = protocol.parse_binary(eyes_message(999, (RIGHT,)))
    theatre.hub.see(one, new, theatre.now)
    theatre.hub.see(one, old, theatre.now)
    assert one.eyes.view_id == 1000


def test_eyes_are_predicted_to_when_the_client_expects_their_picture():
    viewer = Viewer(Hello(('h264',), 'vr', 512))
    for k in range(30):
        message = eyes_message(k + 1, ((0.01 * k, 1.6, 2.0),), t=10.0 * k, until_display=50.0)
        viewer.see(protocol.parse_binary(message))
    # 1 m/s for 50 ms.
    assert viewer.predicted_views()[0, 0] == pytest.approx(0.29 + 0.05, abs=0.003)


def test_a_jump_is_not_taken_for_motion_that_goes_on():
    viewer = Viewer(Hello(('h264',), 'vr', 512))
    for k, x in enumerate((0.0, 0.01, 0.02, 0.52)):
        message = eyes_message(k + 1, ((x, 1.6, 2.0),), t=10.0 * k, until_display=50.0)
        viewer.see(protocol.parse_binary(message))
    assert viewer.predicted_views()[0, 0] == pytest.approx(0.52, abs=1e-6)


@pytest.mark.parametrize(('until_display', 'ahead'), [(-1e9, 0.0), (1e9, 0.1)])
def test_times_of_display_that_cannot_be_are_bounded(until_display, ahead):
    viewer = Viewer(Hello(('h264',), 'vr', 512))
    for k in range(30):
        position = 0.01 * k, 1.6, 2.0
        message = eyes_message(k + 1, (position,), t=10.0 * k, until_display=until_display)
        viewer.see(protocol.parse_binary(message))
    assert viewer.predicted_views()[0, 0] == pytest.approx(0.29 + ahead, abs=0.005)


def test_too_many_messages_are_refused():
    viewer = Viewer(Hello(('h264',), 'vr', 512))
    for _ in range(100):
        viewer.spend(5.0)
    with pytest.raises(ProtocolError, match='messages a second'):
        _spend(viewer, 1000)


def _spend(viewer, count):
    for _ in range(count):
        viewer.spend(5.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(1, 500)), max_size=200))
def test_rate_stays_on_the_ladder(history):
    rate = RateControl()
    for k, (sent, trip) in enumerate(history):
        rate.offered(k * FRAME_S, sent)
        if sent:
            rate.acknowledged(k * FRAME_S, trip)
        rate.decide(k * FRAME_S)
        assert rate.step in LADDER


def test_rate_falls_on_a_bad_link_and_rises_on_a_good_one():
    rate, now = RateControl(), 0.0

    def live(seconds, sent, trip, kilobytes=20):
        nonlocal now
        for _ in range(round(seconds * 30)):
            now += FRAME_S
            rate.offered(now, sent)
            rate.carried(now, kilobytes * 1000)
            rate.acknowledged(now, trip)
            rate.decide(now)
        return rate.rung

    assert live(3, True, 20.0) == 0
    assert live(3, True, 150.0) > 0
    assert live(30, True, 20.0) == 0
    assert live(2, False, 20.0) > 0


def test_a_client_that_is_slow_by_itself_keeps_its_quality():
    rate = RateControl()
    for k in range(150):
        now = k * FRAME_S
        drawn = k % 10 == 0  # three frames a second
        rate.offered(now, drawn)
        if drawn:
            rate.carried(now, 20_000)
            rate.acknowledged(now, 400.0)
        rate.decide(now)
    assert rate.rung == 0
