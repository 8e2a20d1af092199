# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Who is on the stage: the newest pose and face of each person, and whose avatar shows them.

Poses come one message a person. Those who are tracked together come together, so `wait` waits a
little for the rest of the group, and one frame shows all of them at the same instant.

People leave when others go on without them: a person whose last pose is `leave_s` older than the
newest pose of anybody fades out. While nobody sends, nobody leaves: a paused bag is no departure,
and the last person stays as last seen.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from avatar_ros.avatars.avatar import Avatar
from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.body.pose import TrackingState

FADE_S = 0.4
_FACE_MAX_AGE_NS = 1_000_000_000


@dataclass(frozen=True)
class Shown:
    """One person in one frame."""

    pose: BodyPose
    face: FaceExpression | None
    avatar: Avatar
    share: float = 1.0
    """Of the opacity: below 1 while somebody comes or goes."""


@dataclass
class _Person:
    avatar: Avatar
    kind: str
    pose: BodyPose
    seen_s: float
    came_s: float
    fresh: bool = True
    paired: bool = True  # whether face and pose come with the same stamp
    group_ns: int = 0  # stamp that the pose had in the last frame


class Cast:
    """Safe to feed from any thread; one thread asks for frames. Times are seconds of any clock."""

    def __init__(
        self,
        avatar: Avatar,
        avatars: Mapping[str, Avatar] | None = None,
        *,
        max_people: int = 1,
        leave_s: float = 2.0,
        fade_s: float = FADE_S,
    ) -> None:
        """`avatars` by person id; everybody else gets `avatar`."""
        self._kinds: dict[str, Avatar] = {
            '': avatar,
            **{f'={k}': a for k, a in (avatars or {}).items()},
        }
        self._unused = {kind: [a] for kind, a in self._kinds.items()}
        self._max, self._leave_s, self._fade_s = max_people, leave_s, fade_s
        self._changed = threading.Condition()
        self._people: OrderedDict[str, _Person] = OrderedDict()
        self._faces: OrderedDict[str, FaceExpression] = OrderedDict()

    # -- input -------------------------------------------------------------------------------

    def accept_pose(self, pose: BodyPose, now_s: float) -> bool:
        """Take a person's newest pose; whether it replaced one that was not shown yet.

        Who is lost is only shown while nobody else is there.

        :raises ValueError: if the stage is full.
        """
        with self._changed:
            self._make_way(pose, now_s)
            person = self._people.get(pose.person_id)
            replaced = person is not None and person.fresh
            others = any(person_id != pose.person_id for person_id in self._people)
            unheard = pose.state == TrackingState.LOST and others
            if person is None and unheard:
                return False
            if person is None:
                if len(self._people) >= self._max:
                    raise ValueError(
                        f'person {pose.person_id!r:.40} is one more than max_people = {self._max}; '
                        'raise it, or choose whom to show.'
                    )
                kind = f'={pose.person_id}'
                kind = kind if kind in self._kinds else ''
                # Who comes to an empty stage is there at once.
                came_s = now_s if self._people else now_s - self._fade_s
                avatar = self._avatar_of(kind)
                self._people[pose.person_id] = _Person(avatar, kind, pose, now_s, came_s)
            else:
                person.pose, person.fresh = pose, True
                if not unheard:
                    person.seen_s = now_s
            self._changed.notify_all()
        return replaced

    def accept_face(self, face: FaceExpression) -> None:
        """Take a person's newest expression."""
        with self._changed:
            self._faces[face.person_id] = face
            self._faces.move_to_end(face.person_id)
            while len(self._faces) > 2 * self._max:
                self._faces.popitem(last=False)
            self._changed.notify_all()

    def clear(self) -> None:
        """Nobody is there."""
        with self._changed:
            for person_id in list(self._people):
                self._remove(person_id)
            self._faces.clear()

    def _make_way(self, pose: BodyPose, now_s: float) -> None:
        """Let those go who are gone, before somebody new comes."""
        if pose.person_id in self._people:
            return
        for person_id, person in list(self._people.items()):
            lost = person.pose.state == TrackingState.LOST  # shown only because nobody else was
            if lost or self._max == 1 or self._share(person, now_s) <= 0.0:
                self._remove(person_id)

    def _avatar_of(self, kind: str) -> Avatar:
        unused = self._unused[kind]
        return unused.pop() if unused else self._kinds[kind].twin()

    def _remove(self, person_id: str) -> None:
        person = self._people.pop(person_id)
        self._unused[person.kind].append(person.avatar)
        self._faces.pop(person_id, None)

    # -- frames ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._people)

    @property
    def fresh(self) -> bool:
        """Somebody has a pose that was not shown yet."""
        with self._changed:
            return any(p.fresh for p in self._people.values())

    def wait(self, timeout_s: float) -> None:
        """Wait for the rest of a group: whoever had the same stamp in the last frame.

        Likewise for faces that come in pairs with their pose.
        """
        with self._changed:
            self._changed.wait_for(self._complete, timeout_s)

    def frame(self, now_s: float) -> list[Shown]:
        """Everybody to show, in the order of their coming."""
        with self._changed:
            for person_id, person in list(self._people.items()):
                if self._share(person, now_s) <= 0.0:
                    self._remove(person_id)
            shown = []
            for person in self._people.values():
                face = self._face_of(person.pose)
                person.paired = face is not None and face.stamp_ns == person.pose.stamp_ns
                person.fresh, person.group_ns = False, person.pose.stamp_ns
                if face is not None and _apart_ns(face, person.pose) > _FACE_MAX_AGE_NS:
                    face = None
                share = self._share(person, now_s)
                shown.append(Shown(person.pose, face, person.avatar, share))
            return shown

    def _complete(self) -> bool:
        people = list(self._people.values())
        for person in people:
            if person.fresh:
                face = self._face_of(person.pose)
                if person.paired and face is not None and face.stamp_ns < person.pose.stamp_ns:
                    return False
            elif any(p.fresh and p.group_ns == person.group_ns for p in people):
                return False
        return True

    def _face_of(self, pose: BodyPose) -> FaceExpression | None:
        """Of the same person; of whomever, as long as there is one person only."""
        if len(self._people) == 1 and self._faces:
            return next(reversed(self._faces.values()))
        return self._faces.get(pose.person_id)

    def _share(self, person: _Person, now_s: float) -> float:
        newest_s = max(p.seen_s for p in self._people.values())
        gone_s = newest_s - person.seen_s - self._leave_s
        leaving = 1.0 if gone_s <= 0.0 else 1.0 - gone_s / self._fade_s
        coming = (now_s - person.came_s) / self._fade_s
        return min(1.0, max(0.0, leaving), max(coming, 1e-3))


def _apart_ns(face: FaceExpression, pose: BodyPose) -> int:
    return abs(pose.stamp_ns - face.stamp_ns)
