# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import contextlib
import io

import numpy as np
import pytest
import torch
from test_licensed_files import VERTICES, arrays

from avatar_ros.body import ARKIT_52, FLAME, SMPL, SMPLX
from avatar_ros.body.lbs import forward_kinematics, skinning_transforms
from avatar_ros.body.model import BodyModelError, free_body, free_body_path, load_body_model
from avatar_ros.geometry import quat_from_rotvec, rigid


@pytest.fixture(scope='module', params=['smplx', 'smpl', 'flame'])
def body(request):
    return free_body(request.param)


def written(tmp_path, skeleton=SMPL, columns=10, **changes):
    data = {**arrays(skeleton, columns), **changes}
    path = tmp_path / 'model.npz'
    np.savez(path, **{k: v for k, v in data.items() if v is not None})
    return path


def test_free_bodies_need_no_pickle(body):
    with np.load(free_body_path(body.kind), allow_pickle=False) as data:
        assert all(data[name].dtype.kind != 'O' for name in data.files)
        assert list(data['joint_names']) == list(body.skeleton.joints)


def test_free_body_is_a_person_in_metres(body):
    assert body.skeleton in (SMPL, SMPLX, FLAME)
    joints = body.rest_joints()
    eyes = {'smplx': ('left_eye_smplhf', 'right_eye_smplhf'), 'flame': ('left_eye', 'right_eye')}
    left, right = eyes.get(body.kind, ('left_wrist', 'right_wrist'))
    assert joints[body.skeleton.index[left], 0] > 0 > joints[body.skeleton.index[right], 0]
    height = np.ptp(body.template[:, 1])
    assert 0.2 < height < 0.5 if body.kind == 'flame' else 1.5 < height < 2.0
    np.testing.assert_allclose(body.weights.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(body.joint_regressor.sum(1), 1, atol=1e-5)
    assert body.pose_dirs is None


def test_free_faces_have_the_52_actions():
    for kind in ('smplx', 'flame'):
        body = free_body(kind)
        assert body.expression_names == ARKIT_52
        assert body.expression_dirs.shape[2] == 52
        smile = body.expression_dirs[:, :, ARKIT_52.index('mouthSmileLeft')]
        corner = np.argmax(np.linalg.norm(smile, axis=1))
        assert body.template[corner, 0] > 0  # the person's left
        assert smile[corner, 1] > 0.005  # goes up


def test_free_bodies_share_one_person():
    smplx, smpl = free_body('smplx'), free_body('smpl')
    np.testing.assert_array_equal(smplx.template, smpl.template)
    shared = SMPL.joints[:22]
    np.testing.assert_allclose(
        smplx.rest_joints()[SMPLX.rows(shared)], smpl.rest_joints()[SMPL.rows(shared)], atol=1e-6
    )


def test_rest_joints_follow_the_shape(body):
    betas = np.array([1.0, -0.5, 0.3])
    expected = body.joint_regressor @ body.rest_vertices(betas)
    np.testing.assert_allclose(body.rest_joints(betas), expected, atol=1e-9)
    assert np.abs(body.rest_joints(betas) - body.rest_joints()).max() > 1e-3


def test_vertices_at_rest_are_the_template(body):
    vertices, joints = body.vertices(np.zeros((len(body.skeleton), 3)))
    np.testing.assert_allclose(vertices, body.template, atol=1e-6)
    np.testing.assert_allclose(joints, body.rest_joints(), atol=1e-6)


@pytest.mark.parametrize('seed', range(2))
def test_our_kinematics_agree_with_smplx(body, seed):
    rng = np.random.default_rng(seed)
    rotvecs = rng.normal(0, 0.5, (len(body.skeleton), 3))
    betas = rng.normal(0, 1, 5)
    shift = rng.normal(0, 1, 3)
    vertices, joints = body.vertices(rotvecs, betas=betas, translation=shift)
    rest = body.rest_joints(betas)
    quats = quat_from_rotvec(rotvecs)
    T = forward_kinematics(body.skeleton, rest, quats, rigid(np.eye(3), rest[0] + shift))
    np.testing.assert_allclose(T[:, :3, 3], joints, atol=1e-6)
    A = np.einsum('vj,jab->vab', body.weights, skinning_transforms(T, rest))
    ours = np.einsum('vab,vb->va', A[:, :, :3], body.rest_vertices(betas)) + A[:, :, 3]
    # The regressor and the weights are stored in 32 bits: sums differ from one by 1e-7.
    np.testing.assert_allclose(ours, vertices, atol=1e-5)


def test_smplx_package_gives_the_same_vertices():
    """Its own SMPL class, fed with our arrays."""
    import smplx

    body = free_body('smpl')
    rng = np.random.default_rng(0)
    rotvecs, betas = rng.normal(0, 0.4, (24, 3)), rng.normal(0, 1, 10)
    with np.load(free_body_path('smpl')) as data:
        fields = smplx.utils.Struct(**{name: data[name] for name in data.files})
    with contextlib.redirect_stdout(io.StringIO()):
        layer = smplx.SMPL('', data_struct=fields, num_betas=10, dtype=torch.float64)
    out = layer(
        betas=torch.from_numpy(betas)[None],
        global_orient=torch.from_numpy(rotvecs[:1].reshape(1, 3)),
        body_pose=torch.from_numpy(rotvecs[1:].reshape(1, -1)),
    )
    vertices, _ = body.vertices(rotvecs, betas=betas)
    np.testing.assert_allclose(out.vertices[0].detach().numpy(), vertices, atol=2e-4)


def test_pose_correctives_are_applied(tmp_path):
    model = load_body_model(written(tmp_path))
    rotvecs = np.zeros((24, 3))
    rotvecs[4, 0] = 0.3
    without = load_body_model(written(tmp_path, posedirs=np.zeros((VERTICES, 3, 207))))
    difference = model.vertices(rotvecs)[0] - without.vertices(rotvecs)[0]
    assert without.pose_dirs is None
    assert np.abs(difference).max() > 1e-4


@pytest.mark.parametrize(
    ('skeleton', 'columns', 'shape', 'expression'),
    [(SMPL, 10, 10, 0), (SMPL, 300, 300, 0), (SMPLX, 20, 10, 10), (SMPLX, 400, 300, 100)],
)
def test_shape_and_expression_are_split_as_the_format_says(
    tmp_path, skeleton, columns, shape, expression
):
    model = load_body_model(written(tmp_path, skeleton, columns))
    assert model.shape_dirs.shape[2] == shape
    assert model.expression_dirs.shape[2] == expression


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'v_template': None}, 'v_template'),
        ({'weights': None}, "has no 'weights'"),
        ({'weights': np.zeros((VERTICES, 23))}, r'weights.*\(9, 24\)'),
        ({'J_regressor': np.zeros((19, VERTICES))}, '19 rows'),
        ({'v_template': np.full((VERTICES, 3), np.nan)}, 'finite'),
        ({'f': np.zeros((4, 3))}, 'integers'),
        ({'f': np.full((4, 3), 99)}, 'vertex 99'),
        ({'shapedirs': np.zeros((VERTICES, 3))}, 'shapedirs'),
        ({'posedirs': np.zeros((VERTICES, 3, 10))}, r'posedirs.*207'),
        ({'kintree_table': np.zeros((2, 24), int)}, 'joint order'),
        ({'v_template': np.array('text')}, 'v_template'),
    ],
)
def test_wrong_array_is_named(tmp_path, changes, expected):
    with pytest.raises(BodyModelError, match=expected):
        load_body_model(written(tmp_path, **changes))


def test_too_many_betas_are_refused():
    body = free_body('flame')
    with pytest.raises(ValueError, match='at most 16'):
        body.rest_joints(np.zeros(17))
    with pytest.raises(ValueError, match='one rotation vector a joint'):
        body.vertices(np.zeros((24, 3)))
    with pytest.raises(ValueError, match='smplx, smpl or flame'):
        free_body('mano')
