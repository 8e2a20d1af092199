# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What changes hands between trackers without a pop: a difference that dies away.

Joints need no more than `died_away`; root and face have frames and bases of their own.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avatar_ros.body import ARKIT_52, BodyPose, FaceExpression, neutral_face
from avatar_ros.geometry import (
    matrix_from_quat,
    quat_conjugate,
    quat_from_matrix,
    quat_from_rotvec,
    quat_multiply,
    rigid,
    rotvec_from_quat,
)
from avatar_ros.types import FloatArray


def died_away(apart: FloatArray, dt_s: float, settle_s: float, limit: float) -> FloatArray:
    """Vectors (N, 3) made shorter: exponentially, but each by `limit` at most."""
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    less = np.minimum(length * (1.0 - np.exp(-dt_s / settle_s)), limit)
    return np.asarray(apart * (1.0 - less / np.maximum(length, 1e-12)))


class Root:
    """Where the person stands. A source with another frame is carried over to the first frame."""

    def __init__(self, settle_s: float, settle_m_per_s: float) -> None:
        self._settle_s, self._settle_m_per_s = settle_s, settle_m_per_s
        self.frame_id = ''
        self.T: FloatArray = np.eye(4)
        """What is shown."""
        self._shown: FloatArray | None = None
        self._source_frame = ''
        self._T = np.eye(4)  # output frame <- frame of the source, at the moment of the change
        self._shift: FloatArray = np.zeros(3)
        self._turn: FloatArray = np.zeros(3)

    def place(self, pose: BodyPose, dt_s: float, limit: float, *, changed: bool) -> None:
        """Follow the owner's pose; a turn that a change left dies away by `limit` rad at most."""
        told = np.asarray(pose.T_frame_root, dtype=float)
        if self._shown is None:
            self.frame_id, self._source_frame, self._shown = pose.frame_id, pose.frame_id, told
        own = pose.frame_id == self.frame_id
        if changed and not own and pose.frame_id != self._source_frame:
            self._T = self._shown @ np.linalg.inv(told)
        if changed:
            self._source_frame = pose.frame_id
        aim = told if own else self._T @ told
        farthest = self._settle_m_per_s * dt_s
        self._shift = died_away(self._shift[None], dt_s, self._settle_s, farthest)[0]
        self._turn = died_away(self._turn[None], dt_s, self._settle_s, limit)[0]
        if changed:
            self._shift = self._shown[:3, 3] - aim[:3, 3]
            back = quat_from_matrix(aim[:3, :3].T @ self._shown[:3, :3])
            self._turn = rotvec_from_quat(back)
        R = aim[:3, :3] @ matrix_from_quat(quat_from_rotvec(self._turn))
        self.T = self._shown = rigid(R, aim[:3, 3] + self._shift)


class Face:
    """The expression that is shown: 52 weights and four rotations."""

    def __init__(self, keep: float, settle_s: float) -> None:
        self._keep, self._settle_s = keep, settle_s
        self.owner = -1
        self._changed = False
        self._shown: FaceExpression | None = None
        self._weights: FloatArray = np.zeros(len(ARKIT_52))
        self._turns: FloatArray = np.zeros((4, 3))

    def choose(self, claims: Sequence[float]) -> int:
        """Row of the source whose face is shown, by the claims of all; -1 for none."""
        best = int(np.argmax(claims))
        owned = claims[self.owner] if self.owner >= 0 else 0.0
        owner = best if claims[best] > self._keep * owned else self.owner
        if owner >= 0 and claims[owner] <= 0.0:
            owner = -1
        self._changed = owner != self.owner
        self.owner = owner
        return owner

    def follow(
        self, face: FaceExpression | None, dt_s: float, limit: float
    ) -> FaceExpression | None:
        """What to show of the chosen face."""
        if face is None:
            if self._shown is None or self._shown.basis != 'arkit52':
                return None
            face = replace(neutral_face(), head=self._shown.head, confidence=self._shown.confidence)
            face = replace(face, frame_id=self._shown.frame_id)
        aim = _quats_of(face)
        plain = face.basis == 'arkit52'
        weights = face.weights_for(ARKIT_52) if plain else np.zeros(len(ARKIT_52))
        if self._shown is not None and self._changed:
            before = self._shown
            if plain:
                self._weights = before.weights_for(ARKIT_52) - weights
            self._turns = rotvec_from_quat(quat_multiply(quat_conjugate(aim), _quats_of(before)))
        else:
            self._weights = self._weights * np.exp(-dt_s / self._settle_s)
            self._turns = died_away(self._turns, dt_s, self._settle_s, limit)
        head, jaw, left, right = quat_multiply(aim, quat_from_rotvec(self._turns))
        shown = replace(face, head=head, jaw=jaw, left_eye=left, right_eye=right)
        if plain:
            mixed = np.clip(weights + self._weights, 0.0, 1.0)
            shown = replace(shown, names=ARKIT_52, weights=mixed)
        self._shown = shown
        return shown


def _quats_of(face: FaceExpression) -> FloatArray:
    return np.stack([face.head, face.jaw, face.left_eye, face.right_eye])
