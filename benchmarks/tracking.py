# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""How well and how fast a person is tracked: ``python -m benchmarks.tracking``.

Three kinds of truth: motion-capture clips with exact landmarks (the inverse kinematics alone),
renders of the dressed avatar (the whole way, true joints known), and a real person whom four
cameras saw at once (the whole way, against triangulated landmarks).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch

from avatar_ros.avatars import SkinnedAvatar, load_avatar
from avatar_ros.avatars.motion import demo_motion
from avatar_ros.body import BodyPose
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.pose import IDENTITY_QUAT
from avatar_ros.body.skeletons import BLAZEPOSE_33, BLAZEPOSE_INDEX, SIDES, SMPLX
from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    Camera,
    matrix_from_quat,
    matrix_from_rotvec,
    quat_from_rotvec,
    rigid,
    transform_points,
)
from avatar_ros.geometry.single import rotvec_of
from avatar_ros.render import Engine, select_engine
from avatar_ros.tracking import BodyIK, BodyTracker, Landmarks, RestLandmarks, TrackerConfig
from avatar_ros.tracking.mediapipe_estimator import MediaPipeEstimator
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.training.from_video.multiview import (
    FPS,
    FRONT,
    VIDEOS,
    frames,
    load_cameras,
    triangulate,
)
from avatar_ros.types import Array, FloatArray, Image
from benchmarks.metrics import Metric, load, median_cpu_ms, write_results
from benchmarks.motions import Motion, load_motions, pa_mpjpe

COMMAND = 'python -m benchmarks.tracking'
#: The joints of SMPL-X without face and fingers.
BODY = slice(0, 22)
_LIMBS = [
    f'{side}_{joint}'
    for side in SIDES
    for joint in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
]
LIMB_JOINTS = SMPLX.rows(_LIMBS)
LIMB_LANDMARKS = [BLAZEPOSE_INDEX[name] for name in _LIMBS]


def metric(
    key: str,
    value: float,
    unit: str,
    conditions: str,
    better: Literal['lower', 'higher'] = 'lower',
) -> Metric:
    return Metric(f'tracking.{key}', float(value), unit, better, conditions, COMMAND)


class Replay:
    """An estimator that says what it is told to."""

    name = 'replay'

    def __init__(self) -> None:
        self.next = Landmarks()

    def estimate(self, rgb: Image, camera: Camera) -> Landmarks:
        return self.next

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


# -- exact landmarks -------------------------------------------------------------------------


def clip_errors(motion: Motion, rest: RestLandmarks) -> FloatArray:
    """Distances (T, 22) in mm between the joints of a clip and those of exact landmarks -> IK."""
    ik = BodyIK(rest)
    errors = []
    for quats, position in zip(motion.quats, motion.translation, strict=True):
        T_root = rigid(R_OPTICAL_SMPL @ matrix_from_quat(quats[0]), R_OPTICAL_SMPL @ position)
        errors.append(round_trip_errors(ik, _without_root(quats), T_root))
    return np.array(errors)


def round_trip_errors(ik: BodyIK, quats: Array, T_root: Array) -> FloatArray:
    """Distances (22,) in mm between the joints of a pose and those of its landmarks -> IK."""
    rest = ik.rest
    true = forward_kinematics(SMPLX, rest.joints, quats, T_root)
    world = rest.posed(true)
    solved = ik(world)
    to_pelvis = rest.joints[0] - (rest['left_hip'] + rest['right_hip']) / 2
    hips = (world[BLAZEPOSE_INDEX['left_hip']] + world[BLAZEPOSE_INDEX['right_hip']]) / 2
    R_root = solved.R_camera_root
    found = forward_kinematics(
        SMPLX, rest.joints, solved.quats, rigid(R_root, hips + R_root @ to_pelvis)
    )
    return 1e3 * np.linalg.norm((found - true)[BODY, :3, 3], axis=1)


def clips() -> list[Metric]:
    rest = free_rest_landmarks()
    errors = [clip_errors(motion, rest) for motion in load_motions()]
    frame_mm = np.concatenate([e.mean(axis=1) for e in errors])
    conditions = f'{len(errors)} clips at 30 Hz, {len(frame_mm)} frames, 22 joints, no filter'
    return [
        metric('clips.mean_joint_mm', frame_mm.mean(), 'mm', conditions),
        metric('clips.worst_clip_mm', max(e.mean() for e in errors), 'mm', conditions),
        metric('clips.worst_frame_mm', frame_mm.max(), 'mm', conditions),
        metric('clips.worst_joint_mm', max(e.max() for e in errors), 'mm', conditions),
    ]


# -- renders ---------------------------------------------------------------------------------


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
        return BodyPose(SMPLX, T, _without_root(self.motion.quats[row]), np.ones(len(SMPLX)))


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


# -- a real person ---------------------------------------------------------------------------


def real() -> list[Metric]:
    cameras = load_cameras()
    seen: dict[str, list[Landmarks]] = {}
    for name, video in VIDEOS.items():
        estimator = MediaPipeEstimator(face=False, hands=False)
        seen[name] = [estimator.estimate(rgb, cameras[name]) for rgb in frames(video)]
        estimator.close()
    bodies = {name: [landmarks.body for landmarks in seen[name]] for name in VIDEOS}
    detected = np.mean([body is not None for group in bodies.values() for body in group])
    views = [cameras[name] for name in VIDEOS]
    truth, off_px = [], []
    for row in range(min(map(len, bodies.values()))):
        at_once = [bodies[name][row] for name in VIDEOS]
        assert all(body is not None for body in at_once), f'nobody seen in picture {row}'
        pixels = np.array([body.pixels for body in at_once if body is not None])
        visibility = np.array([body.visibility for body in at_once if body is not None])
        points = triangulate(views, pixels, visibility)
        truth.append(points)
        projected = np.array([camera.project(points) for camera in views])
        off_px.append(np.linalg.norm(projected - pixels, axis=-1)[:, LIMB_LANDMARKS])
    rows = [
        metric('real.detected', float(detected), '', '4 cameras x 100 pictures', 'higher'),
        metric(
            'real.reprojection_px',
            np.median(off_px),
            'px',
            'triangulated landmarks of the limbs, median, 1080x1920',
        ),
    ]
    errors, jitters, lags = {}, {}, {}
    for name in VIDEOS:
        filtered, plain = (
            tracked(seen[name], cameras[name], TrackerConfig(filtered=on)) for on in (True, False)
        )
        inside = [transform_points(cameras[name].T_camera_world, points) for points in truth]
        errors[name] = 1e3 * np.mean(
            [
                pa_mpjpe(found[LIMB_LANDMARKS], true[LIMB_LANDMARKS])
                for (_, found), true in zip(filtered, inside, strict=True)
            ]
        )
        paths = [np.array([joints for joints, _ in group]) for group in (filtered, plain)]
        jitters[name] = tuple(1e3 * jitter(path) for path in paths)
        lags[name] = lag_ms(*paths)
        front = 'from the front' if name in FRONT else 'from the side or behind'
        conditions = f'{VIDEOS[name]}, {front}, 12 limb landmarks against four cameras'
        rows.append(metric(f'real.{name}.pa_mpjpe_mm', errors[name], 'mm', conditions))
    share = [after / before for after, before in jitters.values()]
    rows += [
        metric(
            'real.front.pa_mpjpe_mm',
            np.mean([errors[name] for name in FRONT]),
            'mm',
            'cam01, cam02',
        ),
        metric('real.all.pa_mpjpe_mm', np.mean(list(errors.values())), 'mm', 'all four cameras'),
        metric('filter.jitter_mm', np.mean([a for a, _ in jitters.values()]), 'mm', 'filtered'),
        metric('filter.jitter_without_mm', np.mean([b for _, b in jitters.values()]), 'mm', 'not'),
        metric('filter.jitter_share', max(share), '', 'filtered / not, worst of four cameras'),
        metric('filter.lag_ms', np.mean(list(lags.values())), 'ms', '60 Hz, mean of four cameras'),
        metric('filter.lag_worst_ms', max(lags.values()), 'ms', '60 Hz, worst of four cameras'),
    ]
    return rows


def tracked(
    seen: list[Landmarks], camera: Camera, config: TrackerConfig
) -> list[tuple[FloatArray, FloatArray]]:
    """Joints (22, 3) and landmarks (33, 3) of the tracked body, in the camera, for each picture."""
    estimator, rest = Replay(), free_rest_landmarks()
    tracker = BodyTracker(estimator, rest, config)
    result = []
    for row, landmarks in enumerate(seen):
        estimator.next = landmarks
        pose = tracker.process(_NO_PICTURE, camera, round(row / FPS * 1e9)).pose
        T = forward_kinematics(SMPLX, rest.joints, pose.rotations, pose.T_frame_root)
        result.append((T[BODY, :3, 3], rest.posed(T)))
    return result


_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


def jitter(path: Array) -> float:
    """Mean length of the second difference of joints (T, J, 3) about the first one, per frame."""
    about_pelvis = path - path[:, :1]
    return float(np.linalg.norm(np.diff(about_pelvis, 2, axis=0), axis=-1).mean())


def lag_ms(filtered: Array, plain: Array, fps: float = FPS) -> float:
    """Delay at which the unfiltered joints (T, J, 3) resemble the filtered ones most."""
    after, before = ((path - path[:, :1]).reshape(len(path), -1) for path in (filtered, plain))
    rows = np.arange(len(after), dtype=float)
    late = rows[10:]
    delays = np.arange(0.0, 9.0, 0.1)
    misfit = [
        np.sum((np.stack([np.interp(late - d, rows, c) for c in before.T], 1) - after[10:]) ** 2)
        for d in delays
    ]
    return float(delays[int(np.argmin(misfit))] / fps * 1e3)


# -- cost ------------------------------------------------------------------------------------


def cost() -> list[Metric]:
    rest = free_rest_landmarks()
    ik, world = BodyIK(rest), rest.points * [1, -1, -1]
    conditions = f'1 thread, median of 25; {load()}'
    rows = [metric('ik.cpu_ms', median_cpu_ms(lambda: ik(world), 200), 'ms', conditions)]
    camera = load_cameras()['cam01']
    pictures = list(frames('body_cam01.mp4'))[:40]
    pictures = [cv2.resize(p, (480, 854), interpolation=cv2.INTER_AREA) for p in pictures]
    camera = camera.scaled(480, 854)
    for part, options in (
        ('body', {'face': False, 'hands': False}),
        ('face', {'face': True, 'hands': False}),
        ('hands', {'face': False, 'hands': True}),
    ):
        video = pictures
        view = camera
        if part == 'hands':  # smaller ones are not looked at
            video, view = list(frames('body.mp4'))[:40], load_cameras()['cam02']
        if part == 'face':
            video = list(frames('face.mp4'))[:40]
            view = Camera.from_fov(video[0].shape[1], video[0].shape[0], 45.0)
        estimator = MediaPipeEstimator(**options)  # type: ignore[arg-type]
        times, hands = [], 0
        for rgb in video:
            start = time.process_time()
            hands += len(estimator.estimate(rgb, view).hands)
            times.append(1e3 * (time.process_time() - start))
        estimator.close()
        also = '' if part == 'body' else f' body and {part} together;'
        if part == 'hands':
            also += f' a hand found in {100 * hands // len(video)} % of the images;'
        rows.append(
            metric(
                f'estimate.{part}.cpu_ms',
                float(np.median(times[5:])),
                'ms',
                f'{video[0].shape[1]}x{video[0].shape[0]};{also} CPU time of all threads; {load()}',
            )
        )
    tracker = BodyTracker(Replay(), rest)
    estimator = MediaPipeEstimator(face=False, hands=False)
    landmarks = estimator.estimate(pictures[0], camera)
    estimator.close()
    tracker.estimator.next = landmarks  # type: ignore[attr-defined]
    stamp = iter(range(0, 10**12, 33_000_000))
    rows.append(
        metric(
            'tracker.cpu_ms',
            median_cpu_ms(lambda: tracker.process(_NO_PICTURE, camera, next(stamp)), 200),
            'ms',
            f'filters, IK and placing, without the estimator; {conditions}',
        )
    )
    return rows


def _without_root(quats: Array) -> FloatArray:
    quats = np.array(quats, dtype=float)
    quats[0] = IDENTITY_QUAT
    return quats


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    write_results('tracking', [row for part in (clips, renders, real, cost) for row in part()])


if __name__ == '__main__':
    main()
