# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Heads of GaussianAvatars and LAM, from small files of their exact layouts."""

import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar_ros.avatars import (
    BundleError,
    HeadAvatar,
    SkinnedAvatar,
    load_any_bundle,
    load_avatar,
    save_head_bundle,
)
from avatar_ros.avatars.foreign.gaussian_avatars import (
    LOWER_RING,
    UPPER_RING,
    read_gaussian_avatar,
    teeth_triangles,
    with_teeth,
)
from avatar_ros.avatars.head.rig import MAX_SCALE_M
from avatar_ros.body import ARKIT_52, FLAME, BodyPose, FaceExpression
from avatar_ros.body.licensed import BodyModelError
from avatar_ros.body.model import BodyModel, free_body
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.ply import write_ply
from avatar_ros.geometry import quat_from_rotvec, rigid

STILL = BodyPose(FLAME, np.eye(4), np.tile([1.0, 0, 0, 0], (5, 1)), np.ones(5))


def face(**weights: float) -> FaceExpression:
    return FaceExpression('arkit52', ARKIT_52, np.array([weights.get(n, 0.0) for n in ARKIT_52]))


# ------------------------------------------------------------------------- GaussianAvatars


def flame() -> BodyModel:
    """A model with as many vertices as FLAME has, and unnamed expressions."""
    free = free_body('flame')
    more = 5023 - len(free.template)

    def padded(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, values[:more]])

    return replace(
        free,
        template=padded(free.template),
        shape_dirs=padded(free.shape_dirs),
        expression_dirs=padded(free.expression_dirs),
        joint_regressor=np.concatenate([free.joint_regressor, np.zeros((5, more))], 1),
        weights=padded(free.weights),
        expression_names=(),
    )


def write_head(folder: Path, faces: np.ndarray, sh_terms: int = 16) -> Gaussians:
    """point_cloud.ply with binding_0, and flame_param.npz, as GaussianAvatars writes them."""
    rng = np.random.default_rng(0)
    n = len(faces)
    splats = Gaussians(
        torch.tensor(rng.normal(0, 0.3, (n, 3)), dtype=torch.float32),
        torch.nn.functional.normalize(torch.tensor(rng.normal(size=(n, 4)), dtype=torch.float32)),
        torch.full((n, 3), 0.4),
        torch.full((n,), 0.7),
        torch.tensor(rng.normal(0, 0.3, (n, sh_terms, 3)), dtype=torch.float32),
        sh_degree=round(sh_terms**0.5) - 1,
    )
    path = folder / 'point_cloud.ply'
    write_ply(path, splats)
    head, _, body = path.read_bytes().partition(b'end_header\n')
    table = np.frombuffer(body, '<f4').reshape(n, -1)
    table = np.concatenate([table, faces[:, None].astype('<f4')], 1)
    path.write_bytes(head + b'property float binding_0\nend_header\n' + table.tobytes())
    np.savez(
        folder / 'flame_param.npz',
        shape=np.zeros(300, np.float32),
        expr=np.zeros((2, 100), np.float32),
        static_offset=np.zeros((1, 5143, 3), np.float32),
    )
    return splats


def test_teeth_have_the_triangles_that_bindings_count_on() -> None:
    faces = teeth_triangles()
    assert faces.shape == (168, 3)
    assert faces.min() == 0
    assert faces.max() == 119
    # As the released code lists them: first and last of each strip, and around the middle.
    for row, expected in {
        0: (0, 31, 30), 1: (0, 1, 31), 13: (6, 7, 37), 14: (7, 8, 37), 15: (8, 38, 37),
        28: (60, 75, 76), 29: (60, 76, 61), 42: (67, 82, 68), 56: (75, 30, 76), 83: (88, 44, 89),
        84: (45, 46, 15), 98: (52, 23, 22), 99: (52, 53, 23), 112: (90, 106, 105),
        126: (97, 98, 112), 140: (105, 106, 45), 154: (112, 53, 52), 167: (118, 119, 59),
    }.items():  # fmt: skip
        assert tuple(faces[row]) == expected, row


def test_teeth_are_behind_the_lips_and_the_lower_ones_on_the_jaw() -> None:
    model = flame()
    grown = with_teeth(model)
    assert len(grown.template) == 5143
    assert len(grown.faces) == len(model.faces) + 168
    new = grown.weights[5023:]
    assert (new.sum(1) == 1).all()
    assert new[:15, FLAME.index['neck']].all()
    assert new[15:30, FLAME.index['jaw']].all()
    lips = (model.template[list(UPPER_RING)] + model.template[list(LOWER_RING)]) / 2
    assert (grown.template[5023:5038, 2] < lips[:, 2]).all()
    with pytest.raises(BodyModelError, match='expected 5023 vertices'):
        with_teeth(replace(model, template=model.template[:100]))


def test_a_head_of_gaussian_avatars_is_placed_as_its_paper_says(tmp_path: Path) -> None:
    model = flame()
    faces = np.array([5, 77, 900, 4000, len(model.faces) + 3])
    splats = write_head(tmp_path, faces)
    avatar = HeadAvatar(read_gaussian_avatar(tmp_path, model))
    grown = with_teeth(model)
    at_home = rigid(np.eye(3), grown.rest_joints()[0])
    posed = avatar.deform(replace(STILL, T_frame_root=at_home))
    corners = grown.template[grown.faces[faces]]
    v0, v1, v2 = corners.transpose(1, 0, 2)
    a0 = (v1 - v0) / np.linalg.norm(v1 - v0, axis=1, keepdims=True)
    a1 = np.cross(a0, v2 - v0)
    a1 /= np.linalg.norm(a1, axis=1, keepdims=True)
    a2 = -np.cross(a1, a0)
    size = (np.linalg.norm(v1 - v0, axis=1) + np.abs((a2 * (v2 - v0)).sum(1))) / 2
    R = np.stack([a0, a1, a2], -1)
    expected = corners.mean(1) + size[:, None] * np.einsum(
        'nab,nb->na', R, splats.means.double().numpy()
    )
    assert np.abs(posed.means.numpy() - expected).max() < 1e-5
    assert np.allclose(
        posed.scales.numpy(), np.minimum(size * 0.4, MAX_SCALE_M)[:, None], atol=1e-6
    )
    assert avatar.view_dependent
    colors = avatar.colors_for(np.array([[0.0, 0.1, 1.0], [1.0, 0.1, 0.0]]))
    assert colors.shape == (2, 5, 3)
    assert (colors[0] - colors[1]).abs().max() > 1e-3


def test_it_follows_jaw_and_coefficients_and_survives_a_bundle(tmp_path: Path) -> None:
    write_head(tmp_path, np.arange(0, 9000, 40), sh_terms=4)
    model = flame()
    table = np.zeros((52, model.expression_dirs.shape[2] + 3))
    table[ARKIT_52.index('jawOpen'), -3] = 0.3
    table[ARKIT_52.index('mouthSmileLeft'), 2] = 1.0
    bundle = read_gaussian_avatar(tmp_path, model, table)
    save_head_bundle(tmp_path / 'head.zip', bundle)
    again = load_avatar(tmp_path / 'head.zip')
    assert isinstance(again, HeadAvatar)
    rest = again.deform(STILL).means
    for action in ('jawOpen', 'mouthSmileLeft'):
        moved = again.deform(STILL, face(**{action: 1.0})).means
        assert (moved - rest).norm(dim=1).max() > 2e-3
    own = FaceExpression('flame', ('expr_2',), np.ones(1))
    torch.testing.assert_close(again.deform(STILL, own).means, moved)


def test_bindings_of_another_mesh_are_refused(tmp_path: Path) -> None:
    write_head(tmp_path, np.array([0, 1, 99_999]))
    with pytest.raises(BundleError, match='bound to triangle 99999'):
        read_gaussian_avatar(tmp_path, flame())
    (tmp_path / 'flame_param.npz').unlink()
    with pytest.raises(BundleError, match=r'flame_param\.npz: no such'):
        read_gaussian_avatar(tmp_path, flame())


# --------------------------------------------------------------------------------- LAM


def write_lam(path: Path, rows: int = 6, names: tuple[str, ...] = ('jawOpen', 'eyeBlinkLeft')):
    """A zip as LAM exports it, with sparse morph targets and a skin of three joints."""
    rng = np.random.default_rng(0)
    count = 6
    vertices = (rng.normal(0, 0.05, (count, 3)) + [0, 1.65, 0]).astype('<f4')
    joints = np.zeros((count, 4), np.uint8)
    joints[:4, 0], joints[4:, 0] = 2, 0
    weights = np.tile([1.0, 0, 0, 0], (count, 1)).astype('<f4')
    blob, views, accessors = b'', [], []

    def view(values: np.ndarray) -> int:
        nonlocal blob
        data = values.tobytes()
        views.append({'buffer': 0, 'byteOffset': len(blob), 'byteLength': len(data)})
        blob += data + b'\0' * (-len(data) % 4)
        return len(views) - 1

    def accessor(component: int, kind: str, values: np.ndarray) -> int:
        accessors.append({'bufferView': view(values), 'componentType': component,
                          'count': len(values), 'type': kind})  # fmt: skip
        return len(accessors) - 1

    attributes = {
        'POSITION': accessor(5126, 'VEC3', vertices),
        'JOINTS_0': accessor(5121, 'VEC4', joints),
        'WEIGHTS_0': accessor(5126, 'VEC4', weights),
    }
    targets = []
    for k in range(len(names)):
        moved = np.array([[0, -0.02 * (k + 1), 0.01]], '<f4')
        accessors.append(
            {'componentType': 5126, 'count': count, 'type': 'VEC3', 'sparse': {
                'count': 1,
                'indices': {'bufferView': view(np.array([k], '<u2')), 'componentType': 5123},
                'values': {'bufferView': view(moved)},
            }}
        )  # fmt: skip
        targets.append({'POSITION': len(accessors) - 1})
    content = {
        'asset': {'version': '2.0'},
        'nodes': [
            {'name': 'head_final', 'mesh': 0, 'skin': 0},
            {'name': 'neckLower', 'translation': [0, 1.45, 0], 'children': [2]},
            {'name': 'neckUpper', 'translation': [0, 0.05, 0], 'children': [3]},
            {'name': 'head', 'translation': [0, 0.05, 0.01]},
        ],
        'skins': [{'joints': [1, 2, 3]}],
        'meshes': [{'primitives': [{'attributes': attributes, 'targets': targets}],
                    'extras': {'targetNames': list(names)}}],
        'bufferViews': views,
        'accessors': accessors,
        'buffers': [{'byteLength': len(blob)}],
    }  # fmt: skip
    text = json.dumps(content).encode()
    text += b' ' * (-len(text) % 4)
    glb = struct.pack('<4sII', b'glTF', 2, 20 + len(text) + 8 + len(blob))
    glb += struct.pack('<I4s', len(text), b'JSON') + text
    glb += struct.pack('<I4s', len(blob), b'BIN\0') + blob
    offsets = Gaussians(
        torch.tensor(rng.normal(0, 0.01, (rows, 3)), dtype=torch.float32),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(rows, 1),
        torch.full((rows, 3), 0.004),
        torch.full((rows,), 0.9),
        torch.tensor(rng.uniform(0, 1, (rows, 1, 3)), dtype=torch.float32),
        sh_degree=0,
    )
    ply = path.with_suffix('.ply')
    write_ply(ply, offsets)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('skin.glb', glb)
        archive.writestr('offset.ply', ply.read_bytes())
        archive.writestr('animation.glb', b'')
        archive.writestr('vertex_order.json', json.dumps(list(range(rows))[::-1]))
    return vertices, offsets


def test_row_i_of_a_lam_export_belongs_to_vertex_i(tmp_path: Path) -> None:
    vertices, offsets = write_lam(tmp_path / 'p.zip')
    avatar = load_avatar(tmp_path / 'p.zip')
    assert isinstance(avatar, SkinnedAvatar)
    g = avatar.bundle.gaussians
    assert torch.allclose(g.means, torch.tensor(vertices) + offsets.means, atol=1e-6)
    shown = avatar.deform(STILL).colors
    assert torch.allclose(shown, offsets.colors[:, 0], atol=1e-5)


def test_actions_and_the_head_move_it(tmp_path: Path) -> None:
    write_lam(tmp_path / 'p.zip')
    avatar = load_avatar(tmp_path / 'p.zip')
    rest = avatar.deform(STILL).means.clone()
    opened = avatar.deform(STILL, face(jawOpen=1.0)).means.clone()
    assert torch.allclose(opened[0] - rest[0], torch.tensor([0, -0.02, 0.01]), atol=2e-4)
    assert torch.allclose(opened[1:], rest[1:], atol=1e-6)
    turn = np.tile([1.0, 0, 0, 0], (5, 1))
    turn[FLAME.index['neck']] = quat_from_rotvec([0, 0.5, 0])
    turned = avatar.deform(replace(STILL, rotations=turn)).means
    assert (turned[:4] - rest[:4]).norm(dim=1).min() > 1e-4
    assert torch.allclose(turned[4:], rest[4:], atol=1e-6), 'the neck below the head stays'
    moved = avatar.deform(replace(STILL, T_frame_root=rigid(np.eye(3), [0.0, 0, 2]))).means
    assert torch.allclose(moved - rest, torch.tensor([0, 0, 2.0]), atol=1e-5)


def test_damaged_exports_are_refused(tmp_path: Path) -> None:
    write_lam(tmp_path / 'p.zip', rows=5)
    with pytest.raises(BundleError, match='5 rows of degree 0 for 6 vertices'):
        load_any_bundle(tmp_path / 'p.zip')
    for cut in (10, 30, 200, 900):
        folder = tmp_path / f'cut{cut}'
        folder.mkdir()
        with zipfile.ZipFile(tmp_path / 'p.zip') as archive:
            archive.extractall(folder)
        glb = folder / 'skin.glb'
        glb.write_bytes(glb.read_bytes()[:cut])
        with pytest.raises(BundleError):
            load_any_bundle(folder)
