# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Writes a made capture: pictures, masks and part maps from a ring of cameras, and the truth."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from avatar_ros.avatars import SkinnedAvatar, avatar_path, load_bundle
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera, look_at
from avatar_ros.render import NumbaEngine
from avatar_ros.training.body.semantics import splat_features
from avatar_ros.training.capture import PARTS, CaptureError, Poses
from avatar_ros.training.datasets.directory import FORMAT, write_cameras, write_poses
from avatar_ros.training.synthetic.motion import made_up_expressions, made_up_motion
from avatar_ros.training.synthetic.person import Person
from avatar_ros.types import Array, FloatArray

_DISTANCE_M, _HEIGHT_M = 2.9, 1.9
#: Drawn so many times larger and averaged, as a sensor does.
_SUPERSAMPLING = 2


@dataclass(frozen=True)
class SyntheticOptions:
    """What to make."""

    avatar: str = 'dressed'
    instants: int = 125
    cameras: int = 6
    face_cameras: int = 0
    size: int = 512
    seed: int = 0
    expressions: bool = False


def generate(folder: Path, options: SyntheticOptions, overwrite: bool = False) -> None:
    """Write the capture.

    :raises CaptureError: if the folder has something in it already, or the options make no sense.
    """
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise CaptureError(f'{folder}: is not empty. Give another folder, or --overwrite.')
    if options.instants < 10 or options.cameras < 2 or not 16 <= options.size <= 4096:
        raise CaptureError(
            f'{options.instants} instants, {options.cameras} cameras of {options.size} pixels; '
            'expected at least 10 instants and 2 cameras, and 16..4096 pixels.'
        )
    person = Person(load_bundle(avatar_path(options.avatar)))
    subject, betas = person.subject()
    poses = _poses(person, options)
    cameras = ring_of_cameras(options.cameras, options.size)
    cameras |= _face_cameras(options.face_cameras, options.size, poses, person)
    folder.mkdir(parents=True, exist_ok=True)
    write_cameras(folder / 'cameras.json', cameras)
    extra: dict[str, Array] = {'betas': betas, 'rest_joints': subject.rest_joints}
    if poses.expression is not None:
        extra['expression_names'] = np.array(subject.expression_names)
    write_poses(folder / 'poses.npz', poses, **extra)
    _write_manifest(folder, options, person, sorted(cameras), len(poses))
    engine = NumbaEngine()
    for row in tqdm(range(len(poses)), 'drawing', unit='instant', mininterval=1.0):
        pose = poses.body_pose(row, subject.rest_joints)
        face = None if poses.expression is None else poses.expression[row]
        gaussians = person.posed(pose, poses.rotvecs[row], face)
        for name, camera in cameras.items():
            rgb, mask, parts = _draw(engine, gaussians, person, camera)
            for kind, image in (('images', rgb[..., ::-1]), ('masks', mask), ('parts', parts)):
                path = folder / kind / name / f'{poses.names[row]}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                if not cv2.imwrite(str(path), image):
                    raise CaptureError(f'{path}: cannot be written; is the disk full?')


def ring_of_cameras(count: int, size: int) -> dict[str, Camera]:
    """Cameras around the origin, high and low in turn, each of which sees a whole person."""
    fov = 2 * np.degrees(np.arctan(_HEIGHT_M / 2 / 0.86 / _DISTANCE_M))
    result = {}
    for k in range(count):
        angle = 2 * np.pi * k / count
        height = 0.7 + 0.9 * (k % 2)
        eye = [_DISTANCE_M * np.sin(angle), height, _DISTANCE_M * np.cos(angle)]
        view = look_at(eye, [0.0, 0.95, 0.0])
        result[f'cam{k:02d}'] = Camera.from_fov(size, size, fov, T_camera_world=view)
    return result


def _face_cameras(count: int, size: int, poses: Poses, person: Person) -> dict[str, Camera]:
    """Close-ups from around the mean place of the head."""
    if not count:
        return {}
    avatar = SkinnedAvatar(person.bundle)
    joints = person.bundle.rest_joints.astype(float)
    head = SMPLX.index['head']
    places = [avatar.joint_positions(poses.body_pose(i, joints))[head] for i in range(len(poses))]
    centre = np.mean(places, axis=0)
    result = {}
    for k in range(count):
        angle = 2 * np.pi * (k + 0.5) / count
        eye = centre + [1.2 * np.sin(angle), 0.05, 1.2 * np.cos(angle)]
        view = look_at(eye, centre)
        result[f'face{k:02d}'] = Camera.from_fov(size, size, 28.0, T_camera_world=view)
    return result


def _poses(person: Person, options: SyntheticOptions) -> Poses:
    """The motion, standing on the floor."""
    rotvecs = made_up_motion(options.instants, options.seed)
    names = tuple(f'{i:06d}' for i in range(options.instants))
    faces = made_up_expressions(options.instants, options.seed) if options.expressions else None
    poses = Poses(SMPLX, names, rotvecs, np.zeros((options.instants, 3)), faces)
    avatar = SkinnedAvatar(person.bundle)
    joints = person.bundle.rest_joints.astype(float)
    translations = np.zeros((options.instants, 3))
    for row in range(options.instants):
        translations[row] = -joints[0]
        pose = replace(poses, translations=translations).body_pose(row, joints)
        translations[row, 1] -= avatar.ground_height(pose)
    return replace(poses, translations=translations)


def _draw(
    engine: NumbaEngine, gaussians: Gaussians, person: Person, camera: Camera
) -> tuple[Array, Array, Array]:
    big = camera.scaled(_SUPERSAMPLING * camera.width, _SUPERSAMPLING * camera.height)
    drawn = engine.rasterize(gaussians, [big])
    size = camera.width, camera.height

    def small(image: Array) -> FloatArray:
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=float)

    rgb, alpha = small(drawn.colors[0].numpy()), small(drawn.alphas[0, ..., 0].numpy())
    labels = torch.nn.functional.one_hot(torch.from_numpy(person.parts), len(PARTS)).float()
    share = splat_features(engine, gaussians, labels, camera).numpy()
    parts = np.where(alpha > 0.5, share.argmax(-1) + 1, 0).astype(np.uint8)

    def byte(values: FloatArray) -> Array:
        return np.asarray(np.rint(values.clip(0, 1) * 255), dtype=np.uint8)

    return byte(rgb), byte(alpha), parts


def _write_manifest(
    folder: Path, options: SyntheticOptions, person: Person, cameras: list[str], instants: int
) -> None:
    body = [name for name in cameras if name.startswith('cam')]
    held_out = body[1::3]
    known = [name for name in cameras if name not in held_out]
    end = instants - instants // 5
    manifest = {
        'format': FORMAT,
        'version': 1,
        'name': f'synthetic-{options.avatar}-{options.seed}',
        'licence': person.bundle.licence,
        'skeleton': 'smplx',
        'body_model': 'free_smplx',
        'fps': 30.0,
        'splits': {
            'train': {'cameras': known, 'frames': [0, end]},
            'novel_view': {'cameras': held_out, 'frames': [0, end, 5]},
            'novel_pose': {'cameras': [*held_out, body[0]], 'frames': [end, instants, 2]},
        },
    }
    (folder / 'capture.json').write_text(json.dumps(manifest, indent=1) + '\n')
