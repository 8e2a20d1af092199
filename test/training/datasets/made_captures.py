# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Small captures on disk for the tests of the loaders."""

import json
from pathlib import Path

import cv2
import numpy as np

from avatar_ros.body.model import free_body
from avatar_ros.body.skeletons import SMPL, SMPLX
from avatar_ros.geometry import Camera, look_at
from avatar_ros.training.capture import Poses
from avatar_ros.training.datasets.directory import save_capture_metadata

INSTANTS = 10


def ring(count: int = 3, size: tuple[int, int] = (48, 64)) -> dict[str, Camera]:
    """Cameras 3 m around the origin."""
    cameras = {}
    for k in range(count):
        angle = 2 * np.pi * k / count
        T = look_at([3 * np.sin(angle), 0.2, 3 * np.cos(angle)], [0.0, 0.0, 0.0])
        cameras[f'cam{k:02d}'] = Camera.from_fov(*size, 45.0, T_camera_world=T)
    return cameras


def random_poses(kind: str = 'smplx', count: int = INSTANTS) -> Poses:
    rng = np.random.default_rng(5)
    skeleton = {'smplx': SMPLX, 'smpl': SMPL}[kind]
    names = tuple(f'{i:06d}' for i in range(count))
    return Poses(
        skeleton,
        names,
        0.3 * rng.normal(size=(count, len(skeleton), 3)),
        0.2 * rng.normal(size=(count, 3)),
    )


def write_pictures(folder: Path, cameras: dict[str, Camera], names: tuple[str, ...]) -> None:
    for name, camera in cameras.items():
        for kind in ('images', 'masks'):
            (folder / kind / name).mkdir(parents=True, exist_ok=True)
        rgb = np.full((camera.height, camera.width, 3), 90, np.uint8)
        mask = np.zeros((camera.height, camera.width), np.uint8)
        mask[10:50, 15:30] = 255
        for instant in names:
            cv2.imwrite(str(folder / 'images' / name / f'{instant}.png'), rgb)
            cv2.imwrite(str(folder / 'masks' / name / f'{instant}.png'), mask)


def make_directory(folder: Path, kind: str = 'smplx', cameras: int = 3, **extra) -> Path:
    poses = random_poses(kind)
    placed = ring(cameras)
    save_capture_metadata(folder, placed, poses, name='made', licence='CC0', **extra)
    write_pictures(folder, placed, poses.names)
    return folder


def make_arah(
    folder: Path, cameras: tuple[str, ...], count: int = 8, about: str = 'pelvis'
) -> Path:
    """A subject in the layout that ARAH's preprocessing leaves, of the free SMPL-format body."""
    model = free_body('smpl')
    poses = random_poses('smpl', count)
    shape = model.rest_vertices(np.array([0.8, -0.5]))
    rest = model.joint_regressor @ shape
    (folder / 'models').mkdir(parents=True)
    parameters: dict = {'all_cam_names': list(cameras)}
    for k, name in enumerate(cameras):
        (folder / name).mkdir()
        T = look_at([3 * np.sin(k), 0.2, 3 * np.cos(k)], [0.0, 0.0, 0.0])
        parameters[name] = {
            'K': [[1200.0, 0, 510.0], [0, 1200.0, 515.0], [0, 0, 1]],
            'D': [[0.01], [0.0], [0.0], [0.0], [0.0]],
            'R': T[:3, :3].tolist(),
            'T': T[:3, 3:].tolist(),
        }
        for instant in poses.names:
            (folder / name / f'{instant}.jpg').write_bytes(_JPG)
            (folder / name / f'{instant}.png').write_bytes(_MASK)
    (folder / 'cam_params.json').write_text(json.dumps(parameters))
    for row, instant in enumerate(poses.names):
        rotvecs, trans = poses.rotvecs[row], poses.translations[row]
        bones, joints = smpl_transforms(rotvecs, rest)
        if about == 'origin':  # EasyMocap: the root turns about the origin, not the pelvis
            shift = bones[0, :3, :3] @ rest[0] - rest[0]
            bones[:, :3, 3] += shift
            joints = joints + shift
        np.savez(
            folder / 'models' / f'{instant}.npz',
            minimal_shape=shape.astype(np.float32),
            betas=np.array([[0.8, -0.5]], np.float32),
            root_orient=rotvecs[0].astype(np.float32),
            pose_body=rotvecs[1:22].ravel().astype(np.float32),
            pose_hand=rotvecs[22:].ravel().astype(np.float32),
            trans=trans.astype(np.float32),
            bone_transforms=bones.astype(np.float32),
            abs_bone_transforms=bones.astype(np.float32),
            Jtr_posed=(joints + trans).astype(np.float32),
        )
    return folder


def smpl_transforms(rotvecs, rest):
    """T-pose to posed transforms (J, 4, 4) without translation, and joints (J, 3): SMPL eq. 3."""
    world = np.tile(np.eye(4), (len(SMPL), 1, 1))
    for j, parent in enumerate(SMPL.parents):
        local = np.eye(4)
        local[:3, :3] = cv2.Rodrigues(rotvecs[j])[0]
        local[:3, 3] = rest[j] - (rest[parent] if j else 0)
        world[j] = world[parent] @ local if j else local
    joints = world[:, :3, 3].copy()
    bones = world.copy()
    bones[:, :3, 3] -= (world[:, :3, :3] @ rest[..., None])[..., 0]
    return bones, joints


def _encoded(extension: str, picture) -> bytes:
    return cv2.imencode(extension, picture)[1].tobytes()


_JPG = _encoded('.jpg', np.full((1024, 1024, 3), 90, np.uint8))
_LABELS = np.zeros((1024, 1024), np.uint8)
_LABELS[300:800, 400:600] = 13  # a label of a human parser, not 255
_MASK = _encoded('.png', _LABELS)
