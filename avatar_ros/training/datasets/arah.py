# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""ZJU-MoCap and Human3.6M as ARAH's preprocessing leaves them (Wang et al., ECCV 2022).

::

    SUBJECT/cam_params.json     {"all_cam_names": [...], name: {"K", "D", "R", "T"}}
    SUBJECT/models/000000.npz   minimal_shape, betas, root_orient, pose_body, pose_hand, trans,
                                bone_transforms, abs_bone_transforms, Jtr_posed
    SUBJECT/<camera>/000000.jpg and 000000.png (mask, not 0 = person)

The SMPL model is the user's own: its faces and skinning weights are not in these files.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.body.model import BodyModel, load_body_model
from avatar_ros.body.skeletons import SMPL
from avatar_ros.geometry import Camera, matrix_from_rotvec, rigid
from avatar_ros.training.capture import Capture, CaptureError, Poses, Shot, Subject
from avatar_ros.training.datasets.pose_file import numbers, read_arrays
from avatar_ros.types import Array

#: Between Jtr_posed and the joints of the given model.
_JOINT_TOLERANCE_M = 0.01
_LICENCE = 'research only: see the terms of the data set'


@dataclass(frozen=True)
class Protocol:
    """Which pictures are for what, as in 3DGS-Avatar and ARAH."""

    train_cameras: tuple[str, ...]
    test_cameras: tuple[str, ...] | None
    """None: all others."""
    train_end: int | None
    """First frame of novel poses; None: all frames are for training."""
    test_every: int
    size: tuple[int, int] | None = None
    """Width and height of the calibrated pictures, where they are known."""


_ZJU_ENDS = {'377': 570, '386': 540, '387': 540, '392': None, '393': None, '394': 475}
ZJU = {
    name: Protocol(('1',), tuple(str(k) for k in range(2, 24)), end, 30, (1024, 1024))
    for name, end in _ZJU_ENDS.items()
}
_H36M_TRAIN, _H36M_TEST = ('54138969', '55011271', '58860488'), ('60457274',)
#: Ends for S1 and S9 are ARAH's; SG-GS's for the others.
_H36M_ENDS = {'S1': 150, 'S5': 500, 'S6': 500, 'S7': 500, 'S8': 500, 'S9': 260, 'S11': 500}
H36M = {
    name: Protocol(_H36M_TRAIN, _H36M_TEST, end, 6 if name in ('S1', 'S9') else 30)
    for name, end in _H36M_ENDS.items()
}


def is_arah(folder: Path) -> bool:
    """Whether a folder looks like a subject."""
    return (folder / 'cam_params.json').exists() and (folder / 'models').is_dir()


def load_arah(
    path: str | Path,
    body_model: str | Path | None,
    subject: str | None = None,
    dataset: str | None = None,
) -> Capture:
    """One subject; its folder's name tells the protocol (``CoreView_377``, ``S9/Posing``).

    :param subject: in place of the folder's name.
    :param dataset: ``zju_mocap`` or ``h36m``: refuse a subject of the other one.
    :raises CaptureError: if something is missing or does not fit together.
    """
    folder = Path(path)
    if body_model is None:
        raise CaptureError(
            f'{folder}: needs the SMPL model that it was made with. Get SMPL_NEUTRAL from '
            'smpl.is.tue.mpg.de (your own licence) and give it with --body-model.'
        )
    if not is_arah(folder):
        raise CaptureError(
            f"{folder}: has no cam_params.json and models/; run ARAH's preprocessing."
        )
    try:
        model = load_body_model(body_model)
    except (OSError, ValueError) as error:
        raise CaptureError(f'{folder}: body model {body_model}: {error}') from error
    if model.skeleton is not SMPL:
        raise CaptureError(f'{body_model}: is {model.kind}; ARAH files need an SMPL model.')
    name = subject or _name_of(folder)
    protocol = protocol_of(name, dataset)
    files = sorted((folder / 'models').glob('*.npz'))
    if not files:
        raise CaptureError(f"{folder}/models: has no .npz files; run ARAH's preprocessing.")
    frames = [_read_frame(file, model) for file in files]
    rotvecs = np.stack([frame['rotvecs'] for frame in frames])
    translations = np.stack([frame['trans'] for frame in frames])
    poses = Poses(SMPL, tuple(file.stem for file in files), rotvecs, translations)
    shape = frames[0]['minimal_shape']
    person = Subject(SMPL, shape, model.faces, model.weights, model.joint_regressor @ shape)
    cameras = _cameras(folder / 'cam_params.json', folder, protocol)
    shots, skipped = _shots(folder, cameras, poses)
    return Capture(
        name,
        _LICENCE,
        person,
        poses,
        shots,
        _splits(folder, protocol, shots, poses),
        skipped=tuple(skipped),
    )


def _name_of(folder: Path) -> str:
    folder = folder.resolve()
    # ARAH keeps the one sequence of H36M that it uses in a folder of its own.
    return folder.parent.name if folder.name == 'Posing' else folder.name


def protocol_of(name: str, dataset: str | None = None) -> Protocol:
    """The protocol of a subject, by a name such as ``CoreView_377``, ``377`` or ``S9``.

    :raises CaptureError: if the name is no known subject's.
    """
    number = re.search(r'(\d{3})$', name)
    if dataset != 'h36m' and number and number.group(1) in ZJU:
        return ZJU[number.group(1)]
    if dataset != 'zju_mocap' and name in H36M:
        return H36M[name]
    raise CaptureError(
        f'subject {name!r}: not known; expected a name that ends with {", ".join(ZJU)} '
        f'(ZJU-MoCap), or {", ".join(H36M)} (H36M). Rename the folder or give the subject.'
    )


def _read_frame(path: Path, model: BodyModel) -> dict[str, Array]:
    wanted = {
        'minimal_shape': model.template.shape,
        'root_orient': (3,),
        'pose_body': (63,),
        'pose_hand': (6,),
        'trans': (3,),
    }
    found = read_arrays(path)
    missing = sorted({*wanted, 'bone_transforms', 'Jtr_posed'} - set(found))
    if missing:
        raise CaptureError(f'{path}: has no {missing[0]}; run the preprocessing again.')
    arrays = {name: numbers(path, name, found) for name in wanted}
    bones = numbers(path, 'bone_transforms', found)
    for name, expected in wanted.items():
        if arrays[name].size != np.prod(expected):
            raise CaptureError(
                f'{path}: {name} has shape {arrays[name].shape}; expected {expected} here.'
            )
        if not np.isfinite(arrays[name]).all():
            raise CaptureError(f'{path}: {name} is not finite.')
    pose = [arrays[name].reshape(-1, 3) for name in ('root_orient', 'pose_body', 'pose_hand')]
    shape = arrays['minimal_shape'].reshape(model.template.shape)
    trans, rest = arrays['trans'].reshape(3), model.joint_regressor @ shape
    shift = _root_shift(path, bones, pose[0][0], rest[0])
    posed = (bones[:, :3, :3] @ rest[..., None])[..., 0] + bones[:, :3, 3] + trans
    joints = numbers(path, 'Jtr_posed', found)
    if joints.shape != posed.shape or not np.abs(joints - posed).max() < _JOINT_TOLERANCE_M:
        off = np.abs(joints - posed).max() if joints.shape == posed.shape else np.inf
        raise CaptureError(
            f'{path}: joints lie {off:.3f} m from Jtr_posed; expected at most '
            f'{_JOINT_TOLERANCE_M} m. Give the SMPL model (version and gender) that the files '
            'were made with: ARAH takes the neutral one.'
        )
    return {'rotvecs': np.concatenate(pose), 'trans': trans + shift, 'minimal_shape': shape}


def _root_shift(path: Path, bones: Array, root: Array, pelvis: Array) -> Array:
    """What the root's transform moves beyond turning about the pelvis, (3,).

    The files' transforms are without `trans`. ARAH's own turn about the pelvis, as SMPL does, and
    EasyMocap's about the origin: which it is is read from them and not assumed.
    """
    if bones.shape != (len(SMPL), 4, 4) or not np.isfinite(bones).all():
        raise CaptureError(
            f'{path}: bone_transforms have shape {bones.shape}; expected ({len(SMPL)}, 4, 4).'
        )
    R = matrix_from_rotvec(root)
    if np.abs(bones[0, :3, :3] - R).max() > 1e-2:
        raise CaptureError(f'{path}: root_orient and bone_transforms[0] do not agree.')
    return np.asarray(bones[0, :3, 3] - (pelvis - R @ pelvis))


def _cameras(path: Path, folder: Path, protocol: Protocol) -> dict[str, Camera]:
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        result = {}
        for name in values['all_cam_names']:
            entry = values[name]
            K, D = np.array(entry['K'], float), np.array(entry['D'], float).ravel()
            R, T = np.array(entry['R'], float), np.array(entry['T'], float).ravel()
            width, height = protocol.size or _size_of(folder / str(name))
            # OpenCV counts from pixel centres, we from their corners.
            K[:2, 2] += 0.5
            result[str(name)] = Camera(K, width, height, rigid(R, T), D, str(name))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CaptureError(f'{path}: cannot be read ({error}).') from error
    return result


def _size_of(folder: Path) -> tuple[int, int]:
    import cv2

    for path in sorted(folder.glob('*.jpg'))[:1]:
        image = cv2.imread(str(path))
        if image is not None:
            return image.shape[1], image.shape[0]
    raise CaptureError(f'{folder}: has no readable .jpg.')


def _shots(
    folder: Path, cameras: dict[str, Camera], poses: Poses
) -> tuple[tuple[Shot, ...], list[str]]:
    shots: list[Shot] = []
    skipped: list[str] = []
    for name, camera in cameras.items():
        if not (folder / name).is_dir():
            skipped.append(f'{folder / name}: no such folder')
            continue
        # The preprocessing gives a picture the number of its model; counting would go wrong
        # after the first picture that is missing.
        for row, instant in enumerate(poses.names):
            image = folder / name / f'{instant}.jpg'
            if not image.exists():
                skipped.append(f'{image}: no picture')
                continue
            mask = image.with_suffix('.png')
            if mask.exists():
                shots.append(Shot(row, name, camera, image, mask, labels=True))
            else:
                skipped.append(f'{mask}: no mask')
    if not shots:
        raise CaptureError(f'{folder}: no camera folder has a .jpg with a .png beside it.')
    return tuple(shots), skipped


def _splits(
    folder: Path, protocol: Protocol, shots: tuple[Shot, ...], poses: Poses
) -> dict[str, tuple[int, ...]]:
    end = len(poses) if protocol.train_end is None else protocol.train_end
    test = protocol.test_cameras
    splits: dict[str, list[int]] = {'train': [], 'novel_view': [], 'novel_pose': []}
    for i, shot in enumerate(shots):
        known = shot.row < end
        if shot.camera_name in protocol.train_cameras and known:
            splits['train'].append(i)
        tested = shot.row % protocol.test_every == 0
        if tested and (test is None or shot.camera_name in test):
            splits['novel_view' if known else 'novel_pose'].append(i)
    if not splits['train']:
        raise CaptureError(
            f'{folder}: none of the training cameras ({", ".join(protocol.train_cameras)}) has '
            'pictures.'
        )
    return {name: tuple(rows) for name, rows in splits.items()}
