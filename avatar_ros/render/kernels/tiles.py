# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Constants and small inlined functions that the kernels share.

These values are compiled into cached machine code. Never let one depend on an environment
variable: a cache entry made with other values would read and write out of bounds. They may
depend on the instruction set, because numba keys its cache with it.
"""
# mypy: allow-untyped-defs

import math

import llvmlite.binding
import numpy as np
from numba import njit

F = np.float32

#: Lanes of one vector: 16 floats fill an AVX-512 register, 8 an AVX register.
LANES = 16 if llvmlite.binding.get_host_cpu_features().get('avx512f', False) else 8
#: A vector covers BLOCK_WIDTH x BLOCK_HEIGHT pixels. Two interleaved rows need a third fewer
#: vectors for a small splat than one row of 16.
BLOCK_HEIGHT = 2
BLOCK_WIDTH = LANES // BLOCK_HEIGHT
#: A tile's planes should stay near the second-level cache.
TILE_WIDTH, TILE_HEIGHT = 64, 32
TILE_BLOCKS = TILE_HEIGHT // BLOCK_HEIGHT

# gsplat's rules.
ALPHA_MIN = F(1 / 255)
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4
#: Beyond 3.33 sigma an opacity of 1 is below ALPHA_MIN.
EXTENT_MAX_SQUARED = F(3.33 * 3.33)

LOG2_ALPHA_MIN = F(math.log2(1 / 255))
LOG2_E = F(math.log2(math.e))
LN2 = math.log(2)
TWO_LN2 = F(2 * math.log(2))

# Columns of a row, the 48 bytes that describe one visible Gaussian to one camera:
#   log2 alpha(dx, dy) = row[A] dx^2 + row[B] dx dy + row[C] dy^2 + row[PEAK]
X, Y, A, B, C, PEAK, RED, GREEN, BLUE, DEPTH, EXTENT_X, EXTENT_Y = range(12)
ROW = 12

#: Fast-math for kernels that only see finite numbers.
FINITE_MATH = {'nnan', 'ninf', 'nsz', 'arcp', 'contract', 'afn', 'reassoc'}
#: Fast-math for kernels that must notice infinities and NaN.
GUARDED_MATH = {'nsz', 'arcp', 'contract', 'afn'}


@njit(forceinline=True)
def is_finite(x):
    """False for infinities and NaN; looks at the bits, which no fast-math flag removes."""
    return (np.float32(x).view(np.int32) & np.int32(0x7F800000)) != np.int32(0x7F800000)


@njit(forceinline=True)
def log2(x):
    """Logarithm of a positive normal float32, within 5e-8 (Chebyshev, degree 8, no libm)."""
    bits = np.float32(x).view(np.int32)
    exponent = F((bits >> np.int32(23)) - np.int32(127))
    mantissa = (bits & np.int32(0x007FFFFF)) | np.int32(0x3F800000)
    t = np.int32(mantissa).view(np.float32) - F(1.5)
    r = F(-0.00887469665) * t + F(0.0147787208)
    r = r * t + F(-0.020685855)
    r = r * t + F(0.0374629375)
    r = r * t + F(-0.0712830114)
    r = r * t + F(0.14252637)
    r = r * t + F(-0.320597666)
    r = r * t + F(0.961795972)
    return exponent + (r * t + F(0.584962494))


@njit(inline='always')
def span(centre, extent, size):
    """First and last index of the pixels 0..size-1 within `extent` of `centre`.

    `centre` counts from the middle of pixel 0. Clamped before the conversion, because a
    splat close to the camera can reach further than an integer.
    """
    first = math.ceil(max(centre - extent, F(0)))
    last = math.floor(min(centre + extent, F(size - 1)))
    return first, last
