# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The numba kernels of the CPU rasterizer, in the order in which a frame meets them.

==============  ==========================================================================
``project``     Gaussian -> one row: pixel, conic in the log2 domain, extents, depth
``sort``        stable radix sort by depth, then rows gathered in that order
``bins``        which rows touch which tile, depth order kept
``blend``       front-to-back compositing of a tile, explicit SIMD (and its gradient)
``blend_plain`` the same without SIMD
``project_vjp`` gradients of the rows back to means, quats, scales, opacities, colours
==============  ==========================================================================

None is parallel and all release the GIL: threads are the engine's business. numba's own
parallel regions abort the process when two threads of a ROS executor enter them at once.

numba's on-disk cache notices edits only in the file that holds a kernel. After editing
`tiles` or `simd`, which are compiled into the kernels of `blend`, delete ``__pycache__``.
"""
