# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Writes a capture of a mesh person: pictures, masks and part maps, and the truth behind them."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from avatar_ros.body.skeletons import ARKIT_52, SMPLX
from avatar_ros.geometry import Camera, look_at
from avatar_ros.training.capture import CaptureError, Poses
from avatar_ros.training.datasets.directory import FORMAT, write_cameras, write_poses
from avatar_ros.training.synthetic.acting import acted_expressions, acted_motion, held_out
from avatar_ros.training.synthetic.mesh_person import MeshPerson, pose_vertices, read_person
from avatar_ros.training.synthetic.mesh_raster import Drawing, draw
from avatar_ros.training.synthetic.painted import painted_person
from avatar_ros.types import FloatArray, Image

_DISTANCE_M, _FACE_DISTANCE_M = 3.2, 1.3
#: Heights of the cameras in metres, in turn.
_HEIGHTS_M = (0.75, 1.75)
#: Share of the picture's height that a standing person fills.
_FILL = 0.85
#: Half of what a face camera sees, in metres, around where the head has been.
_FACE_MARGIN_M = 0.17


@dataclass(frozen=True)
class MeshCaptureOptions:
    """What to make."""

    person: Path | None = None
    """A ``person.npz``; None: the painted person."""
    frames: int = 125
    cameras: int = 6
    face_cameras: int = 0
    size: int = 512
    """Pixels; pictures are square."""
    seed: int = 0
    expressions: bool = False
    fps: float = 30.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ('frames', 5, 100_000),
            ('cameras', 3, 100),
            ('face_cameras', 0, 100),
            ('size', 16, 4096),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise CaptureError(f'{name} is {value}; expected {low}..{high}.')


def generate_mesh_capture(
    folder: Path, options: MeshCaptureOptions, overwrite: bool = False
) -> None:
    """Write the capture; it appears under its name only when it is complete.

    :raises CaptureError: if the folder is not empty, or the person cannot be read.
    """
    check_target(folder, overwrite)
    person = painted_person() if options.person is None else read_person(options.person)
    poses = standing_poses(person, options)
    cameras = ring(person, poses, options.cameras, options.size)
    cameras |= face_ring(person, poses, options.face_cameras, options.size)
    work = folder.with_name(f'{folder.name}.partial')
    shutil.rmtree(work, ignore_errors=True)
    try:
        for kind in ('images', 'masks', 'parts'):
            for name in cameras:
                (work / kind / name).mkdir(parents=True)
        write_cameras(work / 'cameras.json', cameras)
        extra = {
            'minimal_shape': person.subject.vertices,
            'rest_joints': person.subject.rest_joints,
        }
        if poses.expression is not None:
            extra['expression_names'] = np.array(ARKIT_52)
        write_poses(work / 'poses.npz', poses, **extra)
        text = json.dumps(manifest(person, options, list(cameras)), indent=1)
        (work / 'capture.json').write_text(text + '\n')
        with tqdm(total=len(poses) * len(cameras), unit='picture', desc=str(folder)) as bar:
            for row in range(len(poses)):
                face = None if poses.expression is None else poses.expression[row]
                vertices = person.posed(poses.rotvecs[row], poses.translations[row], face)
                light = person.light(vertices)
                for name, camera in cameras.items():
                    drawing = draw(person.mesh, vertices, light, camera)
                    _write(work, name, poses.names[row], drawing)
                    bar.update()
        if folder.exists():
            shutil.rmtree(folder)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(folder: Path, overwrite: bool) -> None:
    """:raises CaptureError: if writing there would lose something that was not to be lost."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CaptureError(f'{folder}: is a file; expected a folder to write to. Name another.')
    if any(folder.iterdir()):
        if not overwrite:
            raise CaptureError(f'{folder}: is not empty. Give another folder, or --overwrite.')
        if not (folder / 'capture.json').is_file():
            raise CaptureError(
                f'{folder}: is no capture (it has no capture.json), so --overwrite leaves it '
                'alone. Empty it yourself, or give another folder.'
            )


def standing_poses(person: MeshPerson, options: MeshCaptureOptions) -> Poses:
    """The motion, with the lowest point of every instant on the floor y = 0."""
    rotvecs = acted_motion(options.frames, options.seed, curl_fingers=options.expressions)
    joints = person.subject.rest_joints
    translations = np.tile(-joints[0], (options.frames, 1))
    # Faces hold all that is drawn; the lowest of it may be a knee or a hand.
    drawn = np.unique(person.faces)
    low = drawn[person.vertices[drawn, 1] < person.vertices[drawn, 1].min() + 0.12]
    for row in range(options.frames):
        v = pose_vertices(
            person.vertices[low], person.weights[low], joints, rotvecs[row], translations[row]
        )
        translations[row, 1] -= v[:, 1].min()
    names = tuple(f'{i:06d}' for i in range(options.frames))
    faces = acted_expressions(options.frames, options.seed) if options.expressions else None
    return Poses(SMPLX, names, rotvecs, translations, faces)


def ring(person: MeshPerson, poses: Poses, count: int, size: int) -> dict[str, Camera]:
    """Cameras around the origin, low and high in turn, that see the person at every instant."""
    tall = float(np.ptp(person.vertices[np.unique(person.faces), 1]))
    some = np.arange(0, len(person.vertices), 20)
    cloud = np.concatenate(
        [
            pose_vertices(
                person.vertices[some],
                person.weights[some],
                person.subject.rest_joints,
                poses.rotvecs[row],
                poses.translations[row],
            )
            for row in range(len(poses))
        ]
    )
    # Half way up to where a raised hand gets, so that no room is wasted below the feet.
    target = np.array([0.0, max(tall, float(cloud[:, 1].max())) / 2, 0.0])
    result = {}
    for k in range(count):
        angle = 2 * np.pi * k / count
        eye = np.array([np.sin(angle), 0.0, np.cos(angle)]) * _DISTANCE_M
        eye[1] = _HEIGHTS_M[k % len(_HEIGHTS_M)]
        probe = Camera(np.eye(3), 1, 1, look_at(eye, target))
        reach = max(
            tall / 2 / _FILL / _DISTANCE_M, 1.02 * float(np.abs(probe.project(cloud)).max())
        )
        fov = 2 * np.degrees(np.arctan(reach))
        result[f'cam{k:02d}'] = Camera.from_fov(
            size, size, fov, T_camera_world=probe.T_camera_world, frame_id=f'cam{k:02d}'
        )
    return result


def face_ring(person: MeshPerson, poses: Poses, count: int, size: int) -> dict[str, Camera]:
    """Close-ups around where the head is most of the time."""
    if not count:
        return {}
    joints, head = person.subject.rest_joints, SMPLX.index['head']
    one, row = np.eye(len(SMPLX))[[head]], joints[[head]] + [[0.0, 0.06, 0.03]]
    places = np.concatenate(
        [
            pose_vertices(row, one, joints, poses.rotvecs[i], poses.translations[i])
            for i in range(len(poses))
        ]
    )
    centre = np.median(places, axis=0)
    # Three quarters of the instants; a deep bend leaves the picture.
    spread = float(np.quantile(np.linalg.norm(places - centre, axis=1), 0.75))
    fov = 2 * np.degrees(np.arctan((_FACE_MARGIN_M + spread) / _FACE_DISTANCE_M))
    result = {}
    for k in range(count):
        angle = 2 * np.pi * (k + 0.25) / count
        eye = centre + _FACE_DISTANCE_M * np.array([np.sin(angle), 0.05, np.cos(angle)])
        name = f'face{k:02d}'
        view = look_at(eye, centre)
        result[name] = Camera.from_fov(size, size, fov, T_camera_world=view, frame_id=name)
    return result


def manifest(person: MeshPerson, options: MeshCaptureOptions, names: list[str]) -> dict[str, Any]:
    """``capture.json``: a third of the body cameras is held out, at least one."""
    body = [name for name in names if name.startswith('cam')]
    # Not the last two: with a ring those would be neighbours, and leave one side unseen.
    tested = body[1 :: max(1, len(body) // max(1, len(body) // 3))][: max(1, len(body) // 3)]
    train = [name for name in names if name not in tested]
    end = held_out(options.frames)
    return {
        'format': FORMAT,
        'version': 1,
        'name': f'synthetic-{person.name}-{options.seed}',
        'licence': person.licence,
        'skeleton': 'smplx',
        'fps': options.fps,
        'body_model': 'free_smplx',
        'splits': {
            'train': {'cameras': train, 'frames': [0, end, 1]},
            'novel_view': {'cameras': tested, 'frames': [0, end, 5]},
            'novel_pose': {'cameras': [*tested, train[0]], 'frames': [end, options.frames, 2]},
        },
    }


def to_byte(values: FloatArray) -> Image:
    """0..1 -> 0..255."""
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), dtype=np.uint8)


def _write(work: Path, camera: str, name: str, drawing: Drawing) -> None:
    pictures = {
        'images': to_byte(drawing.rgb)[..., ::-1],
        'masks': to_byte(drawing.coverage),
        'parts': drawing.labels,
    }
    for kind, image in pictures.items():
        path = work / kind / camera / f'{name}.png'
        if not cv2.imwrite(str(path), np.ascontiguousarray(image)):
            raise CaptureError(f'{path}: cannot be written; is the disk full?')
