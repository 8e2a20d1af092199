# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Gradients of the projection, from the sums of the blend back to the Gaussians."""
# mypy: allow-untyped-defs

import math

from numba import njit

from avatar_ros.render.kernels.tiles import DEPTH, FINITE_MATH, LOG2_E, PEAK, A, B, C, F


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def project_vjp(
    means, quats, scales, opacities, view, fx, fy, cx, cy, width, height, eps2d, antialiased,
    order, begin, end, rows, sums, g_means, g_quats, g_scales, g_opacities, g_colors,
):  # fmt: skip
    """Add the gradients of the rows begin..end-1 (in depth order) of one camera.

    `sums` (n, 10) is what `blend_vjp` gives. The forward values are computed again: that is
    cheaper than storing them. Torch's autograd for this step costs more than rasterizing.
    """
    u_min = -(cx / fx + F(0.15) * width / fx)
    u_max = (width - cx) / fx + F(0.15) * width / fx
    v_min = -(cy / fy + F(0.15) * height / fy)
    v_max = (height - cy) / fy + F(0.15) * height / fy
    for j in range(begin, end):
        i = order[j]
        for k in range(3):
            g_colors[i, k] += sums[j, 6 + k]

        # Forward again.
        px, py, pz = means[i, 0], means[i, 1], means[i, 2]
        x = view[0, 0] * px + view[0, 1] * py + view[0, 2] * pz + view[0, 3]
        y = view[1, 0] * px + view[1, 1] * py + view[1, 2] * pz + view[1, 3]
        inverse_z = F(1) / rows[j, DEPTH]
        qw, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        norm = F(1) / math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
        qw, qx, qy, qz = qw * norm, qx * norm, qy * norm, qz * norm
        s0, s1, s2 = scales[i, 0], scales[i, 1], scales[i, 2]
        r00 = F(1) - F(2) * (qy * qy + qz * qz)
        r01 = F(2) * (qx * qy - qw * qz)
        r02 = F(2) * (qx * qz + qw * qy)
        r10 = F(2) * (qx * qy + qw * qz)
        r11 = F(1) - F(2) * (qx * qx + qz * qz)
        r12 = F(2) * (qy * qz - qw * qx)
        r20 = F(2) * (qx * qz - qw * qy)
        r21 = F(2) * (qy * qz + qw * qx)
        r22 = F(1) - F(2) * (qx * qx + qy * qy)
        ux, vy = x * inverse_z, y * inverse_z
        u, v = min(max(ux, u_min), u_max), min(max(vy, v_min), v_max)
        fx_z, fy_z = fx * inverse_z, fy * inverse_z
        e0, e1, e2 = (
            view[0, 0] - u * view[2, 0],
            view[0, 1] - u * view[2, 1],
            view[0, 2] - u * view[2, 2],
        )
        f0, f1, f2 = (
            view[1, 0] - v * view[2, 0],
            view[1, 1] - v * view[2, 1],
            view[1, 2] - v * view[2, 2],
        )
        jx0, jx1, jx2 = fx_z * e0, fx_z * e1, fx_z * e2
        jy0, jy1, jy2 = fy_z * f0, fy_z * f1, fy_z * f2
        g0 = (jx0 * r00 + jx1 * r10 + jx2 * r20) * s0
        g1 = (jx0 * r01 + jx1 * r11 + jx2 * r21) * s1
        g2 = (jx0 * r02 + jx1 * r12 + jx2 * r22) * s2
        h0 = (jy0 * r00 + jy1 * r10 + jy2 * r20) * s0
        h1 = (jy0 * r01 + jy1 * r11 + jy2 * r21) * s1
        h2 = (jy0 * r02 + jy1 * r12 + jy2 * r22) * s2
        xx = g0 * g0 + g1 * g1 + g2 * g2
        xy = g0 * h0 + g1 * h1 + g2 * h2
        yy = h0 * h0 + h1 * h1 + h2 * h2
        k0, k1, k2 = g1 * h2 - g2 * h1, g2 * h0 - g0 * h2, g0 * h1 - g1 * h0
        sharp = k0 * k0 + k1 * k1 + k2 * k2
        determinant = sharp + eps2d * (xx + yy + eps2d)
        inverse = F(1) / determinant
        c0, c1, c2 = (yy + eps2d) * inverse, -xy * inverse, (xx + eps2d) * inverse

        # Pixel position and opacity.
        g_x = -(F(2) * rows[j, A] * sums[j, 1] + rows[j, B] * sums[j, 2])
        g_y = -(rows[j, B] * sums[j, 1] + F(2) * rows[j, C] * sums[j, 2])
        g_effective = sums[j, 0] * LOG2_E * math.exp(-rows[j, PEAK] / LOG2_E)
        factor = math.sqrt(sharp * inverse) if antialiased else F(1)
        g_opacities[i] += g_effective * factor

        # Conic -> covariance: dS = -S^-1 dC S^-1.
        v0 = F(-0.5) * LOG2_E * sums[j, 3]
        v1 = F(-0.5) * LOG2_E * sums[j, 4]
        v2 = F(-0.5) * LOG2_E * sums[j, 5]
        t00, t01 = c0 * v0 + c1 * v1, c0 * v1 + c1 * v2
        t10, t11 = c1 * v0 + c2 * v1, c1 * v1 + c2 * v2
        d_xx = -(t00 * c0 + t01 * c1)
        d_xy = F(-2) * (t00 * c1 + t01 * c2)
        d_yy = -(t10 * c1 + t11 * c2)
        if antialiased and factor > F(1e-6):
            q = g_effective * opacities[i] * F(0.5) / factor * inverse * inverse
            d_xx += q * (yy * determinant - sharp * (yy + eps2d))
            d_yy += q * (xx * determinant - sharp * (xx + eps2d))
            d_xy += q * F(2) * xy * (sharp - determinant)

        # Covariance -> Jacobian rows and the axes M = R diag(s).
        dg0, dh0 = F(2) * d_xx * g0 + d_xy * h0, F(2) * d_yy * h0 + d_xy * g0
        dg1, dh1 = F(2) * d_xx * g1 + d_xy * h1, F(2) * d_yy * h1 + d_xy * g1
        dg2, dh2 = F(2) * d_xx * g2 + d_xy * h2, F(2) * d_yy * h2 + d_xy * g2
        p0, p1, p2 = s0 * dg0, s1 * dg1, s2 * dg2
        q0, q1, q2 = s0 * dh0, s1 * dh1, s2 * dh2
        djx0, djy0 = r00 * p0 + r01 * p1 + r02 * p2, r00 * q0 + r01 * q1 + r02 * q2
        djx1, djy1 = r10 * p0 + r11 * p1 + r12 * p2, r10 * q0 + r11 * q1 + r12 * q2
        djx2, djy2 = r20 * p0 + r21 * p1 + r22 * p2, r20 * q0 + r21 * q1 + r22 * q2
        m00, m01, m02 = jx0 * dg0 + jy0 * dh0, jx0 * dg1 + jy0 * dh1, jx0 * dg2 + jy0 * dh2
        m10, m11, m12 = jx1 * dg0 + jy1 * dh0, jx1 * dg1 + jy1 * dh1, jx1 * dg2 + jy1 * dh2
        m20, m21, m22 = jx2 * dg0 + jy2 * dh0, jx2 * dg1 + jy2 * dh1, jx2 * dg2 + jy2 * dh2

        # Axes -> scales and quaternion, including its normalisation.
        g_scales[i, 0] += m00 * r00 + m10 * r10 + m20 * r20
        g_scales[i, 1] += m01 * r01 + m11 * r11 + m21 * r21
        g_scales[i, 2] += m02 * r02 + m12 * r12 + m22 * r22
        m00, m10, m20 = m00 * s0, m10 * s0, m20 * s0
        m01, m11, m21 = m01 * s1, m11 * s1, m21 * s1
        m02, m12, m22 = m02 * s2, m12 * s2, m22 * s2
        d_w = F(2) * (qx * (m21 - m12) + qy * (m02 - m20) + qz * (m10 - m01))
        d_x = F(2) * (qy * (m01 + m10) + qz * (m02 + m20) + qw * (m21 - m12)) - F(4) * qx * (
            m11 + m22
        )
        d_y = F(2) * (qx * (m01 + m10) + qz * (m12 + m21) + qw * (m02 - m20)) - F(4) * qy * (
            m00 + m22
        )
        d_z = F(2) * (qx * (m02 + m20) + qy * (m12 + m21) + qw * (m10 - m01)) - F(4) * qz * (
            m00 + m11
        )
        radial = d_w * qw + d_x * qx + d_y * qy + d_z * qz
        g_quats[i, 0] += (d_w - radial * qw) * norm
        g_quats[i, 1] += (d_x - radial * qx) * norm
        g_quats[i, 2] += (d_y - radial * qy) * norm
        g_quats[i, 3] += (d_z - radial * qz) * norm

        # Jacobian rows, pixel and depth -> mean. A clamped u or v does not move with it.
        du = -fx_z * (djx0 * view[2, 0] + djx1 * view[2, 1] + djx2 * view[2, 2])
        dv = -fy_z * (djy0 * view[2, 0] + djy1 * view[2, 1] + djy2 * view[2, 2])
        du = (du if u == ux else F(0)) + fx * g_x
        dv = (dv if v == vy else F(0)) + fy * g_y
        through_scale = djx0 * jx0 + djx1 * jx1 + djx2 * jx2 + djy0 * jy0 + djy1 * jy1 + djy2 * jy2
        d_cx, d_cy = du * inverse_z, dv * inverse_z
        d_cz = sums[j, 9] - inverse_z * (du * ux + dv * vy + through_scale)
        for k in range(3):
            g_means[i, k] += view[0, k] * d_cx + view[1, k] * d_cy + view[2, k] * d_cz
