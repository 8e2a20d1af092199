# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The pictures that Gaussians are refined against: all round, in many poses, and close up."""

from pathlib import Path

import numpy as np

from avatar_ros.body.skeletons import ARKIT_52, SIDES, SMPLX
from dressed_person.opengl import Gl, perspective
from dressed_person.poses import FACES, Poses


def save_pictures(path: Path, gl: Gl, poses: Poses, shades: list[np.ndarray], size: int) -> int:
    """Write `views.npz` with pictures of `size` pixels; returns how many."""
    parts, rest_joints = poses.parts, poses.rest_joints
    relaxed = poses.vertices('relaxed', 'neutral')
    floor = min(v[part.faces].min(axis=(0, 1))[1] for part, v in zip(parts, relaxed, strict=True))
    images, eyes_at, targets, names, across = [], [], [], [], []
    cache: dict[tuple[str, str], list[np.ndarray]] = {}
    for pose, face, target, width, azimuth, elevation in camera_views(
        poses.joints('relaxed'), floor
    ):
        if pose == 't' and width < 0.5:  # a hand, where it is in the T-pose
            target = rest_joints[SMPLX.index['left_middle1' if target[0] > 0 else 'right_middle1']]
        a, e = np.radians([azimuth, elevation])
        way = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        eye = target + way * width * 2.2
        if (pose, face) not in cache:
            cache[pose, face] = poses.vertices(pose, face)
        view = perspective(eye, target, 4.4)
        images.append(gl.picture(parts, cache[pose, face], shades, view, size))
        eyes_at.append(eye)
        targets.append(target)
        names.append((pose, face))
        across.append(width)
    np.savez(
        path,
        images=np.stack(images),
        eyes=np.stack(eyes_at),
        targets=np.stack(targets),
        across=np.array(across),
        poses=np.array([name[0] for name in names]),
        faces=np.array([name[1] for name in names]),
        rotvecs=np.stack([poses.rotvecs[name[0]] for name in names]),
        expressions=np.stack(
            [[FACES[name[1]].get(action, 0.0) for action in ARKIT_52] for name in names]
        ),
    )
    return len(images)


def camera_views(
    joints: np.ndarray, floor: float
) -> list[tuple[str, str, np.ndarray, float, float, float]]:
    """Pose, face, target, metres across, azimuth, elevation of each picture."""
    at = {name: joints[i] for i, name in enumerate(SMPLX.joints)}
    eyes = (at['left_eye_smplhf'] + at['right_eye_smplhf']) / 2
    face = eyes + np.array([0, -0.035, 0.02])
    head = eyes + np.array([0, 0.0, -0.04])
    body = np.array([0, (eyes[1] + 0.15 + floor) / 2, 0.0])
    around = lambda n, start=0.0: [start + 360 * i / n for i in range(n)]  # noqa: E731
    views = [('relaxed', 'neutral', body, 2.1, a, e) for a in around(12) for e in (0, 25)]
    views += [('relaxed', 'neutral', body, 2.1, a, -20) for a in around(6, 30)]
    views += [('t', 'neutral', body, 2.15, a, 5) for a in around(8)]
    views += [('up', 'neutral', body + np.array([0, 0.2, 0]), 2.4, a, 0) for a in around(6, 15)]
    views += [('sit', 'neutral', body + np.array([0, 0.1, 0.1]), 1.7, a, 15) for a in around(8)]
    views += [('bent', 'neutral', body, 2.0, a, e) for a in around(8) for e in (-5, 25)]
    chest = np.array([0, eyes[1] - 0.38, 0.0])
    views += [('bent', 'neutral', chest, 1.0, a, 0) for a in around(8)]
    views += [('relaxed', 'neutral', chest, 0.85, a, e) for a in around(10) for e in (-5, 20)]
    views += [('t', 'neutral', chest, 0.9, a, -15) for a in around(6)]
    knees = np.array([0, floor + 0.45, 0.0])
    views += [('relaxed', 'neutral', knees, 0.95, a, 5) for a in around(8)]
    views += [('relaxed', 'neutral', head, 0.36, a, e) for a in around(16) for e in (-20, 3, 28)]
    views += [('relaxed', 'neutral', head, 0.36, a, 65) for a in around(4)]
    views += [
        ('relaxed', 'neutral', face, 0.21, a, e)
        for a in (-50, -25, 0, 25, 50)
        for e in (-12, 0, 15)
    ]
    for name in FACES:
        if name != 'neutral':
            views += [('relaxed', name, face, 0.22, a, e) for a in (-35, 0, 35) for e in (-10, 6)]
    for side in SIDES:
        eye = at[f'{side}_eye_smplhf'] + np.array([0, 0, 0.01])
        views += [('relaxed', 'neutral', eye, 0.08, a, 0) for a in (-20, 0, 20)]
        hand = at[f'{side}_middle1']
        views += [('t', 'neutral', hand, 0.26, a, e) for a in around(4, 20) for e in (-50, 0, 50)]
        foot = (at[f'{side}_foot'] + at[f'{side}_ankle']) / 2
        views += [
            ('relaxed', 'neutral', foot, 0.42, a, e) for a in around(5) for e in (-60, 10, 40)
        ]
    return views
