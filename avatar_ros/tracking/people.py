# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Which of the bodies in this image is which person: ids that survive crossings and occlusions.

Every person is predicted to where they should be now, at their last velocity, which is believed
less the longer they are not seen. What was found is then given to people so that the sum of costs
is least (the Hungarian method): distance of the hips in space, of all landmarks in the picture,
and difference in size. Distances beyond the gate are another person. The order in which an
estimator lists the bodies does not matter.

Where two people overlap in the picture an estimator may slide from one to the other, step by step,
and nothing looks wrong. So it is remembered how both moved when one of them vanished behind the
other, and when both are seen again they are told apart by that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SIDES
from avatar_ros.geometry import Camera
from avatar_ros.tracking.landmarks import BodyLandmarks
from avatar_ros.tracking.root import solve_translation
from avatar_ros.types import FloatArray

_TRUNK = [BLAZEPOSE_INDEX[f'{side}_{part}'] for side in SIDES for part in ('shoulder', 'hip')]
_SIDE_M, _SIDE_M_PER_S = 0.2, 0.6  # standard deviations: across the line of sight,
_DEPTH_M, _DEPTH_M_PER_S = 0.4, 0.8  # along it, where one camera knows little,
_LANDMARKS = 0.35  # of landmarks in the picture, in lengths of the trunk,
_SIZE = 0.15  # and of the logarithm of the size
_GATE = 3.0  # standard deviations across the line of sight
_NEVER = 1e6
_VELOCITY_S = 0.25  # time constant with which a velocity is learned,
_PREDICT_S = 1.0  # and with which it is believed when it is not renewed
_SIZE_S = 1.0
_OVERLAP = 1.2  # lengths of the trunk between the hips of two who may be taken for each other
_SWAP_MARGIN = 0.5  # of the cost, before ids are exchanged
_SAME = 0.3  # lengths of the trunk: two bodies so near each other are one


@dataclass(frozen=True)
class PeopleConfig:
    """When somebody counts as there, and for how long."""

    max_people: int = 4
    confirm_s: float = 0.15
    """How long somebody must be seen to be a person; the first is one at once."""
    forget_s: float = 1.5
    """How long somebody may be unseen and still be the same."""


@dataclass(eq=False)
class _Track:
    hips: FloatArray  # (3,) metres, camera
    pixels: FloatArray
    size: float
    person_id: str = ''
    velocity: FloatArray = field(default_factory=lambda: np.zeros(3))
    unseen_s: float = 0.0
    seen_s: float = 0.0
    trunk_px: float = 1.0
    hidden_by: '_Overlap | None' = None

    def predicted(self) -> FloatArray:
        """(3,) where the hips should be now."""
        believed_s = _PREDICT_S * (1.0 - np.exp(-self.unseen_s / _PREDICT_S))
        return np.asarray(self.hips + believed_s * self.velocity)


@dataclass
class _Overlap:
    """Somebody has vanished in front of or behind somebody else."""

    other: _Track
    mine: _Track
    theirs: _Track
    """Both as they were then; `unseen_s` goes on."""


@dataclass(frozen=True)
class _Found:
    row: int
    hips: FloatArray
    pixels: FloatArray
    weight: FloatArray
    trunk_px: float
    size: float


class Association:
    """Gives persistent ids to the bodies of one image after the other."""

    def __init__(self, config: PeopleConfig | None = None) -> None:
        self.config = config or PeopleConfig()
        self._people = 0
        self._tracks: list[_Track] = []

    def reset(self) -> None:
        """Forget everybody; their ids are not used again."""
        self._tracks = []

    def present(self) -> list[str]:
        """Everybody who is there, seen just now or not, in the order of their coming."""
        return [t.person_id for t in self._tracks if t.person_id]

    def __call__(
        self, bodies: Sequence[BodyLandmarks], camera: Camera, dt_s: float
    ) -> dict[str, int]:
        """Person id -> index in `bodies`, `dt_s` after the image before.

        Not everybody is in it: who is hidden keeps their id for a while, who has just come has
        none yet, and a body that is there twice counts once.
        """
        found = [f for row, body in enumerate(bodies) if (f := _found(row, body, camera))]
        found = [
            f
            for k, f in enumerate(found)
            if not any(_apart(f, other) < _SAME for other in found[:k])
        ]
        for track in self._tracks:
            track.unseen_s += dt_s
            if track.hidden_by is not None:
                track.hidden_by.mine.unseen_s += dt_s
                track.hidden_by.theirs.unseen_s += dt_s
        before = {id(t): replace(t) for t in self._tracks if t.person_id}
        matched = self._match(found, camera)
        for track_row, found_row in matched.items():
            self._update(self._tracks[track_row], found[found_row])
        self._tell_apart(matched, found, camera)
        self._note_overlaps(before, camera, dt_s)
        taken = set(matched.values())
        self._tracks = [t for t in self._tracks if not self._is_over(t)]
        for row, f in enumerate(found):
            if row not in taken and len(self._tracks) < 2 * self.config.max_people:
                self._tracks.append(_Track(f.hips, f.pixels, f.size))
        self._confirm()
        return {
            track.person_id: f.row
            for track in self._tracks
            for f in found
            if track.person_id and track.unseen_s == 0.0 and track.pixels is f.pixels
        }

    def _match(self, found: list[_Found], camera: Camera) -> dict[int, int]:
        if not self._tracks or not found:
            return {}
        cost = np.array([[_cost(track, f, camera) for f in found] for track in self._tracks])
        rows, columns = linear_sum_assignment(cost)
        return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if cost[r, c] < _NEVER}

    def _note_overlaps(self, before: dict[int, _Track], camera: Camera, dt_s: float) -> None:
        """Who has vanished in this image while somebody else is near in the picture."""
        for track in self._tracks:
            mine = before.get(id(track))
            if mine is None or not 0.0 < track.unseen_s <= 1.5 * dt_s or track.hidden_by:
                continue
            for other in self._tracks:
                theirs = before.get(id(other))
                if other is track or theirs is None or other.unseen_s > 0.0:
                    continue
                a, b = camera.project(np.stack([track.hips, other.hips]))
                if np.linalg.norm(a - b) < _OVERLAP * max(track.trunk_px, other.trunk_px):
                    track.hidden_by = _Overlap(other, mine, theirs)

    def _tell_apart(self, matched: dict[int, int], found: list[_Found], camera: Camera) -> None:
        """Exchange the ids of two who are seen again if their ways before say so."""
        seen = {id(self._tracks[row]): found[column] for row, column in matched.items()}
        for track in self._tracks:
            overlap = track.hidden_by
            if overlap is None or id(track) not in seen:
                continue
            if overlap.other not in self._tracks:
                track.hidden_by = None
            if id(overlap.other) not in seen or track.hidden_by is None:
                continue
            track.hidden_by = None
            mine, theirs = seen[id(track)], seen[id(overlap.other)]
            straight = _cost(overlap.mine, mine, camera) + _cost(overlap.theirs, theirs, camera)
            crossed = _cost(overlap.mine, theirs, camera) + _cost(overlap.theirs, mine, camera)
            if crossed + _SWAP_MARGIN < straight:
                other = overlap.other
                track.person_id, other.person_id = other.person_id, track.person_id

    def _update(self, track: _Track, f: _Found) -> None:
        gap_s = max(track.unseen_s, 1e-3)
        speed = (f.hips - track.hips) / gap_s
        track.velocity = track.velocity + (1.0 - np.exp(-gap_s / _VELOCITY_S)) * (
            speed - track.velocity
        )
        track.size += (1.0 - np.exp(-gap_s / _SIZE_S)) * (f.size - track.size)
        track.hips, track.pixels, track.trunk_px = f.hips, f.pixels, f.trunk_px
        track.seen_s += gap_s
        track.unseen_s = 0.0

    def _is_over(self, track: _Track) -> bool:
        """Who has no id yet has no credit either: one missed image ends the track."""
        limit = self.config.forget_s if track.person_id else 0.0
        return track.unseen_s > limit

    def _confirm(self) -> None:
        for track in self._tracks:
            there = self.present()
            if track.person_id or len(there) >= self.config.max_people:
                continue
            if not there or track.seen_s >= self.config.confirm_s:
                self._people += 1
                track.person_id = f'person_{self._people}'


def _found(row: int, body: BodyLandmarks, camera: Camera) -> _Found | None:
    """What counts of a body; None if it has no place or is not finite."""
    if not (np.isfinite(body.pixels).all() and np.isfinite(body.world).all()):
        return None
    weight = np.clip(np.nan_to_num(body.visibility), 0.0, 1.0) + 1e-3
    try:
        hips = solve_translation(camera, body.pixels, body.world, weight**2)
    except (ValueError, np.linalg.LinAlgError):
        return None
    if not hips[2] > 0.1:
        return None
    world, pixels = body.world[_TRUNK], body.pixels[_TRUNK]
    return _Found(
        row,
        hips,
        body.pixels,
        weight / weight.sum(),
        max(1.0, _trunk_length(pixels)),
        max(0.05, _trunk_length(world)),
    )


def _trunk_length(points: FloatArray) -> float:
    """From the middle of the hips to the middle of the shoulders, plus the shoulders' width.

    Points (4, n) in the order of `_TRUNK`. The sum changes less than either when somebody turns.
    """
    left_shoulder, left_hip, right_shoulder, right_hip = points
    up = (left_shoulder + right_shoulder - left_hip - right_hip) / 2
    return float(np.linalg.norm(up) + np.linalg.norm(left_shoulder - right_shoulder))


def _apart(a: _Found, b: _Found) -> float:
    """Mean distance of landmarks in the picture, in lengths of the trunk."""
    distance = np.linalg.norm(a.pixels - b.pixels, axis=1)
    return float(a.weight @ distance / min(a.trunk_px, b.trunk_px))


def _cost(track: _Track, f: _Found, camera: Camera) -> float:
    """Minus twice the logarithm of how likely this body is where this person was expected.

    The spread that an unseen person is granted counts against them: else who is hidden would take
    the body of whoever walks in front.
    """
    predicted = track.predicted()
    if not predicted[2] > 0.1:
        predicted = track.hips
    gap_s = track.unseen_s
    sight = predicted / np.linalg.norm(predicted)
    off = f.hips - predicted
    along = float(off @ sight)
    across = float(np.linalg.norm(off - along * sight))
    shift = camera.project(np.stack([predicted, track.hips]))
    moved = np.linalg.norm(track.pixels + (shift[0] - shift[1]) - f.pixels, axis=1)
    landmarks = float(f.weight @ moved) / f.trunk_px
    size = float(np.log(f.size / track.size))
    side_m = _SIDE_M + _SIDE_M_PER_S * gap_s
    if across > _GATE * side_m:
        return _NEVER
    deviations = (
        (across, side_m, 2),
        (along, _DEPTH_M + _DEPTH_M_PER_S * gap_s, 1),
        (landmarks, _LANDMARKS + gap_s, 2),
        (size, _SIZE, 1),
    )
    return sum(
        (value / sigma) ** 2 + 2 * n * float(np.log(sigma)) for value, sigma, n in deviations
    )
