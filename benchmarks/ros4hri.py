# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What REP-155 loses of a pose: ``python -m benchmarks.ros4hri``.

Captured motion as hinges and URDF, whose text an independent reader turns back into places of
joints; distance from the joints of the body, in its own axes. The spine is told apart: with its
lean and twist left out of the motion, what remains is the limbs' own error.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar_ros.body import SMPLX, BodyPose, rest_pose
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.rep155 import Rep155Human
from avatar_ros.body.rep155_urdf import urdf
from avatar_ros.geometry import invert_rigid, quat_from_rotvec, rotvec_from_quat
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray
from benchmarks.metrics import Metric, load, write_results
from benchmarks.motions import load_motions

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'test')]
COMMAND = 'python -m benchmarks.ros4hri'
SPINE = SMPLX.rows(('spine1', 'spine2', 'spine3'))
LIMBS = ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')


def poses(*, pitch_only: bool, step: int = 3) -> Iterator[BodyPose]:
    """All clips at 10 frames a second."""
    for motion in load_motions():
        for quats in motion.quats[::step]:
            quats = quats.copy()
            quats[0] = [1, 0, 0, 0]
            if pitch_only:
                quats[SPINE] = quat_from_rotvec(rotvec_from_quat(quats[SPINE]) * [1, 0, 0])
            yield replace(rest_pose(), rotations=quats)


def errors_cm(human: Rep155Human, rest: FloatArray, pose: BodyPose) -> dict[str, list[float]]:
    """Distances by the name of the joint, of both sides."""
    from body.urdf_reader import SAME, link_positions

    angles = human.angles(pose)
    found = link_positions(urdf(human, 'x'), angles, 'x')
    T = forward_kinematics(SMPLX, rest, pose.rotations, pose.T_frame_root)
    T_body_frame = invert_rigid(human.T_frame_body(pose))

    def truth(*joints: str) -> FloatArray:
        middle = T[SMPLX.rows(joints), :3, 3].mean(axis=0)
        return np.asarray(T_body_frame[:3, :3] @ middle + T_body_frame[:3, 3])

    result: dict[str, list[float]] = {name: [] for name in ('neck', *LIMBS, 'eyes')}
    for link, joint in SAME.items():
        name = joint.partition('_')[2]
        result[name].append(100 * float(np.linalg.norm(found[link][:3, 3] - truth(joint))))
    neck = found['r_head'][:3, 3] - truth('neck', 'head')
    result['neck'].append(100 * float(np.linalg.norm(neck)))
    at = (found['head'] @ human.T_head_face)[:3, 3] - found['head'][:3, :3] @ [0.02, 0, 0]
    eyes = truth('left_eye_smplhf', 'right_eye_smplhf')
    result['eyes'].append(100 * float(np.linalg.norm(at - eyes)))
    return result


def main() -> None:
    rest = free_rest_landmarks().joints
    human = Rep155Human(rest)
    metrics = []
    for what, pitch_only, conditions in (
        ('limbs', True, 'spine bends forward only, as REP-155 can tell'),
        ('whole', False, 'spine as captured: its lean and twist are lost'),
    ):
        errors: dict[str, list[float]] = {}
        count = 0
        for pose in poses(pitch_only=pitch_only):
            count += 1
            for name, values in errors_cm(human, rest, pose).items():
                errors.setdefault(name, []).extend(values)
        for name, values in errors.items():
            for kind, value in (('mean', np.mean(values)), ('max', np.max(values))):
                metrics.append(
                    Metric(
                        f'ros4hri.{what}.{name}.{kind}_cm',
                        float(value),
                        'cm',
                        'lower',
                        f'{count} poses of 15 clips; {conditions}',
                        COMMAND,
                    )
                )
    some = list(poses(pitch_only=False, step=30))
    start = time.process_time()
    for pose in some:
        human.transforms(human.angles(pose))
    spent_ms = 1e3 * (time.process_time() - start) / len(some)
    conditions = f'angles and transforms of a person, without messages; {load()}'
    metrics.append(Metric('ros4hri.cpu_ms', spent_ms, 'ms', 'lower', conditions, COMMAND))
    write_results('ros4hri', metrics)


if __name__ == '__main__':
    main()
