# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Files as ARAH's preprocessing leaves them: the body stands where they say, splits as published.

The files are made here of the free SMPL-format body; the data sets themselves are not free.
"""

import json

import numpy as np
import pytest
from made_captures import make_arah

from avatar_ros.body.model import free_body, free_body_path
from avatar_ros.training.capture import CaptureError
from avatar_ros.training.datasets import check_shots, load_capture
from avatar_ros.training.datasets.arah import H36M, ZJU, protocol_of

SMPL_FILE = free_body_path('smpl')


@pytest.fixture(scope='module')
def zju(tmp_path_factory):
    return make_arah(tmp_path_factory.mktemp('zju') / 'CoreView_377', ('1', '2', '23'))


@pytest.mark.parametrize('about', ['pelvis', 'origin'])
def test_joints_stand_where_the_files_say(tmp_path, about):
    folder = make_arah(tmp_path / 'CoreView_386', ('1',), about=about)
    capture = load_capture(folder, SMPL_FILE)
    model = free_body('smpl')
    for row, name in enumerate(capture.poses.names):
        _, joints = model.vertices(
            capture.poses.rotvecs[row], np.array([0.8, -0.5]),
            translation=capture.poses.translations[row],
        )  # fmt: skip
        with np.load(folder / 'models' / f'{name}.npz') as file:
            assert np.abs(joints - file['Jtr_posed']).max() < 1e-5
    with np.load(folder / 'models' / '000000.npz') as file:
        assert np.allclose(capture.subject.vertices, file['minimal_shape'])


def test_zju_trains_on_camera_1_and_tests_every_30th(zju):
    capture = check_shots(load_capture(zju, SMPL_FILE))
    assert capture.name == 'CoreView_377'
    assert not capture.skipped
    assert {(s.camera_name, s.row) for s in capture.split('train')} == {('1', k) for k in range(8)}
    tests = {(s.camera_name, s.row) for s in capture.split('novel_view')}
    assert tests == {('2', 0), ('23', 0)}
    camera = capture.shots[0].camera
    assert (camera.width, camera.height) == (1024, 1024)
    # OpenCV's pixel centres lie at integers.
    assert np.allclose(camera.K[:2, 2], (510.5, 515.5))
    assert camera.distortion[0] == 0.01


def test_published_ranges():
    ends = {name: protocol.train_end for name, protocol in ZJU.items()}
    assert ends == {'377': 570, '386': 540, '387': 540, '392': None, '393': None, '394': 475}
    assert all(p.test_every == 30 and len(p.test_cameras) == 22 for p in ZJU.values())
    assert (H36M['S1'].train_end, H36M['S9'].train_end, H36M['S9'].test_every) == (150, 260, 6)
    assert set(H36M) == {'S1', 'S5', 'S6', 'S7', 'S8', 'S9', 'S11'}


@pytest.mark.parametrize('given', ['S9', 'S9/Posing'])
def test_h36m_lies_in_posing(tmp_path, given):
    make_arah(tmp_path / 'S9' / 'Posing', ('54138969', '60457274'))
    capture = load_capture(tmp_path / given, SMPL_FILE)
    assert capture.name == 'S9'
    assert {s.camera_name for s in capture.split('train')} == {'54138969'}
    tests = [(s.camera_name, s.row) for s in capture.split('novel_view')]
    assert tests == [('60457274', 0), ('60457274', 6)]


def test_a_missing_picture_moves_no_other(tmp_path):
    folder = make_arah(tmp_path / '377', ('1', '2'))
    (folder / '1' / '000002.jpg').unlink()
    (folder / '1' / '000004.png').unlink()
    capture = load_capture(folder, SMPL_FILE)
    assert len(capture.skipped) == 2
    for shot in capture.shots:
        assert shot.image.stem == capture.poses.names[shot.row]


def test_the_subject_may_be_told(tmp_path):
    folder = make_arah(tmp_path / 'mine', ('1',))
    with pytest.raises(CaptureError, match="'mine'"):
        load_capture(folder, SMPL_FILE)
    assert load_capture(folder, SMPL_FILE, subject='394').name == '394'
    with pytest.raises(CaptureError, match='not known'):
        protocol_of('S9', 'zju_mocap')


def test_the_model_is_the_users_own(zju):
    with pytest.raises(CaptureError, match='--body-model'):
        load_capture(zju)
    with pytest.raises(CaptureError, match='need an SMPL model'):
        load_capture(zju, free_body_path('smplx'))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'minimal_shape': np.zeros((10, 3))}, 'minimal_shape has shape'),
        ({'Jtr_posed': np.zeros((24, 3))}, 'from Jtr_posed'),
        ({'trans': np.full(3, np.nan)}, 'trans is not finite'),
        ({'root_orient': np.array([2.0, 0, 0])}, 'do not agree'),
        ({'pose_hand': None}, 'has no pose_hand'),
    ],
)
def test_wrong_models_are_named(tmp_path, changes, message):
    folder = make_arah(tmp_path / '377', ('1',), count=2)
    path = folder / 'models' / '000001.npz'
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(CaptureError, match=f'000001.*{message}'):
        load_capture(folder, SMPL_FILE)


def test_wrong_cameras_are_named(tmp_path):
    folder = make_arah(tmp_path / '377', ('1',), count=2)
    path = folder / 'cam_params.json'
    values = json.loads(path.read_text())
    del values['1']['R']
    path.write_text(json.dumps(values))
    with pytest.raises(CaptureError, match='cam_params'):
        load_capture(folder, SMPL_FILE)
