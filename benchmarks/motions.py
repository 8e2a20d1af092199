# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""DeepMimic motion clips (JSON) as SMPL-X poses: exact truth for tracking tests and benchmarks.

Each frame of a clip: duration, root position (3), then quaternions wxyz of root, chest, neck and
the limbs, with one angle for each knee and elbow (Peng et al., SIGGRAPH 2018, motion format).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from avatar_ros.assets import asset_path
from avatar_ros.body.pose import IDENTITY_QUAT
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import quat_from_xyzw
from avatar_ros.types import Array, FloatArray

#: DeepMimic's x forward, y up, z right -> SMPL's x left, y up, z forward.
_R_SMPL_CLIP = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
#: First column of each side's hip, knee, ankle, shoulder and elbow.
_COLUMNS = {'right': (16, 20, 21, 25, 29), 'left': (30, 34, 35, 39, 43)}


@dataclass(frozen=True)
class Motion:
    name: str
    fps: float
    quats: FloatArray
    """(T, 55, 4) wxyz parent-relative; row 0 is the root's orientation in the world (y up)."""
    translation: FloatArray
    """(T, 3) metres."""

    def __len__(self) -> int:
        return len(self.quats)


def load_motions(fps: float = 30.0) -> Iterator[Motion]:
    """All clips in order of name; raises MissingAssetError when they were not fetched."""
    for path in sorted(asset_path('motions').glob('humanoid3d_*.txt')):
        yield load_motion(path, fps)


def load_motion(path: Path, fps: float = 30.0) -> Motion:
    frames = np.array(json.loads(path.read_text())['Frames'], dtype=float)
    time = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
    sample = np.arange(0.0, time[-1], 1.0 / fps)

    def quaternion(column: int) -> Rotation:
        return _in_smpl_axes(Rotation.from_quat(np.roll(frames[:, column : column + 4], -1, -1)))

    def hinge(column: int) -> Rotation:
        angles = np.zeros((len(frames), 3))
        angles[:, 2] = frames[:, column]
        return _in_smpl_axes(Rotation.from_rotvec(angles))

    rotations: dict[str, Rotation] = {'pelvis': quaternion(4)}
    for names, column in ((('spine1', 'spine2', 'spine3'), 8), (('neck', 'head'), 12)):
        whole = quaternion(column).as_rotvec()
        for name in names:
            rotations[name] = Rotation.from_rotvec(whole / len(names))
    for side, (hip, knee, ankle, shoulder, elbow) in _COLUMNS.items():
        # Clips rest with hanging arms, SMPL in the T-pose.
        lower = Rotation.from_rotvec([0, 0, np.pi / 2 if side == 'right' else -np.pi / 2])
        rotations[f'{side}_hip'] = quaternion(hip)
        rotations[f'{side}_knee'] = hinge(knee)
        rotations[f'{side}_ankle'] = quaternion(ankle)
        rotations[f'{side}_shoulder'] = quaternion(shoulder) * lower
        rotations[f'{side}_elbow'] = lower.inv() * hinge(elbow) * lower
    quats = np.tile([1.0, 0, 0, 0], (len(sample), len(SMPLX), 1))
    for name, rotation in rotations.items():
        xyzw = Slerp(time, rotation)(sample).as_quat()
        quats[:, SMPLX.index[name]] = quat_from_xyzw(xyzw)
    position = frames[:, 1:4] @ _R_SMPL_CLIP.T
    translation = np.stack([np.interp(sample, time, axis) for axis in position.T], axis=1)
    return Motion(path.stem.removeprefix('humanoid3d_'), fps, quats, translation)


def without_root(quats: Array) -> FloatArray:
    """Rotations (55, 4) of one frame but the root's, which a `BodyPose` holds apart."""
    quats = np.array(quats, dtype=float)
    quats[0] = IDENTITY_QUAT
    return quats


def _in_smpl_axes(rotation: Rotation) -> Rotation:
    return Rotation.from_matrix(_R_SMPL_CLIP @ rotation.as_matrix() @ _R_SMPL_CLIP.T)


def pa_mpjpe(found: Array, truth: Array) -> float:
    """Mean joint error (J, 3) after the best similarity transform (Procrustes), same unit."""
    a, b = found - found.mean(0), truth - truth.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    sign = np.sign(np.linalg.det(u @ vt))
    d = np.array([1.0, 1.0, sign])
    scale = (s * d).sum() / (a**2).sum()
    return float(np.linalg.norm(scale * a @ (u * d @ vt) - b, axis=1).mean())
