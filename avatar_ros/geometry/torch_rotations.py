# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The rotations of `rotations.py` as differentiable torch functions, wxyz, any leading shape."""

import torch
from torch import Tensor


def quat_multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product: the rotation b, then a."""
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    w = aw * bw - (av * bv).sum(-1, keepdim=True)
    return torch.cat([w, aw * bv + bw * av + torch.linalg.cross(av, bv)], dim=-1)


def quat_conjugate(quat: Tensor) -> Tensor:
    """The inverse of a unit quaternion."""
    return torch.cat([quat[..., :1], -quat[..., 1:]], dim=-1)


def quat_rotate(quat: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (..., 3) turned by unit quaternions (..., 4)."""
    w, v = quat[..., :1], quat[..., 1:]
    t = 2 * torch.linalg.cross(v, vectors)
    result: Tensor = vectors + w * t + torch.linalg.cross(v, t)
    return result


def quat_from_rotvec(rotvec: Tensor) -> Tensor:
    """Unit quaternions of rotation vectors (..., 3); smooth at zero."""
    angle = (rotvec.square().sum(-1, keepdim=True) + 1e-24).sqrt()
    return torch.cat([torch.cos(angle / 2), rotvec * (torch.sin(angle / 2) / angle)], dim=-1)


def rotvec_from_quat(quat: Tensor) -> Tensor:
    """Rotation vectors (..., 3), at most a half turn, of unit quaternions."""
    quat = torch.where(quat[..., :1] < 0, -quat, quat)
    sine = (quat[..., 1:].square().sum(-1, keepdim=True) + 1e-24).sqrt()
    return quat[..., 1:] * (2 * torch.atan2(sine, quat[..., :1]) / sine)


def matrix_from_quat(quat: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of unit quaternions."""
    w, x, y, z = quat.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quat_from_matrix(R: Tensor) -> Tensor:
    """Quaternions (..., 4) wxyz of rotation matrices (..., 3, 3), of unit length.

    The best conditioned of the four formulas is taken for each, so that gradients are finite.
    """
    m = [[R[..., i, j] for j in range(3)] for i in range(3)]
    trace = m[0][0] + m[1][1] + m[2][2]
    candidates = torch.stack(
        [
            torch.stack([1 + trace, m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]], -1),
            torch.stack(
                [m[2][1] - m[1][2], 1 + 2 * m[0][0] - trace, m[0][1] + m[1][0], m[0][2] + m[2][0]],
                -1,
            ),
            torch.stack(
                [m[0][2] - m[2][0], m[0][1] + m[1][0], 1 + 2 * m[1][1] - trace, m[1][2] + m[2][1]],
                -1,
            ),
            torch.stack(
                [m[1][0] - m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1], 1 + 2 * m[2][2] - trace],
                -1,
            ),
        ],
        dim=-2,
    )
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(-1)
    chosen = torch.take_along_dim(candidates, best[..., None, None], dim=-2)[..., 0, :]
    return torch.nn.functional.normalize(chosen, dim=-1)
