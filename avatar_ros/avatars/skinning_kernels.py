# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The compiled loops of `SkinnedAvatar`: over all Gaussians, into arrays that are given."""

import numba
import numpy as np

from avatar_ros.types import Array


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def add_actions(basis: Array, used: Array, steps: Array, out: Array) -> None:
    """out (3M,) += steps[k] * basis[k] for the used rows; blocks stay in the first cache."""
    block = 4096
    for start in range(0, out.shape[0], block):
        end = min(start + block, out.shape[0])
        for k in used:
            step = steps[k]
            row = basis[k, start:end]
            part = out[start:end]
            for i in range(end - start):
                part[i] += step * np.float32(row[i])


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def canonical_view(means: Array, turns: Array, eye: Array, away: Array) -> None:
    """Fill `away` (N, 3): from the eye to each mean, turned back into the canonical pose."""
    for i in range(means.shape[0]):
        x, y, z = means[i, 0] - eye[0], means[i, 1] - eye[1], means[i, 2] - eye[2]
        w, a, b, c = turns[i, 0], -turns[i, 1], -turns[i, 2], -turns[i, 3]
        two = np.float32(2)
        p, q, r = two * (b * z - c * y), two * (c * x - a * z), two * (a * y - b * x)
        away[i, 0] = x + w * p + b * r - c * q
        away[i, 1] = y + w * q + c * p - a * r
        away[i, 2] = z + w * r + a * q - b * p


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def skin(
    rest_means: Array,
    rest_quats: Array,
    index: Array,
    offset: Array,
    change: Array,
    joints: Array,
    weights: Array,
    A: Array,
    turns: Array,
    means: Array,
    quats: Array,
    blended: Array,
) -> None:
    """Fill means (N, 3), quats (N, 4) and the blended rotations (N, 4)."""
    m = 0
    for i in range(rest_means.shape[0]):
        x = rest_means[i, 0]
        y = rest_means[i, 1]
        z = rest_means[i, 2]
        if m < index.shape[0] and index[m] == i:
            x += offset[m, 0]
            y += offset[m, 1]
            z += offset[m, 2]
            m += 1
        if change.shape[1]:
            x += change[0, i, 0]
            y += change[0, i, 1]
            z += change[0, i, 2]
        ox = oy = oz = np.float32(0)
        w = a = b = c = np.float32(0)
        first = turns[joints[i, 0]]
        for k in range(joints.shape[1]):
            s = weights[i, k]
            if s == np.float32(0):
                continue
            T = A[joints[i, k]]
            ox += s * (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3])
            oy += s * (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3])
            oz += s * (T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3])
            q = turns[joints[i, k]]
            # q and -q are the same rotation: blend on one half of the sphere.
            if q[0] * first[0] + q[1] * first[1] + q[2] * first[2] + q[3] * first[3] < 0:
                s = -s
            w += s * q[0]
            a += s * q[1]
            b += s * q[2]
            c += s * q[3]
        scale = np.float32(1) / np.sqrt(w * w + a * a + b * b + c * c)
        w *= scale
        a *= scale
        b *= scale
        c *= scale
        means[i, 0] = ox
        means[i, 1] = oy
        means[i, 2] = oz
        blended[i, 0] = w
        blended[i, 1] = a
        blended[i, 2] = b
        blended[i, 3] = c
        rw = rest_quats[i, 0]
        ra = rest_quats[i, 1]
        rb = rest_quats[i, 2]
        rc = rest_quats[i, 3]
        if change.shape[1]:
            # Not of unit length: rasterizers normalise.
            ha = np.float32(0.5) * change[2, i, 0]
            hb = np.float32(0.5) * change[2, i, 1]
            hc = np.float32(0.5) * change[2, i, 2]
            tw = rw - ha * ra - hb * rb - hc * rc
            ta = ra + ha * rw + hb * rc - hc * rb
            tb = rb - ha * rc + hb * rw + hc * ra
            rc = rc + ha * rb - hb * ra + hc * rw
            rw, ra, rb = tw, ta, tb
        quats[i, 0] = w * rw - a * ra - b * rb - c * rc
        quats[i, 1] = w * ra + a * rw + b * rc - c * rb
        quats[i, 2] = w * rb - a * rc + b * rw + c * ra
        quats[i, 3] = w * rc + a * rb - b * ra + c * rw
