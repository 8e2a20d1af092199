# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Projection of Gaussians to rows (elliptical weighted average, as gsplat does it)."""
# mypy: allow-untyped-defs

import math

from numba import njit

from avatar_ros.render.kernels.tiles import (
    ALPHA_MIN,
    DEPTH,
    EXTENT_MAX_SQUARED,
    EXTENT_X,
    EXTENT_Y,
    GUARDED_MATH,
    LOG2_ALPHA_MIN,
    LOG2_E,
    PEAK,
    TWO_LN2,
    A,
    B,
    C,
    F,
    X,
    Y,
    is_finite,
    log2,
)

#: Larger intermediate values (pixels^4) overflow float32 soon after.
_HUGE = F(1e37)


@njit(cache=True, nogil=True, fastmath=GUARDED_MATH, error_model='numpy')
def project(
    means, quats, scales, opacities, colors, view, fx, fy, cx, cy, width, height, eps2d, near, far,
    antialiased, begin, end, rows, depths,
):  # fmt: skip
    """Rows (N, 12) without colours, and depths (N,), of the Gaussians begin..end-1.

    A depth of -1 marks those that must not be drawn: outside the frustum, too faint, or with
    a value that is not finite, which would otherwise spread over whole tiles.
    """
    # gsplat linearises at most 30 % outside of the image, where the Jacobian explodes.
    u_min = -(cx / fx + F(0.15) * width / fx)
    u_max = (width - cx) / fx + F(0.15) * width / fx
    v_min = -(cy / fy + F(0.15) * height / fy)
    v_max = (height - cy) / fy + F(0.15) * height / fy
    for i in range(begin, end):
        px, py, pz = means[i, 0], means[i, 1], means[i, 2]
        qw, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        s0, s1, s2 = scales[i, 0], scales[i, 1], scales[i, 2]
        x = view[0, 0] * px + view[0, 1] * py + view[0, 2] * pz + view[0, 3]
        y = view[1, 0] * px + view[1, 1] * py + view[1, 2] * pz + view[1, 3]
        z = view[2, 0] * px + view[2, 1] * py + view[2, 2] * pz + view[2, 3]
        visible = (z >= near) & (z <= far)
        inverse_z = F(1) / (z if visible else F(1))

        # Columns of M are the Gaussian's axes times their standard deviations.
        squared = qw * qw + qx * qx + qy * qy + qz * qz
        n = F(2) / squared
        m00 = (F(1) - n * (qy * qy + qz * qz)) * s0
        m01 = n * (qx * qy - qw * qz) * s1
        m02 = n * (qx * qz + qw * qy) * s2
        m10 = n * (qx * qy + qw * qz) * s0
        m11 = (F(1) - n * (qx * qx + qz * qz)) * s1
        m12 = n * (qy * qz - qw * qx) * s2
        m20 = n * (qx * qz - qw * qy) * s0
        m21 = n * (qy * qz + qw * qx) * s1
        m22 = (F(1) - n * (qx * qx + qy * qy)) * s2

        # Rows of the Jacobian of the projection, in world axes.
        u = min(max(x * inverse_z, u_min), u_max)
        v = min(max(y * inverse_z, v_min), v_max)
        fx_z, fy_z = fx * inverse_z, fy * inverse_z
        jx0 = fx_z * (view[0, 0] - u * view[2, 0])
        jx1 = fx_z * (view[0, 1] - u * view[2, 1])
        jx2 = fx_z * (view[0, 2] - u * view[2, 2])
        jy0 = fy_z * (view[1, 0] - v * view[2, 0])
        jy1 = fy_z * (view[1, 1] - v * view[2, 1])
        jy2 = fy_z * (view[1, 2] - v * view[2, 2])

        # The 2-D covariance is [g.g, g.h; g.h, h.h]; its determinant as |g x h|^2 does not
        # cancel in float32, which the antialiasing factor needs.
        g0 = jx0 * m00 + jx1 * m10 + jx2 * m20
        g1 = jx0 * m01 + jx1 * m11 + jx2 * m21
        g2 = jx0 * m02 + jx1 * m12 + jx2 * m22
        h0 = jy0 * m00 + jy1 * m10 + jy2 * m20
        h1 = jy0 * m01 + jy1 * m11 + jy2 * m21
        h2 = jy0 * m02 + jy1 * m12 + jy2 * m22
        xx = g0 * g0 + g1 * g1 + g2 * g2
        xy = g0 * h0 + g1 * h1 + g2 * h2
        yy = h0 * h0 + h1 * h1 + h2 * h2
        k0, k1, k2 = g1 * h2 - g2 * h1, g2 * h0 - g0 * h2, g0 * h1 - g1 * h0
        sharp = k0 * k0 + k1 * k1 + k2 * k2
        determinant = sharp + eps2d * (xx + yy + eps2d)
        inverse = F(1) / determinant
        xx, yy = xx + eps2d, yy + eps2d

        opacity = opacities[i]
        if antialiased:
            opacity *= math.sqrt(sharp * inverse)
        visible = visible & (opacity >= ALPHA_MIN) & (opacity < _HUGE) & (squared > F(0))
        visible = visible & (determinant > F(0)) & (determinant < _HUGE)
        peak = log2(opacity if visible else F(1))
        # Exact bounding box of the ellipse on which alpha falls to 1/255.
        extent = min(TWO_LN2 * (peak - LOG2_ALPHA_MIN), EXTENT_MAX_SQUARED)
        extent_x, extent_y = math.sqrt(extent * xx), math.sqrt(extent * yy)
        pixel_x, pixel_y = fx * x * inverse_z + cx, fy * y * inverse_z + cy
        # NaN fails these comparisons, and what is left is finite.
        visible = visible & (pixel_x + extent_x > F(0)) & (pixel_x - extent_x < width)
        visible = visible & (pixel_y + extent_y > F(0)) & (pixel_y - extent_y < height)
        visible = visible & is_finite(pixel_x) & is_finite(pixel_y)
        visible = visible & is_finite(colors[i, 0]) & is_finite(colors[i, 1])
        visible = visible & is_finite(colors[i, 2])

        depths[i] = z if visible else F(-1)
        half = F(-0.5) * LOG2_E * inverse
        rows[i, X], rows[i, Y] = pixel_x, pixel_y
        rows[i, A], rows[i, B], rows[i, C] = half * yy, F(-2) * half * xy, half * xx
        rows[i, PEAK], rows[i, DEPTH] = peak, z
        rows[i, EXTENT_X], rows[i, EXTENT_Y] = extent_x, extent_y
