# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The head that Gaussians are bound to."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar_ros.body import FLAME
from avatar_ros.body.flame import PARTS, Flame, free_head, licensed_head, triangle_frames
from avatar_ros.body.licensed import BodyModelError
from avatar_ros.body.model import free_body_path
from avatar_ros.geometry import matrix_from_rotvec


def vertices_of(part: str) -> np.ndarray:
    head = free_head()
    return np.unique(head.model.faces[head.part == PARTS.index(part)])


def posed(expression: dict[str, float] | None = None, **joints: list[float]) -> np.ndarray:
    """Vertices of the free head."""
    model = free_head().model
    weights = [(expression or {}).get(name, 0.0) for name in model.expression_names]
    rotvecs = np.zeros((5, 3))
    for name, rotvec in joints.items():
        rotvecs[FLAME.index[name]] = rotvec
    with torch.no_grad():
        return (
            Flame(model)(
                torch.zeros(0), torch.tensor([weights]), torch.tensor(rotvecs[None]).float()
            )[0]
            .double()
            .numpy()
        )


def test_every_part_but_none_other_has_triangles() -> None:
    counts = np.bincount(free_head().part, minlength=len(PARTS))
    assert (counts > 0).all()
    assert counts.sum() == len(free_head().model.faces)


def test_parts_lie_where_their_names_say() -> None:
    v = free_head().model.template
    nose, forehead, lip, hair, neck = (
        v[vertices_of(p)] for p in ('nose', 'forehead', 'lip', 'hair', 'neck')
    )
    assert nose[:, 2].max() > v[:, 2].max() - 1e-3
    assert forehead[:, 1].mean() > nose[:, 1].mean() > lip[:, 1].mean()
    assert hair[:, 1].max() > forehead[:, 1].max()
    assert hair[:, 2].mean() < nose[:, 2].mean()
    assert neck[:, 1].mean() < lip[:, 1].mean()
    for part in ('ear', 'eye', 'lip'):
        x = v[vertices_of(part)][:, 0]
        assert abs(x.min() + x.max()) < 2e-3, f'{part} is not the same on both sides'


def test_torch_and_smplx_pose_the_head_alike() -> None:
    model = free_head().model
    rng = np.random.default_rng(0)
    rotvecs, expression = rng.normal(0, 0.2, (5, 3)), rng.uniform(0, 0.5, 52)
    betas, shift = rng.normal(size=16), rng.normal(size=3)
    expected, _ = model.vertices(rotvecs, betas, expression, shift)
    arrays = (betas, expression[None], rotvecs[None], shift[None])
    # smplx regresses joints from the expression too; FLAME's file format has none for it here.
    rest = model.vertices(np.zeros((5, 3)), betas, expression, shift)[1]
    ours = Flame(model)(*(torch.tensor(a, dtype=torch.float32) for a in arrays))[0].numpy()
    moved_joints = np.abs(rest - model.rest_joints(betas) - shift).max()
    assert np.abs(ours - expected).max() < 1e-5 + moved_joints


def test_lower_teeth_follow_the_jaw_and_upper_ones_stay() -> None:
    teeth = vertices_of('teeth')
    rest = free_head().model.template[teeth]
    lower = rest[:, 1] < np.median(rest[:, 1])
    for opened in (posed({'jawOpen': 1.0}), posed(jaw=[0.3, 0, 0])):
        moved = np.linalg.norm(opened[teeth] - rest, axis=1)
        assert moved[~lower].max() < 1e-4
        assert moved[lower].min() > 3e-3
        assert (opened[teeth][lower][:, 1] < rest[lower][:, 1]).all()
    smile = posed({'mouthSmileLeft': 1.0, 'mouthSmileRight': 1.0})
    assert np.abs(smile[teeth] - rest).max() < 1e-4


def test_an_eye_turns_about_its_own_middle() -> None:
    head = free_head().model
    own = head.weights[:, FLAME.index['left_eye']] == 1
    middle = head.rest_joints()[FLAME.index['left_eye']]
    turned = posed(left_eye=[0, 0.4, 0])[own]
    expected = (head.template[own] - middle) @ matrix_from_rotvec([0, 0.4, 0]).T + middle
    assert np.abs(turned - expected).max() < 1e-5


def test_triangle_frames_are_rotations_and_follow_a_similarity() -> None:
    rng = np.random.default_rng(0)
    v = torch.tensor(rng.normal(size=(30, 3)))
    faces = torch.tensor(rng.permuted(np.tile(np.arange(30), (20, 1)), axis=1)[:, :3])
    R, size = triangle_frames(v, faces)
    eye = torch.eye(3, dtype=v.dtype).expand_as(R)
    torch.testing.assert_close(R @ R.mT, eye, atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones_like(size), atol=1e-9, rtol=0)
    Q = torch.tensor(matrix_from_rotvec([0.3, -1.0, 0.5]))
    R2, size2 = triangle_frames(2.5 * v @ Q.T + 1, faces)
    torch.testing.assert_close(R2, Q @ R, atol=1e-9, rtol=0)
    torch.testing.assert_close(size2, 2.5 * size, atol=1e-9, rtol=0)


def made_flame(folder: Path) -> tuple[Path, Path, Path]:
    """Small files in the formats of FLAME: model, texture map, masks."""
    head = free_head()
    skin = 4665
    with np.load(free_body_path('flame')) as file:
        arrays = {k: file[k] for k in file.files}
    del arrays['expression_names']
    arrays['posedirs'] = np.random.default_rng(0).normal(0, 1e-4, arrays['posedirs'].shape)
    np.savez(folder / 'flame.npz', **arrays)
    np.savez(folder / 'uv.npz', vt=arrays['vt'], ft=arrays['ft'])
    names = {'lips': 'lip', 'nose': 'nose', 'left_ear': 'ear', 'forehead': 'forehead',
             'scalp': 'hair', 'neck': 'neck', 'boundary': 'boundary', 'face': 'other face',
             'eye_region': 'eye'}  # fmt: skip
    masks = {}
    for region, part in names.items():
        rows = np.unique(head.model.faces[head.part == PARTS.index(part)])
        masks[region] = rows[rows < skin]
    (folder / 'masks.pkl').write_bytes(pickle.dumps(masks, protocol=2))
    return folder / 'flame.npz', folder / 'uv.npz', folder / 'masks.pkl'


def test_a_flame_of_ones_own_gets_parts_and_teeth(tmp_path: Path) -> None:
    head = licensed_head(*made_flame(tmp_path))
    counts = np.bincount(head.part, minlength=len(PARTS))
    assert counts[PARTS.index('teeth')] > 50
    assert counts[PARTS.index('lip')] > 300
    assert head.model.pose_dirs is not None
    assert head.uv.min() >= 0
    assert head.uv.max() <= 1


def test_files_of_another_flame_are_refused(tmp_path: Path) -> None:
    flame, uv, masks = made_flame(tmp_path)
    np.savez(uv, vt=np.zeros((4, 2)), ft=np.zeros((7, 3), int))
    with pytest.raises(BodyModelError, match='different FLAME versions'):
        licensed_head(flame, uv, masks)
    np.savez(uv, vt=np.zeros((4, 2)))
    with pytest.raises(BodyModelError, match=r"no 'ft'"):
        licensed_head(flame, uv, masks)
    with pytest.raises(BodyModelError, match='smplx model; expected FLAME'):
        licensed_head(free_body_path('smplx'), uv, masks)
