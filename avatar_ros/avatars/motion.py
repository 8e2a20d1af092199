# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Recorded or made-up motion to play on an avatar: AMASS and SMPL-X files, and a built-in clip."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar_ros.body import ARKIT_52, SMPL, SMPLX, BodyPose, FaceExpression
from avatar_ros.geometry import (
    matrix_from_rotvec,
    quat_from_rotvec,
    rigid,
    rotvec_from_matrix,
)
from avatar_ros.types import Array, FloatArray

MAX_BYTES = 1 << 30
BUILT_IN = ('demo',)
#: Joints (SMPL-X rows) behind each field of a motion file; the first name is the usual one.
_FIELDS = {
    ('global_orient', 'root_orient'): ('pelvis',),
    ('body_pose', 'pose_body'): SMPLX.joints[1:22],
    ('jaw_pose', 'pose_jaw'): ('jaw',),
    ('leye_pose',): ('left_eye_smplhf',),
    ('reye_pose',): ('right_eye_smplhf',),
    ('pose_eye',): ('left_eye_smplhf', 'right_eye_smplhf'),
    ('left_hand_pose',): SMPLX.joints[25:40],
    ('right_hand_pose',): SMPLX.joints[40:55],
    ('pose_hand',): SMPLX.joints[25:55],
}
#: Columns of a field that holds the whole pose -> the joints in it (SMPL, SMPL-H, SMPL-X).
_WHOLE_POSE = {
    72: SMPL.joints,
    156: SMPLX.joints[:22] + SMPLX.joints[25:],
    165: SMPLX.joints,
}
_UP = {'y': np.eye(3), 'z': np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])}


@dataclass(frozen=True)
class Motion:
    """Poses at a fixed rate, in a frame with y up."""

    name: str
    fps: float
    rotvecs: FloatArray
    """Parent-relative rotation vectors (T, 55, 3) on SMPL-X; row 0 turns the whole body."""
    translation: FloatArray
    """Where the pelvis is, (T, 3) metres, up to a constant."""
    expression: FloatArray | None = None
    """ARKit weights (T, 52)."""

    def __len__(self) -> int:
        return len(self.rotvecs)

    @property
    def duration_s(self) -> float:
        return len(self) / self.fps

    def at(self, time_s: float) -> int:
        """The frame shown at this time, the last one afterwards."""
        return min(int(time_s * self.fps + 1e-6), len(self) - 1)

    def pose(self, frame: int) -> BodyPose:
        """The pose of a frame; its frame of reference has y up."""
        rotations = quat_from_rotvec(self.rotvecs[frame])
        rotations[0] = (1.0, 0.0, 0.0, 0.0)
        root = rigid(matrix_from_rotvec(self.rotvecs[frame, 0]), self.translation[frame])
        stamp_ns = round(frame / self.fps * 1e9)
        confidence = np.ones(len(SMPLX))
        return BodyPose(SMPLX, root, rotations, confidence, stamp_ns, source=self.name)

    def face(self, frame: int) -> FaceExpression | None:
        """The expression of a frame, if the motion has any."""
        if self.expression is None:
            return None
        return FaceExpression('arkit52', ARKIT_52, self.expression[frame])


def load_motion(path_or_name: str | Path, up: str = 'auto') -> Motion:
    """A built-in clip (``demo``) or an ``.npz`` file as of AMASS or SMPL-X.

    :param up: axis of the file's world that points up: ``y``, ``z`` (AMASS), or ``auto`` to take
        the one along which the body mostly stands.
    :raises ValueError: if there is no such motion, or the file lacks something.
    """
    if str(path_or_name) == 'demo':
        return demo_motion()
    path = Path(path_or_name).expanduser()
    if not path.is_file():
        raise ValueError(
            f'motion {str(path_or_name)!r} is no file. Give an .npz file as of AMASS or '
            f'SMPL-X, or a built-in clip: {", ".join(BUILT_IN)}.'
        )
    if up not in ('auto', *_UP):
        raise ValueError(f'up is {up!r}; expected auto, y or z.')
    return _from_fields(path, _read(path), up)


def demo_motion() -> Motion:
    """Five seconds, 30 a second: a man turns a little, waves his right hand and smiles."""
    fps, duration = 30.0, 5.0
    t = np.arange(round(fps * duration)) / fps
    rotvecs = np.tile(stance('relaxed'), (len(t), 1, 1))
    row = SMPLX.index

    def bump(start: float, end: float, ease: float = 0.5) -> FloatArray:
        rise = np.clip((t - start) / ease, 0, 1)
        fall = np.clip((end - t) / ease, 0, 1)
        x = np.minimum(rise, fall)
        return np.asarray(x * x * (3 - 2 * x))

    def blend(joint: str, target: tuple[float, float, float], amount: FloatArray) -> None:
        here = rotvecs[:, row[joint]]
        rotvecs[:, row[joint]] = here + amount[:, None] * (np.array(target) - here)

    wave = bump(0.4, 3.3, 0.7)
    swing = np.sin(2 * np.pi * 1.6 * t) * wave
    blend('right_shoulder', (0.1, 0.25, 0.55), wave)
    blend('right_collar', (0.0, 0.0, -0.15), wave)
    blend('right_elbow', (0.0, 0.2, -1.8), wave)
    rotvecs[:, row['right_elbow'], 2] += 0.30 * swing
    rotvecs[:, row['right_wrist'], 2] += 0.15 * swing
    for joint in SMPLX.joints[40:52]:
        blend(joint, (0.0, 0.0, 0.0), wave)
    turn = 0.30 * np.sin(2 * np.pi * t / duration)
    rotvecs[:, 0, 1] = turn
    rotvecs[:, row['spine2'], 1] = 0.4 * turn
    rotvecs[:, row['head'], 1] = -0.9 * turn
    rotvecs[:, row['head'], 0] = 0.05 * np.sin(2 * np.pi * t / 2.5)
    rotvecs[:, row['spine1'], 0] = 0.012 * np.sin(2 * np.pi * t / 2.5)
    weights = np.zeros((len(t), len(ARKIT_52)))

    def act(names: tuple[str, ...], amount: FloatArray) -> None:
        for name in names:
            weights[:, ARKIT_52.index(name)] = amount

    smile = bump(0.8, 4.3, 0.6)
    act(('mouthSmileLeft', 'mouthSmileRight'), 0.75 * smile)
    act(('cheekSquintLeft', 'cheekSquintRight'), 0.35 * smile)
    act(('browInnerUp', 'browOuterUpLeft', 'browOuterUpRight'), 0.6 * bump(0.7, 2.0, 0.3))
    act(('jawOpen',), 0.12 * bump(1.2, 3.0, 0.4))
    blinks = bump(0.5, 0.7, 0.08) + bump(2.6, 2.8, 0.08) + bump(4.4, 4.6, 0.08)
    act(('eyeBlinkLeft', 'eyeBlinkRight'), blinks)
    return Motion('demo', fps, rotvecs, np.zeros((len(t), 3)), weights)


STANCES = ('t', 'relaxed', 'walking', 'arms up', 'sitting', 'thumbs up')


def stance(name: str) -> FloatArray:
    """Rotation vectors (55, 3) of one of `STANCES`."""
    result = np.zeros((len(SMPLX), 3))
    if name == 't':
        return result
    if name not in STANCES:
        raise ValueError(f'there is no stance {name!r}; known are {", ".join(STANCES)}.')

    def put(joint: str, rotvec: tuple[float, float, float]) -> None:
        """Both sides, mirrored: `rotvec` is the left one's."""
        x, y, z = rotvec
        result[SMPLX.index[f'left_{joint}']] = (x, y, z)
        result[SMPLX.index[f'right_{joint}']] = (x, -y, -z)

    put('shoulder', (0.12, 0.0, -1.2))
    put('elbow', (0.0, -0.3, 0.0))
    curl = 1.35 if name == 'thumbs up' else 0.25
    for finger in ('index', 'middle', 'ring', 'pinky'):
        for k in (1, 2, 3):
            put(f'{finger}{k}', (0.0, 0.0, -curl))
    if name == 'thumbs up':
        put('elbow', (0.0, -1.9, 0.0))
        put('shoulder', (0.2, -0.2, -1.1))
    elif name == 'arms up':
        put('shoulder', (0.0, 0.0, 1.0))
        put('collar', (0.0, 0.0, 0.25))
        put('elbow', (0.0, 0.0, 0.0))
    elif name == 'sitting':
        put('hip', (-1.5, 0.0, 0.0))
        put('knee', (1.5, 0.0, 0.0))
        put('elbow', (0.0, -1.0, 0.0))
    elif name == 'walking':
        for joint, x in (
            ('left_hip', -0.45),
            ('right_hip', 0.35),
            ('left_knee', 0.2),
            ('right_knee', 0.6),
        ):
            result[SMPLX.index[joint], 0] = x
        result[SMPLX.index['left_shoulder'], 0] = 0.5
        result[SMPLX.index['right_shoulder'], 0] = -0.4
    return result


def _read(path: Path) -> dict[str, Array]:
    fields = {}
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
        if declared > MAX_BYTES:
            raise ValueError(f'unpacks to {declared} bytes; at most {MAX_BYTES} are read')
        with np.load(path, allow_pickle=False) as data:
            for name in data.files:
                try:
                    fields[name] = np.asarray(data[name])
                except ValueError as error:
                    if 'allow_pickle' not in str(error):  # an object array: not a motion
                        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f'{path}: is not a readable .npz file ({error}).') from error
    return fields


def _from_fields(path: Path, fields: dict[str, Array], up: str) -> Motion:
    rotvecs: FloatArray | None = None
    if 'poses' in fields:
        joints = _WHOLE_POSE.get(fields['poses'].shape[-1] if fields['poses'].ndim else 0)
        if joints is None:
            raise ValueError(
                f'{path}: poses has shape {fields["poses"].shape}; expected (frames, '
                f'{" or ".join(map(str, _WHOLE_POSE))}): SMPL, SMPL-H or SMPL-X.'
            )
        rotvecs = _spread(path, 'poses', fields['poses'], joints, None)
    for names, joints in _FIELDS.items():
        for name in names:
            if name in fields and 'poses' not in fields:
                rotvecs = _spread(path, name, fields[name], joints, rotvecs)
    if rotvecs is None:
        raise ValueError(
            f'{path}: has no body pose; it has {", ".join(sorted(fields)[:10]) or "nothing"}. '
            'Expected poses, or global_orient and body_pose, as of AMASS or SMPL-X.'
        )
    frames = len(rotvecs)
    translation: FloatArray = np.zeros((frames, 3))
    for name in ('transl', 'trans'):
        if name in fields:
            translation = _numbers(path, name, fields[name], (frames, 3))
    R = matrix_from_rotvec(rotvecs[:, 0])
    if up == 'auto':
        standing = R[:, :, 1].mean(0)
        up = 'z' if standing[2] > standing[1] else 'y'
    turn = _UP[up]
    rotvecs[:, 0] = rotvec_from_matrix(turn @ R)
    return Motion(
        path.stem,
        _rate(path, fields),
        rotvecs,
        translation @ turn.T,
        _expression(path, fields, frames),
    )


def _spread(
    path: Path, name: str, values: Array, joints: tuple[str, ...], into: FloatArray | None
) -> FloatArray:
    """Put a field's joints into (T, 55, 3)."""
    frames = len(values) if values.ndim else 0
    if not frames:
        raise ValueError(f'{path}: {name} is empty; expected one row a frame.')
    if into is None:
        into = np.zeros((frames, len(SMPLX), 3))
    if values.size != len(into) * len(joints) * 3:
        hint = ' These may be PCA coefficients: save axis-angle.' if 'hand' in name else ''
        raise ValueError(
            f'{path}: {name} has shape {values.shape}; expected ({len(into)}, {3 * len(joints)}), '
            f'three numbers for each of {len(joints)} joints.{hint}'
        )
    values = _numbers(path, name, values.reshape(len(into), -1, 3), (len(into), len(joints), 3))
    known = [i for i, joint in enumerate(joints) if joint in SMPLX.index]
    into[:, SMPLX.rows([joints[i] for i in known])] = values[:, known]
    return into


def _numbers(path: Path, name: str, values: Array, shape: tuple[int, ...]) -> FloatArray:
    if values.shape != shape or values.dtype.kind not in 'fiu':
        raise ValueError(f'{path}: {name} is {values.dtype} {values.shape}; expected {shape}.')
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f'{path}: {name} has values that are not finite; clean the motion first.')
    return values


def _rate(path: Path, fields: dict[str, Array]) -> float:
    for name in ('mocap_framerate', 'mocap_frame_rate', 'fps', 'frame_rate'):
        if name in fields:
            if fields[name].size != 1 or fields[name].dtype.kind not in 'fiu':
                raise ValueError(f'{path}: {name} is {fields[name]!r}; expected one number.')
            rate = float(fields[name].reshape(()))
            if not 0.1 <= rate <= 1000:
                raise ValueError(f'{path}: {name} is {rate}; expected 0.1..1000 frames a second.')
            return rate
    return 30.0


def _expression(path: Path, fields: dict[str, Array], frames: int) -> FloatArray | None:
    """ARKit weights (T, 52); expression coefficients of other bases mean nothing to them."""
    if 'expression' not in fields or fields['expression'].shape != (frames, len(ARKIT_52)):
        return None
    return _numbers(path, 'expression', fields['expression'], (frames, len(ARKIT_52)))
