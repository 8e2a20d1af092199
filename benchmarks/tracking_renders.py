# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The whole way from pictures of the dressed avatar, whose joints are known."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from avatar_ros.avatars import SkinnedAvatar, load_avatar
from avatar_ros.avatars.motion import demo_motion
from avatar_ros.body import BodyPose
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import BLAZEPOSE_33, SMPLX
from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    Camera,
    matrix_from_quat,
    matrix_from_rotvec,
    quat_from_rotvec,
    rigid,
)
from avatar_ros.geometry.single import rotvec_of
from avatar_ros.render import Engine, select_engine
from avatar_ros.tracking import BodyTracker, Landmarks, TrackerConfig
from avatar_ros.tracking.mediapipe_estimator import MediaPipeEstimator
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray, Image
from benchmarks.metrics import Metric
from benchmarks.motions import Motion, load_motions, pa_mpjpe, without_root
from benchmarks.tracking_shared import BODY, LIMB_JOINTS, metric


class Studio:
    """Pictures of the dressed avatar before a soft background."""

    def __init__(self, camera: Camera, seed: int = 0) -> None:
        self.camera = camera
        avatar = load_avatar('dressed')
        assert isinstance(avatar, SkinnedAvatar)
        self.avatar = avatar
        self._engine: Engine = select_engine('numba')
        self._workspace = self._engine.workspace()
        blobs = np.random.default_rng(seed).uniform(0.5, 0.8, (5, 8, 1)).astype(np.float32)
        size = camera.width, camera.height
        self._background = cv2.resize(blobs, size, interpolation=cv2.INTER_CUBIC)[..., None]

    def picture(self, pose: BodyPose, face: object = None) -> Image:
        """(H, W, 3) RGB; the pose is in the camera's optical frame."""
        gaussians = self.avatar.deform(pose, face)  # type: ignore[arg-type]
        rendered = self._engine.rasterize(gaussians, [self.camera], workspace=self._workspace)
        rgb = rendered.colors[0].numpy() + (1 - rendered.alphas[0].numpy()) * self._background
        return np.asarray(255 * np.clip(rgb, 0, 1), dtype=np.uint8)


@dataclass(frozen=True)
class Scene:
    """A stretch of a clip, where it is played and which way the person faces."""

    motion: Motion
    start: int
    azimuth_deg: float
    """0: towards the camera, 90: to the right of the picture, 180: away."""
    across_m: float
    distance_m: float

    def pose(self, step: int) -> BodyPose:
        """Pose in optical axes, `step` frames after the start."""
        first = matrix_from_quat(self.motion.quats[self.start, 0])
        heading = np.arctan2(first[0, 2], first[2, 2])
        R = R_OPTICAL_SMPL @ matrix_from_rotvec([0, np.radians(self.azimuth_deg) - heading, 0])
        row = self.start + step
        moved = self.motion.translation[row] - self.motion.translation[self.start]
        position = R @ moved + [self.across_m, 0.08, self.distance_m]
        T = rigid(R @ matrix_from_quat(self.motion.quats[row, 0]), position)
        return BodyPose(SMPLX, T, without_root(self.motion.quats[row]), np.ones(len(SMPLX)))


@dataclass(frozen=True)
class Sample:
    """One rendered picture: what is true, what was found."""

    scene: Scene
    truth: BodyPose
    found: BodyPose
    landmarks: Landmarks


STEP = 4  # of a clip's frames between two pictures
PICTURES = 5  # of one scene


def scenes(seed: int = 0) -> Iterator[Scene]:
    rng = np.random.default_rng(seed)
    motions = {motion.name: motion for motion in load_motions()}
    for clip in ('walk', 'dance_a', 'dance_b'):
        for azimuth in (0, 40, -40, 75, 180):
            for across in (0.0, -1.2, 1.2):
                start = int(rng.integers(0, len(motions[clip]) - STEP * PICTURES))
                yield Scene(motions[clip], start, azimuth, across, float(rng.uniform(2.7, 4.0)))


def gestures(seed: int = 0) -> Iterator[Scene]:
    """Someone who stands and talks to the camera: turns a little, waves, lowers the arm."""
    rng = np.random.default_rng(seed)
    clip = demo_motion()
    motion = Motion('gestures', clip.fps, quat_from_rotvec(clip.rotvecs), clip.translation)
    for azimuth in (-40, -20, 0, 20, 40):
        for across in (-0.6, 0.0, 0.6):
            start = int(rng.integers(0, len(motion) - STEP * PICTURES))
            yield Scene(motion, start, azimuth, across, float(rng.uniform(2.5, 4.0)))


def track_scene(
    studio: Studio, scene: Scene, estimator: MediaPipeEstimator, told: Camera | None = None
) -> list[Sample]:
    """Track the rendered pictures of a scene; `told` is the camera that the tracker is told of."""
    tracker = BodyTracker(estimator, free_rest_landmarks(), TrackerConfig())
    tracker.reset()
    samples = []
    for k in range(PICTURES):
        truth = scene.pose(STEP * k)
        stamp_ns = round(STEP * k / scene.motion.fps * 1e9)
        result = tracker.process(studio.picture(truth), told or studio.camera, stamp_ns)
        samples.append(Sample(scene, truth, result.pose, result.landmarks))
    return samples


def root_error(sample: Sample) -> FloatArray:
    """Rotation vector (3,) in degrees, in optical axes, from the true root to the one found."""
    R = sample.found.T_frame_root[:3, :3] @ sample.truth.T_frame_root[:3, :3].T
    return np.degrees(rotvec_of(np.ascontiguousarray(R)))


def joint_errors(studio: Studio, sample: Sample) -> tuple[float, float, float]:
    """Millimetres: 22 joints after Procrustes, 12 limb joints so, and 22 about the pelvis."""
    found, true = (
        1e3 * studio.avatar.joint_positions(pose)[BODY] for pose in (sample.found, sample.truth)
    )
    about_pelvis = np.linalg.norm((found - found[0]) - (true - true[0]), axis=1).mean()
    limbs = pa_mpjpe(found[LIMB_JOINTS], true[LIMB_JOINTS])
    return pa_mpjpe(found, true), limbs, float(about_pelvis)


def landmark_offset(studio: Studio, samples: list[Sample], landmark: str) -> float:
    """Millimetres by which BlazePose's pixels lie off a landmark of `RestLandmarks`, constantly."""
    rest = free_rest_landmarks()
    joints = studio.avatar.bundle.rest_joints
    sums = []
    for side, sign in (('left', 1.0), ('right', -1.0)):
        row = BLAZEPOSE_33.index(f'{side}_{landmark}')
        carrier = rest.carrier[row]
        local = rest.points[row] - rest.joints[carrier]
        lhs, rhs = [], []
        for sample in samples:
            assert sample.landmarks.body is not None
            T = forward_kinematics(
                SMPLX, joints, sample.truth.rotations, sample.truth.T_frame_root
            )[carrier]
            u, v = studio.camera.rays(sample.landmarks.body.pixels[row])[0]
            across = np.array([[1, 0, -u], [0, 1, -v]])
            lhs.append(across @ T[:3, :3])
            rhs.append(-across @ (T[:3, :3] @ local + T[:3, 3]))
        offset = np.linalg.lstsq(np.concatenate(lhs), np.concatenate(rhs), rcond=None)[0]
        sums.append(offset * [sign, 1, 1])
    return float(1e3 * np.linalg.norm(np.mean(sums, axis=0)))


def renders() -> list[Metric]:
    studio = Studio(Camera.from_fov(848, 480, 45.0))
    estimator = MediaPipeEstimator(face=True, hands=False)
    # A camera that sees everybody on its axis: the tracker then cannot turn landmarks to the ray.
    far = replace(studio.camera, K=np.diag([1e5, 1e5, 1.0]) @ studio.camera.K)
    samples, blind = [], []
    for scene in scenes():
        samples += track_scene(studio, scene, estimator)
        if scene.across_m:
            blind += track_scene(studio, scene, estimator, far)
    talking = [s for scene in gestures() for s in track_scene(studio, scene, estimator)]
    estimator.close()
    seen = [sample for sample in samples if sample.landmarks.body is not None]
    errors = np.array([joint_errors(studio, sample) for sample in seen])
    walk = np.array([sample.scene.motion.name == 'walk' for sample in seen])
    off_axis = [sample for sample in seen if sample.scene.across_m]
    shift = np.array([s.found.T_frame_root[:3, 3] - s.truth.T_frame_root[:3, 3] for s in seen])
    conditions = (
        f'dressed avatar, walk and two dances, {len(samples)} pictures 848x480, 2.7-4 m, 5 '
        'azimuths, up to 24 degrees off the axis, default filters'
    )

    def yaw(group: list[Sample]) -> float:
        """Degrees that the root is turned the way that it stands off the axis, on the mean."""
        turns = [-np.sign(s.scene.across_m) * root_error(s)[1] for s in group]
        return float(abs(np.mean(turns)))

    rows = [
        metric('renders.detected', len(seen) / len(samples), '', conditions, 'higher'),
        metric('renders.face_seen', _share_with_face(seen), '', conditions, 'higher'),
        metric(
            'renders.gestures.pa_mpjpe_mm',
            np.mean([joint_errors(studio, s)[0] for s in talking if s.landmarks.body]),
            'mm',
            f'a person stands and waves, turned up to 40 degrees from the camera, '
            f'{len(talking)} pictures; 22 joints',
        ),
        metric('renders.pa_mpjpe_mm', errors[:, 0].mean(), 'mm', conditions + '; 22 joints'),
        metric('renders.pa_mpjpe_median_mm', np.median(errors[:, 0]), 'mm', conditions),
        metric('renders.walk.pa_mpjpe_mm', errors[walk, 0].mean(), 'mm', 'only the walk'),
        metric('renders.limbs.pa_mpjpe_mm', errors[:, 1].mean(), 'mm', '12 limb joints'),
        metric('renders.about_pelvis_mm', errors[:, 2].mean(), 'mm', 'no Procrustes, 22 joints'),
        metric(
            'renders.root_deg',
            np.median([np.linalg.norm(root_error(s)) for s in seen]),
            'deg',
            'orientation of the root, median',
        ),
        metric('renders.off_axis_yaw_deg', yaw(off_axis), 'deg', 'mean turn with the viewing ray'),
        metric(
            'renders.off_axis_yaw_without_rays_deg',
            yaw([s for s in blind if s.landmarks.body is not None]),
            'deg',
            'the same if the tracker takes everybody to be on the axis',
        ),
        metric(
            'renders.root_translation_m',
            np.linalg.norm(shift, axis=1).mean(),
            'm',
            'the size of a person is not known; an avatar 1.8 m tall is taken for a smaller one',
        ),
        metric('renders.root_depth_m', abs(shift[:, 2].mean()), 'm', 'mean error along the axis'),
        metric('renders.root_sideways_m', np.abs(shift[:, :2]).mean(), 'm', 'across the axis'),
    ]
    rows += [
        metric(
            f'renders.offset_left.{landmark}_mm',
            landmark_offset(studio, seen, landmark),
            'mm',
            "BlazePose's pixels against RestLandmarks, constant part",
        )
        for landmark in ('shoulder', 'hip', 'ear')
    ]
    return rows


def _share_with_face(samples: list[Sample]) -> float:
    return sum(sample.landmarks.face is not None for sample in samples) / len(samples)
