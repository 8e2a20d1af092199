# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Images to the poses of several people, each with filters and inverse kinematics of their own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from avatar_ros.geometry import Camera
from avatar_ros.tracking.landmarks import (
    BodyLandmarks,
    FaceLandmarks,
    HandLandmarks,
    Landmarks,
    make_estimator,
)
from avatar_ros.tracking.people import Association, PeopleConfig
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.tracking.tracker import PersonTracker, TrackerConfig, TrackerResult, since
from avatar_ros.types import Image

Details = tuple[FaceLandmarks | None, dict[str, HandLandmarks]]


@dataclass(frozen=True)
class SeenPeople:
    """Everything from one image."""

    bodies: list[BodyLandmarks]
    """In any order."""
    details: dict[str, Details] = field(default_factory=dict)
    """Face and hands of those whose body was known before, by their id."""


class PeopleEstimator(Protocol):
    """Image in, everybody's landmarks out. Implementations may keep state between images."""

    name: str

    def estimate_people(
        self, rgb: Image, camera: Camera, known: Mapping[str, BodyLandmarks]
    ) -> SeenPeople:
        """People in an image (H, W, 3), RGB; `known` are those seen in the image before, by id."""
        ...

    def reset(self) -> None:
        """Forget earlier images: time has jumped or another sequence begins."""
        ...

    def close(self) -> None:
        """Release models and threads."""
        ...


_MEDIAPIPE = 'avatar_ros.tracking.mediapipe_people:MediaPipePeopleEstimator'


def create_people_estimator(name: str, **options: Any) -> PeopleEstimator:
    """The built-in ``mediapipe``, or ``package.module:Class`` of your own.

    :raises ValueError: if there is no such estimator, or it does one person only.
    """
    estimator: PeopleEstimator = make_estimator(
        _MEDIAPIPE if name == 'mediapipe' else name, **options
    )
    if not hasattr(estimator, 'estimate_people'):
        raise ValueError(
            f'estimator {name!r} has no method estimate_people; it does one person. Use '
            'max_people = 1.'
        )
    return estimator


class PeopleTracker:
    """Several people from a sequence of images. Time comes from the stamps only."""

    def __init__(
        self,
        estimator: PeopleEstimator,
        rest: RestLandmarks,
        config: TrackerConfig | None = None,
        max_people: int = 4,
    ) -> None:
        self.config = config or TrackerConfig()
        self.estimator = estimator
        self.resets = 0
        self._rest = rest
        # Whoever is forgotten has faded to rest before.
        forget_s = self.config.hold.hold_s + self.config.hold.fade_s
        self._association = Association(PeopleConfig(max_people, forget_s=forget_s))
        self._forget()

    def _forget(self) -> None:
        self._association.reset()
        self._stamp_ns: int | None = None
        self._people: dict[str, PersonTracker] = {}
        self._known: dict[str, BodyLandmarks] = {}
        #: Stands for everybody while nobody is there.
        self._last = PersonTracker(self._rest, self.config, self.estimator.name)

    def close(self) -> None:
        """Release the estimator."""
        self.estimator.close()

    def reset(self) -> None:
        """Forget the past: people, filters, the estimator's memory."""
        self.resets += 1
        self.estimator.reset()
        self._forget()

    def process(self, rgb: Image, camera: Camera, stamp_ns: int) -> list[TrackerResult]:
        """Pose and expression of everybody in an image (H, W, 3) RGB taken at `stamp_ns`.

        At least one: while nobody is there, whoever was last, at rest and lost. A stamp before the
        last one (a looped bag) resets everything first.
        """
        dt_s = since(self._stamp_ns, stamp_ns)
        if dt_s < 0 or dt_s > self.config.reset_after_s:
            self.reset()
            dt_s = since(None, stamp_ns)
        self._stamp_ns = stamp_ns
        start = time.perf_counter()
        seen = self.estimator.estimate_people(rgb, camera, self._known)
        estimated = time.perf_counter()
        rows = self._association(seen.bodies, camera, dt_s)
        self._known = {person_id: seen.bodies[row] for person_id, row in rows.items()}
        results = self._follow(seen, camera, stamp_ns, dt_s)
        stages = {
            'estimate': (estimated - start) * 1e3,
            'ik': (time.perf_counter() - estimated) * 1e3,
        }
        return [replace(result, stages_ms=stages) for result in results]

    def _follow(
        self, seen: SeenPeople, camera: Camera, stamp_ns: int, dt_s: float
    ) -> list[TrackerResult]:
        there = self._association.present()
        for person_id in self._people.keys() - set(there):
            self._last = self._people.pop(person_id)
        results = []
        for person_id in there:
            tracker = self._people.get(person_id)
            if tracker is None:
                tracker = PersonTracker(self._rest, self.config, self.estimator.name)
                tracker.person_id = person_id
                self._people[person_id] = tracker
            face, hands = seen.details.get(person_id, (None, {}))
            landmarks = Landmarks(self._known.get(person_id), face, hands)
            results.append(tracker.follow(landmarks, camera, stamp_ns, dt_s))
        if not results:
            results = [self._last.follow(Landmarks(), camera, stamp_ns, dt_s)]
        return results
