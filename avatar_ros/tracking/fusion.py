# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""One person from several trackers: each joint from the source that knows it best, without pops.

A source's claim to a joint is its confidence there, halved for every source that is preferred to
it for this part of the body, and less the older its sample is. Who has a joint keeps it unless
somebody's claim is clearly better. When a joint changes hands, what is shown stays where it was,
and the difference to the new source dies away at a limited speed (inertialization, Bollo 2018); so
nothing is averaged, and true fast motion is not slowed down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avatar_ros.body import SMPLX, BodyPose, FaceExpression
from avatar_ros.body.pose import IDENTITY_QUAT, TrackingState
from avatar_ros.geometry import quat_conjugate, quat_from_rotvec, quat_multiply, rotvec_from_quat
from avatar_ros.tracking.clock_offset import Offset
from avatar_ros.tracking.fusion_handover import Face, Root, died_away
from avatar_ros.tracking.fusion_source import ROOT, Source
from avatar_ros.tracking.tracker import relaxed_quats
from avatar_ros.types import Array, FloatArray

PARTS = ('body', 'hands', 'face')
_FINGERS = [i for i, n in enumerate(SMPLX.joints) if n[-1] in '123' and 'spine' not in n]
_HEAD = SMPLX.rows(('jaw', 'left_eye_smplhf', 'right_eye_smplhf'))
_JUMP_S = 0.5  # back in time: a looped bag
_SAME_CLOCK_S = 1.0  # a message that takes longer comes from another clock


@dataclass(frozen=True)
class FusionConfig:
    """Times in seconds."""

    timeout_s: float = 0.5
    """Older samples do not count."""
    hold_s: float = 0.5
    """How long a joint that nobody knows stays before it goes to rest."""
    fresh_s: float = 0.3
    """Age at which a claim has fallen to 37 percent."""
    keep: float = 1.3
    """How many times better a claim must be to take a joint over."""
    settle_s: float = 0.25
    """Time constant with which a difference dies away,"""
    settle_deg_per_s: float = 90.0
    """and how fast at most,"""
    settle_deg: float = 3.5
    """and how far a frame."""
    settle_m_per_s: float = 0.6
    min_confidence: float = 0.05


class Fusion:
    """Sources by name, in order of preference; `preferred` says otherwise for a part of the body.

    Times are seconds of the receiver's clock.
    """

    def __init__(
        self,
        sources: Sequence[str],
        preferred: Mapping[str, Sequence[str]] | None = None,
        config: FusionConfig | None = None,
    ) -> None:
        """:raises ValueError: if there are no sources, or a preference names another one."""
        if not sources or len(set(sources)) != len(sources):
            raise ValueError(f'sources are {list(sources)}; expected at least one, each once.')
        self.config = config or FusionConfig()
        self._sources = [Source(name) for name in sources]
        self._rank = np.empty((len(sources), len(SMPLX)))
        for part in PARTS:
            order = list((preferred or {}).get(part) or sources)
            unknown = set(order) - set(sources)
            if unknown:
                raise ValueError(
                    f'{part} is preferred from {sorted(unknown)[0]!r}; expected names of '
                    f'sources: {", ".join(sources)}.'
                )
            order += [name for name in sources if name not in order]
            self._rank[:, _rows_of(part)] = [[order.index(name)] for name in sources]
        self._face_rank = self._rank[:, _HEAD[0]]
        self.reset()

    def reset(self) -> None:
        """Forget everything that was told and shown."""
        self._sources = [Source(source.name) for source in self._sources]
        joints = len(SMPLX)
        self._rest = relaxed_quats()
        self._owner: Array = np.full(joints, -1)
        self._stamp_of: Array = np.full(
            joints, -np.inf
        )  # of the owner's sample that was shown last
        self._unowned_s: Array = np.full(joints, np.inf)
        self._shown: FloatArray | None = None
        self._apart: FloatArray = np.zeros((joints, 3))
        self._root = Root(self.config.settle_s, self.config.settle_m_per_s)
        self._face = Face(self.config.keep, self.config.settle_s)
        self._time_s = -np.inf
        self._lead = ''
        self._stamp_ns = 0

    # -- input -------------------------------------------------------------------------------

    def add_pose(self, name: str, pose: BodyPose, arrived_s: float) -> None:
        """A source's newest pose. A jump back in time forgets everything."""
        if arrived_s < self._time_s - _JUMP_S:
            self.reset()
        self._source(name).add_pose(pose, arrived_s)

    def add_face(self, name: str, face: FaceExpression, arrived_s: float) -> None:
        """A source's newest expression."""
        self._source(name).add_face(face, arrived_s)

    def _source(self, name: str) -> Source:
        return next(s for s in self._sources if s.name == name)

    # -- clocks ------------------------------------------------------------------------------

    def estimate_offsets(self, now_s: float) -> dict[str, Offset]:
        """Clock offsets against the first source that has a pose; about once a second."""
        reference = next((s for s in self._sources if s.pose is not None), None)
        found = {}
        for source in self._sources:
            if reference is None or source is reference:
                continue
            offset = source.offset.update(source.motion, reference.motion, now_s)
            if offset is not None:
                found[source.name] = offset
        return found

    # -- output ------------------------------------------------------------------------------

    def lead(self, now_s: float) -> str:
        """Whose samples set the pace: who the root comes from, or would."""
        claims = self._claims(now_s)[:, ROOT]
        owner = int(self._owner[ROOT])
        if claims.max() <= 0.0:
            return self._lead
        if owner >= 0 and claims[owner] * self.config.keep >= claims.max():
            return self._sources[owner].name
        return self._sources[int(claims.argmax())].name

    def fuse(self, now_s: float) -> tuple[BodyPose, FaceExpression | None] | None:
        """The person now; None while no source has told a pose."""
        self._lead = self.lead(now_s)
        lead = next((s for s in self._sources if s.name == self._lead), None)
        if lead is None or lead.pose is None:
            return None
        first = self._shown is None
        dt_s = 1 / 30 if first else max(0.0, min(1.0, now_s - self._time_s))
        self._time_s = now_s
        changed = self._choose(now_s, dt_s)
        aim = self._aim()
        if self._shown is None:
            self._shown = aim
        limit = self._step_rad(dt_s)
        self._apart = died_away(self._apart, dt_s, self.config.settle_s, limit)
        back = quat_multiply(quat_conjugate(aim), self._shown)
        self._apart = np.where(changed[:, None], rotvec_from_quat(back), self._apart)
        held = self._owner < 0
        holding = held & (self._unowned_s <= self.config.hold_s)
        shown = quat_multiply(aim, quat_from_rotvec(self._apart))
        self._shown = np.where(holding[:, None], self._shown, shown)
        self._shown[ROOT] = IDENTITY_QUAT
        if self._owner[ROOT] >= 0:
            owner = self._sources[self._owner[ROOT]].pose
            assert owner is not None
            self._root.place(owner, dt_s, limit, changed=bool(changed[ROOT]))
        rows = np.arange(len(SMPLX))
        confidence = np.stack([s.confidence for s in self._sources])[self._owner, rows]
        pose = replace(
            lead.pose,
            skeleton=SMPLX,
            stamp_ns=self._stamp(lead),
            T_frame_root=self._root.T.copy(),
            rotations=self._shown.copy(),
            confidence=np.where(held, 0.0, confidence),
            frame_id=self._root.frame_id or lead.pose.frame_id,
            source='+'.join(sorted({self._sources[k].name for k in self._owner if k >= 0})),
            state=self._state(),
        )
        face = self._fuse_face(now_s, dt_s, limit)
        if face is not None:
            face = replace(face, stamp_ns=pose.stamp_ns, person_id=pose.person_id)
        return pose, face

    def _stamp(self, lead: Source) -> int:
        """Of the lead's sample; on our clock if its own is another one. It never goes back."""
        assert lead.pose is not None
        told = lead.pose.stamp_ns
        if abs(lead.motion.to_receiver_s) > _SAME_CLOCK_S:
            told = round(lead.pose_s * 1e9)
        self._stamp_ns = max(self._stamp_ns + 1, told)
        return self._stamp_ns

    def owners(self) -> dict[str, str]:
        """Joint -> source that it comes from now; joints that nobody knows are not in it."""
        return {
            joint: self._sources[k].name
            for joint, k in zip(SMPLX.joints, self._owner, strict=True)
            if k >= 0
        }

    def _claims(self, now_s: float) -> FloatArray:
        """(S, J) of every source to every joint."""
        claims = np.zeros((len(self._sources), len(SMPLX)))
        for k, source in enumerate(self._sources):
            age_s = now_s - source.pose_s
            if age_s > self.config.timeout_s:
                continue
            known = np.where(
                source.confidence >= self.config.min_confidence, source.confidence, 0.0
            )
            fresh = np.exp(-(max(0.0, age_s) + max(0.0, source.lag_s)) / self.config.fresh_s)
            claims[k] = known * 0.5 ** self._rank[k] * fresh
        return claims

    def _choose(self, now_s: float, dt_s: float) -> Array:
        """Give every joint to a source; which joints (J,) must not follow at once."""
        claims = self._claims(now_s)
        rows = np.arange(len(SMPLX))
        best = claims.argmax(axis=0)
        owned = np.where(self._owner >= 0, claims[self._owner, rows], 0.0)
        better = claims[best, rows] > self.config.keep * owned
        owner: Array = np.where(better & (claims[best, rows] > 0), best, self._owner)
        owner = np.where(claims[owner, rows] > 0, owner, -1)
        stamps = np.array([s.pose_s for s in self._sources])[owner]
        with np.errstate(invalid='ignore'):  # of a source that has not sent yet: -inf
            gap = (owner >= 0) & (stamps - self._stamp_of > self.config.timeout_s / 2)
        self._unowned_s = np.where(owner >= 0, 0.0, self._unowned_s + dt_s)
        let_go = (owner < 0) & (self._unowned_s > self.config.hold_s)
        let_go &= self._unowned_s - dt_s <= self.config.hold_s  # just now
        changed: Array = (owner != self._owner) | gap | let_go
        if self._shown is None:
            changed = np.zeros(len(SMPLX), dtype=bool)
        self._stamp_of = np.where(owner >= 0, stamps, -np.inf)
        self._owner = owner
        return changed

    def _aim(self) -> FloatArray:
        """(J, 4) what the owners say; rest for joints without one."""
        quats = np.stack([source.quats for source in self._sources])
        rows = np.arange(len(SMPLX))
        return np.where((self._owner >= 0)[:, None], quats[self._owner, rows], self._rest)

    def _state(self) -> TrackingState:
        if self._owner[ROOT] >= 0:
            return TrackingState.TRACKED
        if self._unowned_s[ROOT] <= self.config.hold_s:
            return TrackingState.HELD
        return TrackingState.FADING if np.any(self._owner >= 0) else TrackingState.LOST

    def _step_rad(self, dt_s: float) -> float:
        c = self.config
        return float(np.radians(min(c.settle_deg_per_s * dt_s, c.settle_deg)))

    def _fuse_face(self, now_s: float, dt_s: float, limit: float) -> FaceExpression | None:
        claims = []
        for source, rank in zip(self._sources, self._face_rank, strict=True):
            age_s = now_s - source.face_s
            live = source.face is not None and age_s <= self.config.timeout_s
            confidence = source.face.confidence if live and source.face is not None else 0.0
            fresh = float(np.exp(-max(0.0, age_s) / self.config.fresh_s)) if live else 0.0
            claims.append(confidence * 0.5**rank * fresh)
        chosen = self._face.choose(claims)
        face = self._sources[chosen].face if chosen >= 0 else None
        return self._face.follow(face, dt_s, limit)


def _rows_of(part: str) -> Array:
    if part == 'hands':
        return np.asarray(_FINGERS)
    if part == 'face':
        return _HEAD
    rest = set(range(len(SMPLX))) - set(_FINGERS) - set(_HEAD.tolist())
    return np.asarray(sorted(rest))
