# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""NeRSemble's layout, and made people in it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from avatar_ros.body.flame import Flame, HeadModel
from avatar_ros.geometry import invert_rigid
from avatar_ros.training.capture import CaptureError
from avatar_ros.training.datasets.pictures import read_picture
from avatar_ros.training.head.cameras import PHOTOGRAPHS, nersemble_rig
from avatar_ros.training.head.capture import load_head_capture, load_head_captures


def test_what_was_photographed_is_read_back(captures: Path, head: HeadModel) -> None:
    found = load_head_captures(captures)
    assert [c.name for c in found] == ['painted_000', 'painted_001', 'painted_002']
    capture = found[0]
    counts = {split: len(shots) for split, shots in capture.shots.items()}
    assert counts == {'train': 28, 'novel_view': 4, 'novel_expression': 16}
    rig = {camera.frame_id: camera for camera in nersemble_rig(64)}
    for shot in capture.shots['train']:
        camera = rig[shot.camera_name]
        assert np.allclose(shot.camera.K, camera.K)
        assert np.allclose(shot.camera.T_camera_world, camera.T_camera_world, atol=1e-9)
    assert set(PHOTOGRAPHS) <= {shot.camera_name for shot in capture.shots['train']}


def test_the_flame_of_a_picture_covers_its_mask(captures: Path, head: HeadModel) -> None:
    """Exact truth: projected vertices lie on the person, and reach its rim."""
    capture = load_head_capture(captures / 'painted_001')
    flame = Flame(head.model)
    for shot in [*capture.shots['train'][::9], *capture.shots['novel_expression'][::7]]:
        at = capture.instants[f'{shot.row:05d}']
        arrays = (capture.shape, at.expression[None, :52], at.rotvecs[None], at.translation[None])
        with torch.no_grad():
            v = flame(*(torch.as_tensor(a, dtype=torch.float32) for a in arrays))[0].numpy()
        seen = v @ shot.camera.T_camera_world[:3, :3].T + shot.camera.T_camera_world[:3, 3]
        pixels = seen @ shot.camera.K.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        mask = read_picture(shot).mask
        rows, columns = np.nonzero(mask > 127)
        low, high = pixels.min(0), pixels.max(0)
        assert np.abs(low - [columns.min(), rows.min()]).max() < 1.5
        assert np.abs(high - [columns.max() + 1, rows.max() + 1]).max() < 1.5


def test_cameras_are_those_of_blender_files(tmp_path: Path) -> None:
    """A file written by hand: a camera at z = 2 that looks back along -z, y up."""
    for name in ('images', 'fg_masks', 'flame_param'):
        (tmp_path / name).mkdir()
    picture = np.zeros((8, 6, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'images/00003_05.png'), picture)
    cv2.imwrite(str(tmp_path / 'fg_masks/00003_05.png'), picture[..., 0])
    np.savez(
        tmp_path / 'flame_param/00003.npz',
        shape=np.ones(300), expr=np.ones((1, 100)), rotation=np.zeros((1, 3)),
        neck_pose=np.zeros((1, 3)), jaw_pose=np.full((1, 3), 0.1), eyes_pose=np.zeros((1, 6)),
        translation=np.array([[0, 0, 0.5]]), static_offset=np.zeros((1, 7, 3)),
    )  # fmt: skip
    frame = {
        'timestep_index': 3, 'camera_index': 5, 'camera_id': '222200037',
        'fl_x': 10.0, 'fl_y': 11.0, 'cx': 3.0, 'cy': 4.0, 'w': 6, 'h': 8,
        'transform_matrix': [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]],
        'file_path': 'images/00003_05.png', 'fg_mask_path': 'fg_masks/00003_05.png',
        'flame_param_path': 'flame_param/00003.npz',
    }  # fmt: skip
    (tmp_path / 'transforms_train.json').write_text(json.dumps({'frames': [frame]}))
    capture = load_head_capture(tmp_path)
    (shot,) = capture.shots['train']
    assert shot.camera_name == '222200037'
    assert np.allclose(shot.camera.position, [0, 0, 2])
    up_in_camera = shot.camera.T_camera_world[:3, :3] @ [0, 1, 0]
    ahead = invert_rigid(shot.camera.T_camera_world)[:3, :3] @ [0, 0, 1]
    assert np.allclose(up_in_camera, [0, -1, 0])
    assert np.allclose(ahead, [0, 0, -1])
    assert np.allclose(capture.instants['00003'].rotvecs[2], 0.1)
    assert capture.offset is not None
    assert capture.offset.shape == (7, 3)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda f: f.pop('fl_x'), "frame 0: KeyError\\('fl_x'\\)"),
        (lambda f: f.update(transform_matrix=[[1, 2], [3, 4]]), 'transform_matrix has shape'),
        (lambda f: f.update(file_path='../../etc/passwd'), 'leads out of the capture'),
        (lambda f: f.update(flame_param_path='flame_param/none.npz'), 'cannot be read'),
    ],
)
def test_damaged_captures_are_refused(captures: Path, tmp_path: Path, change, said: str) -> None:
    folder = tmp_path / 'capture'
    shutil.copytree(captures / 'painted_000', folder)
    path = folder / 'transforms_train.json'
    content = json.loads(path.read_text())
    change(content['frames'][0])
    path.write_text(json.dumps(content))
    with pytest.raises(CaptureError, match=said):
        load_head_capture(folder)


def test_flame_parameters_that_are_not_finite_are_refused(captures: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'capture'
    shutil.copytree(captures / 'painted_000', folder)
    path = folder / 'flame_param' / '00000.npz'
    values = dict(np.load(path))
    np.savez(path, **{**values, 'expr': np.full((1, 100), np.nan)})
    with pytest.raises(CaptureError, match=r'expr has shape .* or is not finite'):
        load_head_capture(folder)
    np.savez(path, **{k: v for k, v in values.items() if k != 'neck_pose'})
    with pytest.raises(CaptureError, match=r"no 'neck_pose'"):
        load_head_capture(folder)
    with pytest.raises(CaptureError, match='holds no capture of a head'):
        load_head_captures(tmp_path / 'nothing')
