# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A capture folder is read as it was written, and what is wrong with it is named."""

import json

import cv2
import numpy as np
import pytest
from made_captures import INSTANTS, make_directory, random_poses

from avatar_ros.body.model import free_body, free_body_path
from avatar_ros.body.skeletons import SMPL, SMPLX
from avatar_ros.training.capture import CaptureError
from avatar_ros.training.datasets import check_shots, load_capture
from avatar_ros.training.datasets.directory import read_cameras


@pytest.fixture
def folder(tmp_path):
    return make_directory(tmp_path / 'made')


def rewrite(folder, **changes):
    """Change arrays of poses.npz; None takes one out."""
    with np.load(folder / 'poses.npz') as file:
        arrays = {name: file[name] for name in file.files}
    arrays |= changes
    np.savez(folder / 'poses.npz', **{k: v for k, v in arrays.items() if v is not None})


def manifest(folder, **changes):
    path = folder / 'capture.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize('kind', ['smplx', 'smpl'])
def test_what_is_written_is_read(tmp_path, kind):
    folder = make_directory(tmp_path / 'made', kind, betas=np.array([0.5, -1.0]), fps=25.0)
    capture = load_capture(folder)
    poses = random_poses(kind)
    assert (capture.name, capture.licence, capture.fps) == ('made', 'CC0', 25.0)
    assert capture.poses.skeleton is {'smplx': SMPLX, 'smpl': SMPL}[kind]
    assert capture.poses.names == poses.names
    assert np.array_equal(capture.poses.rotvecs, poses.rotvecs)
    assert np.array_equal(capture.poses.translations, poses.translations)
    assert len(capture.shots) == 3 * INSTANTS
    assert not capture.skipped
    assert np.allclose(
        capture.subject.vertices, free_body(kind).rest_vertices(np.array([0.5, -1.0]))
    )


def test_default_splits_hold_out_the_last_camera_and_the_last_fifth(folder):
    capture = load_capture(folder)

    def seen(split):
        shots = capture.split(split)
        return {s.camera_name for s in shots}, {s.row for s in shots}

    assert seen('train') == ({'cam00', 'cam01'}, set(range(8)))
    assert seen('novel_view') == ({'cam02'}, set(range(8)))
    assert seen('novel_pose') == ({'cam00', 'cam01', 'cam02'}, {8, 9})


def test_one_camera_has_no_novel_view(tmp_path):
    capture = load_capture(make_directory(tmp_path / 'made', cameras=1))
    assert set(capture.splits) == {'train', 'novel_pose'}
    assert len(capture.split('train')) == 8


def test_splits_are_slices_of_rows_and_may_be_lists(tmp_path):
    splits = {
        'train': {'cameras': ['cam00'], 'frames': [0, 10, 3]},
        'novel_pose': [
            {'cameras': ['cam01'], 'frames': [8, None]},
            {'cameras': ['cam02'], 'frames': [0, 1]},
        ],
    }
    capture = load_capture(make_directory(tmp_path / 'made', splits=splits))
    assert [s.row for s in capture.split('train')] == [0, 3, 6, 9]
    found = [(s.camera_name, s.row) for s in capture.split('novel_pose')]
    assert found == [('cam01', 8), ('cam01', 9), ('cam02', 0)]


def test_only_the_manifest_may_be_absent(folder):
    (folder / 'capture.json').unlink()
    capture = load_capture(folder)
    assert capture.name == 'made'
    assert capture.poses.skeleton is SMPLX
    (folder / 'cameras.json').unlink()
    with pytest.raises(CaptureError, match=r'cameras\.json'):
        load_capture(folder)


@pytest.mark.parametrize('names', [('global_orient', 'body_pose'), ('root_orient', 'pose_body')])
def test_names_of_smplx_files(folder, names):
    poses = random_poses()
    fields = {
        names[0]: poses.rotvecs[:, 0],
        names[1]: poses.rotvecs[:, 1:22].reshape(INSTANTS, -1),
        'jaw_pose': poses.rotvecs[:, 22],
        'leye_pose': poses.rotvecs[:, 23],
        'reye_pose': poses.rotvecs[:, 24],
        'left_hand_pose': poses.rotvecs[:, 25:40].reshape(INSTANTS, -1),
        'right_hand_pose': poses.rotvecs[:, 40:55],
        'transl': poses.translations,
    }
    rewrite(folder, rotvecs=None, translations=None, names=None, **fields)
    found = load_capture(folder).poses
    assert np.array_equal(found.rotvecs, poses.rotvecs)
    assert np.array_equal(found.translations, poses.translations)


def test_names_of_smpl_files(tmp_path):
    folder = make_directory(tmp_path / 'made', 'smpl')
    poses = random_poses('smpl')
    rewrite(
        folder,
        rotvecs=None,
        global_orient=poses.rotvecs[:, 0],
        body_pose=poses.rotvecs[:, 1:].reshape(INSTANTS, -1),
    )
    assert np.array_equal(load_capture(folder).poses.rotvecs, poses.rotvecs)


def test_own_shape_and_own_model(folder):
    model = free_body('smplx')
    shape = model.rest_vertices(np.array([1.0])) + 0.001
    rewrite(folder, minimal_shape=shape)
    subject = load_capture(folder, free_body_path('smplx')).subject
    assert np.array_equal(subject.vertices, shape)
    assert np.allclose(subject.rest_joints, model.joint_regressor @ shape)
    with pytest.raises(CaptureError, match='body model is smpl'):
        load_capture(folder, free_body_path('smpl'))
    with pytest.raises(CaptureError, match='nowhere'):
        load_capture(folder, 'nowhere.npz')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'rotvecs': np.zeros((INSTANTS, 23, 3))}, r'rotvecs have shape.*\(T, 55, 3\)'),
        ({'rotvecs': np.zeros((INSTANTS, 24, 3))}, 'poses of smpl.*smplx'),
        ({'rotvecs': np.full((INSTANTS, 55, 3), np.nan)}, 'pose 0 is not finite'),
        ({'translations': np.zeros((3, 3))}, 'translations have shape'),
        ({'translations': None}, 'neither translations nor transl'),
        ({'names': np.array(['a'])}, '1 names for 10 poses'),
        ({'names': np.array(['a'] * INSTANTS)}, "'a' is given twice"),
        ({'names': np.array([f'x{i}' for i in range(INSTANTS)])}, 'no picture has the name'),
        ({'minimal_shape': np.zeros((5, 3))}, r'minimal_shape is \(5, 3\)'),
        ({'rest_joints': np.zeros((3, 3))}, 'rest_joints have shape'),
        ({'betas': np.array([np.nan])}, 'betas is empty or not finite'),
        ({'betas': np.zeros(500)}, '500 betas'),
        ({'expression': np.zeros((2, 4))}, 'expression has shape'),
        (
            {'expression': np.zeros((INSTANTS, 1)), 'expression_names': np.array(['no_such'])},
            "no expression 'no_such'",
        ),
        ({'expression_names': np.array(['jawOpen'])}, '1 expression_names for 0 columns'),
        ({'rotvecs': np.array([{}] * INSTANTS, dtype=object)}, 'no objects'),
    ],
)
def test_wrong_poses_are_named(folder, changes, message):
    rewrite(folder, **changes)
    with pytest.raises(CaptureError, match=message):
        load_capture(folder)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'format': 'colmap'}, "'colmap'"),
        ({'version': 9}, 'Update avatar_ros'),
        ({'fps': 'fast'}, 'fps'),
        ({'skeleton': 'smpl'}, "capture.json says\n? ?'smpl'"),
        ({'body_model': 'free_smpl'}, 'body model is smpl'),
        ({'splits': {'val': {}}}, "split 'val'"),
        ({'splits': {'train': {'cameras': ['cam09']}}}, "camera 'cam09'"),
        ({'splits': {'train': {'frames': ['first']}}}, "split 'train'"),
        ({'splits': {'train': {'frames': [5, 5]}}}, 'no picture is for training'),
        ({'splits': ['train']}, 'splits are a list'),
    ],
)
def test_wrong_manifests_are_named(folder, changes, message):
    manifest(folder, **changes)
    with pytest.raises(CaptureError, match=message):
        load_capture(folder)


@pytest.mark.parametrize('size', [0, 100])
def test_damaged_poses_are_named(folder, size):
    path = folder / 'poses.npz'
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CaptureError, match='cannot be read'):
        load_capture(folder)


def test_wrong_cameras_are_named(folder):
    path = folder / 'cameras.json'
    values = json.loads(path.read_text())
    for field, value in (('K', [[1, 0, 0]]), ('T_camera_world', (-np.eye(4)).tolist())):
        broken = {**values, 'cam01': {**values['cam01'], field: value}}
        path.write_text(json.dumps(broken))
        with pytest.raises(CaptureError, match='cam01'):
            read_cameras(path)
    path.write_text(json.dumps({'cam00': values['cam00'], 'cam01': values['cam01']}))
    with pytest.raises(CaptureError, match=r'3 cameras, cameras\.json 2.*cam02'):
        load_capture(folder)


def test_bad_pictures_are_skipped_and_counted(folder):
    images, masks = folder / 'images' / 'cam00', folder / 'masks' / 'cam00'
    (images / '000000.png').unlink()
    (masks / '000001.png').unlink()
    (images / '000002.png').write_bytes(b'no picture')
    cv2.imwrite(str(masks / '000003.png'), np.zeros((64, 48), np.uint8))
    cv2.imwrite(str(images / '000004.png'), np.zeros((10, 10, 3), np.uint8))
    capture = load_capture(folder)
    assert len(capture.skipped) == 2
    checked = check_shots(capture)
    assert len(checked.skipped) == 5
    assert len(checked.split('train')) == len(load_capture(folder).split('train')) - 3
    assert {s.row for s in checked.split('train') if s.camera_name == 'cam00'} == {5, 6, 7}
    for word in ('000002.png', 'mask is empty', 'must be of one size'):
        assert any(word in line for line in checked.skipped)


def test_masks_are_needed(folder):
    (folder / 'masks').rename(folder / 'elsewhere')
    with pytest.raises(CaptureError, match='from-video'):
        load_capture(folder)
    for path in (folder / 'images').glob('*/*.png'):
        cv2.imwrite(str(path), np.full((64, 48, 4), 200, np.uint8))
    capture = check_shots(load_capture(folder))
    assert capture.shots[0].mask is None
    assert not capture.skipped


def test_what_was_looked_for_is_said(tmp_path):
    (tmp_path / 'notes.txt').write_text('')
    with pytest.raises(CaptureError, match=r'poses\.npz.*cam_params\.json.*notes\.txt'):
        load_capture(tmp_path)
    with pytest.raises(CaptureError, match='no such folder'):
        load_capture(tmp_path / 'absent')
    with pytest.raises(CaptureError, match='expected auto'):
        load_capture(tmp_path, dataset='colmap')
