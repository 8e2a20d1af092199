# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Ids of several people in made streams: crossings, occlusions, comings and goings."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from made_person import CAMERA, NO_PICTURE, REST, Person

from avatar_ros.body.pose import TrackingState
from avatar_ros.tracking import BodyLandmarks, Landmarks
from avatar_ros.tracking.people import Association, PeopleConfig
from avatar_ros.tracking.people_tracker import PeopleTracker, SeenPeople

DT_S = 1 / 15
Path = Callable[[float], tuple[float, float, float] | None]


def walker(t_s: float, at: tuple[float, float, float], phase: float = 0.0) -> Person:
    """Somebody who walks, seen at `at`."""
    swing = 0.5 * float(np.sin(6.0 * t_s + phase))
    person = (
        Person(yaw=1.2, at=at).bend('left_hip', (swing, 0, 0)).bend('right_hip', (-swing, 0, 0))
    )
    return person.bend('left_shoulder', (0, 0, -1.2)).bend('right_shoulder', (0, 0, 1.2))


def noisy(body: BodyLandmarks, rng: np.random.Generator) -> BodyLandmarks:
    """What an estimator makes of it: 3 pixels, 3 cm, and 5 percent of the size."""
    scale = 1.0 + rng.normal(0, 0.03)
    return replace(
        body,
        pixels=body.pixels + rng.normal(0, 3.0, body.pixels.shape),
        world=body.world * scale + rng.normal(0, 0.03, body.world.shape),
    )


def stream(paths: list[Path], seconds: float, seed: int = 0) -> Iterator[dict[int, BodyLandmarks]]:
    """Bodies by who they are (row of `paths`), in an order that changes from image to image."""
    rng = np.random.default_rng(seed)
    for k in range(round(seconds / DT_S)):
        there = {w: at for w, path in enumerate(paths) if (at := path(k * DT_S)) is not None}
        order = rng.permutation(list(there)) if there else []
        yield {int(w): noisy(walker(k * DT_S, there[w], 2.0 * w).seen(), rng) for w in order}


def follow(
    paths: list[Path], seconds: float, seed: int = 0, **config: float
) -> list[dict[int, str]]:
    """Who got which id, image by image."""
    association = Association(PeopleConfig(**config))  # type: ignore[arg-type]
    result = []
    for bodies in stream(paths, seconds, seed):
        rows = association(list(bodies.values()), CAMERA, DT_S)
        who = list(bodies)
        result.append({who[row]: person_id for person_id, row in rows.items()})
    return result


def ids_of(result: list[dict[int, str]], who: int) -> set[str]:
    return {image[who] for image in result if who in image}


SEEDS = range(8)


@pytest.mark.parametrize('seed', SEEDS)
def test_ids_survive_a_crossing_in_which_both_stay_visible(seed: int) -> None:
    result = follow(
        [lambda t: (-1.2 + 0.8 * t, 0.2, 3.0), lambda t: (1.2 - 0.8 * t, 0.2, 3.8)], 3.0, seed
    )
    assert ids_of(result, 0) == {'person_1'} or ids_of(result, 0) == {'person_2'}
    assert len(ids_of(result, 1)) == 1
    assert ids_of(result, 0) != ids_of(result, 1)
    assert sum(len(image) == 2 for image in result) > 40


@pytest.mark.parametrize('seed', SEEDS)
def test_ids_survive_a_crossing_that_hides_one_for_a_second(seed: int) -> None:
    def behind(t: float) -> tuple[float, float, float] | None:
        return None if 1.0 < t < 2.0 else (1.2 - 0.8 * t, 0.2, 3.8)

    result = follow([lambda t: (-1.2 + 0.8 * t, 0.2, 3.0), behind], 3.0, seed)
    for who in (0, 1):
        assert len(ids_of(result, who)) == 1
    assert ids_of(result, 0) != ids_of(result, 1)
    assert len(result[-1]) == 2


@pytest.mark.parametrize('seed', SEEDS)
def test_ids_survive_a_crossing_behind_which_the_walker_turns_back(seed: int) -> None:
    def behind(t: float) -> tuple[float, float, float] | None:
        if 1.0 < t < 2.0:
            return None
        return (1.0 - 0.8 * t, 0.2, 3.8) if t <= 1.0 else (0.2 + 0.8 * (t - 2.0), 0.2, 3.8)

    result = follow([lambda t: (0.0, 0.2, 2.8), behind], 3.0, seed)
    assert len(ids_of(result, 0)) == len(ids_of(result, 1)) == 1


@pytest.mark.parametrize('seed', SEEDS)
def test_ids_survive_an_estimator_that_slides_from_one_to_the_other(seed: int) -> None:
    def front(t: float) -> np.ndarray:
        return np.array([-0.9 + 0.6 * t, 0.2, 3.0])

    def back(t: float) -> np.ndarray:
        return np.array([0.9 - 0.6 * t, 0.2, 4.0])

    def slides(t: float) -> tuple[float, float, float]:
        share = float(np.clip((t - 1.2) / 0.6, 0.0, 1.0)) if t < 2.0 else 0.0
        x, y, z = (1 - share) * front(t) + share * back(t)
        return x, y, z

    def vanishes(t: float) -> tuple[float, float, float] | None:
        x, y, z = back(t)
        return None if 1.2 < t < 2.0 else (x, y, z)

    result = follow([slides, vanishes], 3.0, seed)
    first, last = result[15], result[-1]
    assert len(first) == 2
    assert last == first


def test_who_is_hidden_too_long_comes_back_as_somebody_new() -> None:
    result = follow([lambda t: None if 1.0 < t < 4.0 else (0.0, 0.2, 3.0)], 6.0)
    assert ids_of(result, 0) == {'person_1', 'person_2'}


def test_arrivals_and_leavings_do_not_touch_the_others_and_ids_are_never_used_again() -> None:
    paths: list[Path] = [
        lambda t: (0.0, 0.2, 3.0),
        lambda t: (-1.0, 0.2, 3.0) if 1.0 < t < 3.0 else None,
        lambda t: (1.0, 0.2, 3.0) if t > 2.0 else None,
        lambda t: (-1.0, 0.2, 3.0) if t > 6.0 else None,  # where another stood before
    ]
    result = follow(paths, 8.0)
    assert [ids_of(result, who) for who in range(4)] == [
        {'person_1'},
        {'person_2'},
        {'person_3'},
        {'person_4'},
    ]


def test_a_body_that_flickers_up_is_nobody() -> None:
    ghost: Path = lambda t: (1.0, 0.2, 3.0) if round(t / DT_S) % 10 == 5 else None  # noqa: E731
    result = follow([lambda t: (0.0, 0.2, 3.0), ghost], 4.0)
    assert not ids_of(result, 1)
    assert ids_of(result, 0) == {'person_1'}


def test_there_are_never_more_people_than_asked_for() -> None:
    paths: list[Path] = [lambda t, x=x: (x, 0.2, 4.0) for x in (-1.5, -0.5, 0.5, 1.5)]  # type: ignore[misc]
    result = follow(paths, 2.0, max_people=2)
    assert max(len(image) for image in result) == 2
    assert len(set().union(*(image.values() for image in result))) == 2


def test_a_body_that_is_found_twice_is_one_person() -> None:
    association = Association()
    rng = np.random.default_rng(0)
    for k in range(20):
        body = walker(k * DT_S, (0.0, 0.2, 3.0)).seen()
        rows = association([noisy(body, rng), noisy(body, rng)], CAMERA, DT_S)
        assert list(rows) == ['person_1']


def test_bodies_that_are_no_numbers_are_nobody() -> None:
    association = Association()
    good = Person().seen()
    bad = [
        replace(good, pixels=np.full((33, 2), np.nan)),
        replace(good, world=np.full((33, 3), np.inf)),
        replace(good, world=np.zeros((33, 3))),
        replace(good, visibility=np.full(33, np.nan)),
        replace(good, pixels=np.zeros((33, 2))),
    ]
    for _ in range(10):
        rows = association([*bad, good], CAMERA, DT_S)
        assert all(np.isfinite(t.hips).all() for t in association._tracks)
    assert 5 in rows.values()


# -- the tracker -------------------------------------------------------------------------------


class Script:
    """An estimator that says what the list says, then nothing."""

    name = 'script'

    def __init__(self, images: list[list[BodyLandmarks]]) -> None:
        self.images = iter(images)
        self.resets = 0
        self.known: list[set[str]] = []

    def estimate_people(self, rgb, camera, known) -> SeenPeople:  # type: ignore[no-untyped-def]
        self.known.append(set(known))
        return SeenPeople(next(self.images, []))

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        pass


def run(images: list[list[BodyLandmarks]], more: int = 0):  # type: ignore[no-untyped-def]
    tracker = PeopleTracker(Script(images), REST)
    count = len(images) + more
    return [tracker.process(NO_PICTURE, CAMERA, round(k * DT_S * 1e9)) for k in range(count)]


def test_each_person_gets_the_pose_that_a_tracker_for_one_gives() -> None:
    from made_person import Replay

    from avatar_ros.tracking import BodyTracker

    paths: list[Path] = [lambda t: (-0.8, 0.2, 3.0), lambda t: (0.8, 0.2, 3.5)]
    images = list(stream(paths, 2.0))
    together = run([list(bodies.values()) for bodies in images])
    for who in range(2):
        alone = BodyTracker(Replay([Landmarks(bodies[who]) for bodies in images]), REST)
        for k, results in enumerate(together):
            pose = alone.process(NO_PICTURE, CAMERA, round(k * DT_S * 1e9)).pose
            mine = [r.pose for r in results if (r.pose.T_frame_root[0, 3] > 0) == bool(who)]
            if k > 10:  # who came second counts a little later
                np.testing.assert_allclose(mine[0].T_frame_root, pose.T_frame_root, atol=0.02)
                cosine = np.abs((mine[0].rotations * pose.rotations).sum(1)).clip(0, 1)
                assert np.degrees(2 * np.arccos(cosine)).max() < 8.0


def test_who_is_hidden_is_held_then_fades_then_is_gone_and_the_last_stays_lost() -> None:
    paths: list[Path] = [
        lambda t: (-0.8, 0.2, 3.0) if t < 4.0 else None,
        lambda t: (0.8, 0.2, 3.0) if t < 1.0 else None,
    ]
    results = run([list(b.values()) for b in stream(paths, 4.0)], more=60)
    states = [{r.pose.person_id: r.pose.state for r in image} for image in results]
    second = [s['person_2'] for s in states if 'person_2' in s]
    assert [s for k, s in enumerate(second) if k == 0 or s != second[k - 1]] == [
        TrackingState.TRACKED,
        TrackingState.HELD,
        TrackingState.FADING,
    ]
    assert states[50].keys() == {'person_1'}
    assert states[-1] == {'person_1': TrackingState.LOST}


def test_before_anybody_comes_nobody_is_lost() -> None:
    (result,) = run([], more=1)[0]
    assert (result.pose.person_id, result.pose.state) == ('', TrackingState.LOST)


def test_a_looped_recording_starts_afresh_and_ids_go_on() -> None:
    images = [list(b.values()) for b in stream([lambda t: (0.0, 0.2, 3.0)], 1.0)]
    tracker = PeopleTracker(Script(images + images), REST)
    stamps = [round(k * DT_S * 1e9) for k in range(len(images))]
    poses = [tracker.process(NO_PICTURE, CAMERA, s)[0].pose for s in stamps + stamps]
    assert tracker.resets == 1
    assert poses[len(images) - 1].person_id == 'person_1'
    assert poses[-1].person_id == 'person_2'
