# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Images to poses: estimator, filters, inverse kinematics, and what to do when nobody is seen."""

import time
from dataclasses import dataclass, field, replace

import numpy as np

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.body.pose import TrackingState
from avatar_ros.body.skeletons import ARKIT_52, BLAZEPOSE_INDEX, FINGERS, SIDES, SMPLX
from avatar_ros.geometry import Camera, quat_from_matrix, quat_from_rotvec, rigid
from avatar_ros.geometry.single import limited, rotvec_of
from avatar_ros.tracking.body_ik import BodyIK, BodyRotations
from avatar_ros.tracking.face import arkit_vector, eye_quats, jaw_quat
from avatar_ros.tracking.hand_ik import HandIK
from avatar_ros.tracking.holding import HoldConfig, RotationHolder
from avatar_ros.tracking.landmarks import BodyLandmarks, Estimator, FaceLandmarks, Landmarks
from avatar_ros.tracking.lids import fit_lids
from avatar_ros.tracking.lips import fit_lips
from avatar_ros.tracking.one_euro import OneEuroConfig, OneEuroFilter
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.tracking.root import solve_translation
from avatar_ros.tracking.side_guard import SideGuard
from avatar_ros.tracking.unseen import hips_seen, upright_where_unseen
from avatar_ros.types import FloatArray, Image

#: Landmarks that a joint's rotation is read from; its confidence is that of the worst.
_EVIDENCE = {
    'pelvis': ('left_hip', 'right_hip', 'left_shoulder', 'right_shoulder'),
    **{
        f'spine{k}': ('left_hip', 'right_hip', 'left_shoulder', 'right_shoulder') for k in (1, 2, 3)
    },
    **{name: ('nose', 'left_shoulder', 'right_shoulder') for name in ('neck', 'head')},
    **{
        f'{side}_{joint}': tuple(f'{side}_{landmark}' for landmark in landmarks)
        for side in SIDES
        for joint, landmarks in (
            ('collar', ('shoulder',)),
            ('shoulder', ('shoulder', 'elbow')),
            ('elbow', ('shoulder', 'elbow', 'wrist')),
            ('wrist', ('wrist', 'index', 'pinky')),
            ('hip', ('hip', 'knee')),
            ('knee', ('hip', 'knee', 'ankle')),
            ('ankle', ('ankle', 'heel', 'foot_index')),
            ('foot', ('foot_index',)),
        )
    },
}
_EVIDENCE_ROWS = [
    (SMPLX.index[joint], [BLAZEPOSE_INDEX[name] for name in landmarks])
    for joint, landmarks in _EVIDENCE.items()
]
_RELAXED_ARM_RAD = 1.15  # shoulders of the rest pose, from the T-pose down
_FACE_FADE_S = 0.6


@dataclass(frozen=True)
class TrackerConfig:
    """Filters and timing of a `BodyTracker`."""

    body_filter: OneEuroConfig = OneEuroConfig(min_cutoff_hz=2.0, beta=2.0)
    root_filter: OneEuroConfig = OneEuroConfig(min_cutoff_hz=0.8, beta=1.5)
    face_filter: OneEuroConfig = OneEuroConfig(min_cutoff_hz=3.0, beta=4.0)
    hand_filter: OneEuroConfig = OneEuroConfig(min_cutoff_hz=2.5, beta=15.0)
    filtered: bool = True
    hold: HoldConfig = HoldConfig()
    reset_after_s: float = 1.0
    """A gap between samples longer than this starts afresh."""


@dataclass(frozen=True)
class TrackerResult:
    """Everything from one image."""

    pose: BodyPose
    face: FaceExpression
    landmarks: Landmarks
    stages_ms: dict[str, float] = field(default_factory=dict)


class PersonTracker:
    """One person from a sequence of landmarks. Time comes from the stamps only."""

    def __init__(
        self, rest: RestLandmarks, config: TrackerConfig | None = None, source: str = ''
    ) -> None:
        self.config = config or TrackerConfig()
        self.source = source
        self.person_id = ''
        self._ik = BodyIK(rest)
        self._hand_ik = {side: HandIK(side, rest.joints) for side in SIDES}
        self._hip_to_pelvis = rest.joints[0] - (rest['left_hip'] + rest['right_hip']) / 2
        rest_quats = relaxed_quats()
        self.side_guard = SideGuard()
        self._holder = RotationHolder(rest_quats, self.config.hold)
        c = self.config
        self._filters = {
            'body': OneEuroFilter(c.body_filter),
            'root': OneEuroFilter(c.root_filter),
            'face': OneEuroFilter(c.face_filter, per_point=False),
            'head': OneEuroFilter(c.face_filter),
            **{side: OneEuroFilter(c.hand_filter) for side in SIDES},
        }
        self._forget()

    def _forget(self) -> None:
        for one_euro in self._filters.values():
            one_euro.reset()
        self._ik.reset()
        self.side_guard.reset()
        self._holder.reset()
        self._unseen_s = np.inf
        self._face_unseen_s = np.inf
        self._T_root = np.eye(4)
        self._weights: FloatArray = np.zeros(len(ARKIT_52))
        self._eyes = {side: quat_from_rotvec(np.zeros(3)) for side in SIDES}
        self._R_head: FloatArray | None = None

    def follow(
        self, landmarks: Landmarks, camera: Camera, stamp_ns: int, dt_s: float
    ) -> TrackerResult:
        """Pose and expression from what was seen at `stamp_ns`, `dt_s` after the time before."""
        if landmarks.body is not None:
            landmarks = replace(landmarks, body=self.side_guard(landmarks.body, dt_s))
        face = self._face(landmarks.face, camera, stamp_ns, dt_s)
        pose = self._body(landmarks, camera, stamp_ns, dt_s)
        return TrackerResult(pose, face, landmarks)

    # -- body --------------------------------------------------------------------------------

    def _body(self, landmarks: Landmarks, camera: Camera, stamp_ns: int, dt_s: float) -> BodyPose:
        body = landmarks.body
        quats: FloatArray | None = None
        confidence: FloatArray | None = None
        if body is not None:
            if not np.isfinite(self._unseen_s):
                self._somebody_new()
            self._unseen_s = 0.0
            world = upright_where_unseen(body, self._smooth('body', body.world, dt_s))
            solved = self._ik(world, self._R_head, hips_seen=hips_seen(body))
            quats, confidence = solved.quats, _joint_confidence(body)
            self._solve_hands(landmarks, solved, quats, confidence, dt_s)
            self._place(camera, body, world, solved.R_camera_root, dt_s)
        else:
            self._unseen_s += dt_s
        shown, confidence = self._holder(quats, confidence, dt_s)
        return BodyPose(
            skeleton=SMPLX,
            T_frame_root=self._T_root.copy(),
            rotations=shown,
            confidence=confidence,
            stamp_ns=stamp_ns,
            frame_id=camera.frame_id,
            person_id=self.person_id,
            source=self.source,
            state=self._state(),
        )

    def _somebody_new(self) -> None:
        """Called when a body is seen after nobody was for long."""

    def _state(self) -> TrackingState:
        hold = self.config.hold
        if self._unseen_s == 0.0:
            return TrackingState.TRACKED
        if self._unseen_s <= hold.hold_s:
            return TrackingState.HELD
        if self._unseen_s <= hold.hold_s + hold.fade_s:
            return TrackingState.FADING
        self._unseen_s = np.inf  # whoever comes next is somebody new
        return TrackingState.LOST

    def _smooth(self, name: str, value: FloatArray, dt_s: float) -> FloatArray:
        return self._filters[name](value, dt_s) if self.config.filtered else value

    def _place(
        self,
        camera: Camera,
        body: BodyLandmarks,
        world: FloatArray,
        R_root: FloatArray,
        dt_s: float,
    ) -> None:
        try:
            hips = solve_translation(camera, body.pixels, body.world, body.visibility**2)
        except ValueError:
            return  # too little was visible: stay where we were
        middle = (world[BLAZEPOSE_INDEX['left_hip']] + world[BLAZEPOSE_INDEX['right_hip']]) / 2
        pelvis = hips + middle + R_root @ self._hip_to_pelvis
        if hips[2] > 0.1:
            self._T_root = rigid(R_root, self._smooth('root', pelvis, dt_s))

    def _solve_hands(
        self,
        landmarks: Landmarks,
        solved: BodyRotations,
        quats: FloatArray,
        confidence: FloatArray,
        dt_s: float,
    ) -> None:
        """Finger joints, and a better wrist, of the hands that were seen in this image."""
        for side, hand in landmarks.hands.items():
            relative = hand.world - hand.world.mean(axis=0)
            R_wrist, fingers = self._hand_ik[side](self._smooth(side, relative, dt_s))
            R_elbow = solved.R_camera_joint[f'{side}_elbow']
            bend = limited(rotvec_of(np.ascontiguousarray(R_elbow.T @ R_wrist)), 1.3)
            quats[SMPLX.index[f'{side}_wrist']] = quat_from_rotvec(bend)
            confidence[SMPLX.index[f'{side}_wrist']] = hand.score
            for joint, quat in fingers.items():
                quats[SMPLX.index[joint]] = quat
                confidence[SMPLX.index[joint]] = hand.score

    # -- face --------------------------------------------------------------------------------

    def _face(
        self, face: FaceLandmarks | None, camera: Camera, stamp_ns: int, dt_s: float
    ) -> FaceExpression:
        confidence = 0.0
        if face is not None:
            self._face_unseen_s = 0.0
            confidence = 1.0
            seen = face.pixels, face.R_camera_head
            weights = fit_lids(fit_lips(arkit_vector(face.weights), *seen), *seen)
            self._weights = self._smooth('face', weights, dt_s)
            columns = self._smooth('head', face.R_camera_head.T, dt_s)  # three unit vectors
            u, _, vt = np.linalg.svd(columns.T)
            self._R_head = np.ascontiguousarray(u @ vt)
        else:
            self._face_unseen_s += dt_s
            if self._face_unseen_s > self.config.hold.hold_s:
                self._weights = self._weights * max(0.0, 1.0 - dt_s / _FACE_FADE_S)
                self._R_head = None  # the body's nose and ears take over
        by_name = dict(zip(ARKIT_52, self._weights, strict=True))
        eyes = eye_quats(by_name)
        R_head = self._R_head if self._R_head is not None else np.eye(3)
        return FaceExpression(
            basis='arkit52',
            names=ARKIT_52,
            weights=self._weights.copy(),
            head=quat_from_matrix(R_head),
            jaw=jaw_quat(by_name),
            left_eye=eyes['left'],
            right_eye=eyes['right'],
            confidence=confidence,
            stamp_ns=stamp_ns,
            frame_id=camera.frame_id,
            person_id=self.person_id,
        )


class BodyTracker(PersonTracker):
    """One person from a sequence of images."""

    def __init__(
        self, estimator: Estimator, rest: RestLandmarks, config: TrackerConfig | None = None
    ) -> None:
        super().__init__(rest, config, estimator.name)
        self.estimator = estimator
        self._stamp_ns: int | None = None
        self._people = 0
        self.resets = 0

    def close(self) -> None:
        """Release the estimator."""
        self.estimator.close()

    def reset(self) -> None:
        """Forget the past: filters, held joints, the estimator's memory."""
        self.resets += 1
        self.estimator.reset()
        self._stamp_ns = None
        self._forget()

    def process(self, rgb: Image, camera: Camera, stamp_ns: int) -> TrackerResult:
        """Pose and expression of the person in an image (H, W, 3) RGB taken at `stamp_ns`.

        A stamp before the last one (a looped bag) resets everything first.
        """
        dt_s = since(self._stamp_ns, stamp_ns)
        if dt_s < 0 or dt_s > self.config.reset_after_s:
            self.reset()
            dt_s = since(None, stamp_ns)
        self._stamp_ns = stamp_ns
        start = time.perf_counter()
        landmarks = self.estimator.estimate(rgb, camera)
        estimated = time.perf_counter()
        result = self.follow(landmarks, camera, stamp_ns, dt_s)
        stages = {
            'estimate': (estimated - start) * 1e3,
            'ik': (time.perf_counter() - estimated) * 1e3,
        }
        return replace(result, stages_ms=stages)

    def _somebody_new(self) -> None:
        self._people += 1
        self.person_id = f'person_{self._people}'


def since(before_ns: int | None, stamp_ns: int) -> float:
    """Seconds since the sample before; the usual ones for the first sample."""
    return 1 / 30 if before_ns is None else (stamp_ns - before_ns) * 1e-9


def relaxed_quats() -> FloatArray:
    """Rest rotations (55, 4) wxyz to fade to: standing with hanging arms."""
    quats = np.tile([1.0, 0.0, 0.0, 0.0], (len(SMPLX), 1))
    for side, sign in (('left', -1.0), ('right', 1.0)):
        quats[SMPLX.index[f'{side}_shoulder']] = quat_from_rotvec([0, 0, sign * _RELAXED_ARM_RAD])
        quats[SMPLX.index[f'{side}_elbow']] = quat_from_rotvec([0, sign * 0.25, 0])
        for finger in FINGERS:
            for k in (1, 2, 3):
                if finger != 'thumb':
                    bend = quat_from_rotvec([0, 0, sign * 0.25])
                    quats[SMPLX.index[f'{side}_{finger}{k}']] = bend
    return quats


def _joint_confidence(body: BodyLandmarks) -> FloatArray:
    """(55,): the visibility of the worst landmark that a joint's rotation is read from."""
    confidence = np.zeros(len(SMPLX))
    for joint, rows in _EVIDENCE_ROWS:
        confidence[joint] = body.visibility[rows].min()
    return np.clip(confidence, 0.0, 1.0)
