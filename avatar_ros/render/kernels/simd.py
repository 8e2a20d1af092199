# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Explicit SIMD: one Gaussian onto one block of pixels, written as LLVM vector code.

numba does not vectorise this loop by itself (9 times slower), hence the IR builder. The
planes of a block-row are stored one after the other, `PLANE` floats each; within a plane
BLOCK_HEIGHT pixel rows are interleaved, so that one vector covers a block at any x.
"""
# mypy: allow-untyped-defs, allow-untyped-calls

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from avatar_ros.render.kernels.tiles import (
    ALPHA_MAX,
    BLOCK_HEIGHT,
    BLOCK_WIDTH,
    FINITE_MATH,
    LANES,
    LN2,
    LOG2_ALPHA_MIN,
    TILE_WIDTH,
    TRANSMITTANCE_MIN,
    F,
)

#: BLOCK_WIDTH more columns swallow what hangs over the right edge of the tile.
PLANE = (TILE_WIDTH + BLOCK_WIDTH) * BLOCK_HEIGHT
#: Forward planes: transmittance, red, green, blue, alpha, depth.
FORWARD_PLANES = 6
#: Backward planes: transmittance, prefix, gradients of red, green, blue, alpha and depth, total.
BACKWARD_PLANES = 8
#: Sums that the backward pass keeps a Gaussian; see `blend_block_vjp`.
SUMS = 10

# 2^f on 0..1, degree 5.
_EXP2 = (1.8775767e-3, 8.9893397e-3, 5.5826318e-2, 2.4015361e-1, 6.9315308e-1, 9.9999994e-1)
_FLAGS = tuple(sorted(FINITE_MATH))


class _Vector:
    """Arithmetic on <LANES x float> with llvmlite's builder."""

    def __init__(self, builder):
        self.builder = builder
        self.i32 = ir.IntType(32)
        self.floats = ir.VectorType(ir.FloatType(), LANES)
        self.ints = ir.VectorType(self.i32, LANES)

    def const(self, x):
        return ir.Constant(self.floats, [float(F(x))] * LANES)

    def const_int(self, x):
        return ir.Constant(self.ints, [x] * LANES)

    def lanes(self, function):
        return ir.Constant(self.floats, [float(function(k)) for k in range(LANES)])

    def splat(self, scalar):
        undefined = ir.Constant(self.floats, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, self.i32(0))
        return self.builder.shuffle_vector(first, undefined, self.const_int(0))

    def add(self, x, y):
        return self.builder.fadd(x, y, flags=_FLAGS)

    def sub(self, x, y):
        return self.builder.fsub(x, y, flags=_FLAGS)

    def mul(self, x, y):
        return self.builder.fmul(x, y, flags=_FLAGS)

    def div(self, x, y):
        return self.builder.fdiv(x, y, flags=_FLAGS)

    def compare(self, operator, x, y):
        return self.builder.fcmp_ordered(operator, x, y)

    def select(self, mask, x, y):
        return self.builder.select(mask, x, y)

    def pointer(self, base, offset):
        element = self.builder.gep(base, [offset])
        return self.builder.bitcast(element, self.floats.as_pointer())

    def load(self, pointer):
        return self.builder.load(pointer, align=4)

    def store(self, value, pointer):
        self.builder.store(value, pointer, align=4)

    def accumulate(self, value, pointer):
        self.store(self.add(self.load(pointer), value), pointer)

    def exp2(self, x):
        """2^x for -30 < x < 97; anything below -30 gives about 1e-9."""
        shifted = self.add(x, self.const(30))
        zero = self.const(0)
        shifted = self.select(self.compare('>', shifted, zero), shifted, zero)
        whole = self.builder.fptosi(shifted, self.ints)
        part = self.sub(shifted, self.builder.sitofp(whole, self.floats))
        power = self.const(_EXP2[0])
        for coefficient in _EXP2[1:]:
            power = self.add(self.mul(power, part), self.const(coefficient))
        exponent = self.builder.sub(whole, self.const_int(30))
        exponent = self.builder.shl(exponent, self.const_int(23))
        bits = self.builder.add(self.builder.bitcast(power, self.ints), exponent)
        return self.builder.bitcast(bits, self.floats)


def _alpha(v, dx0, dy0, a, b, c, peak):
    """dx, dy, alpha, and masks "not cut off" and "not clamped" of a block."""
    dx = v.add(v.splat(dx0), v.lanes(lambda k: k // BLOCK_HEIGHT))
    dy = v.add(v.splat(dy0), v.lanes(lambda k: k % BLOCK_HEIGHT))
    peaks = v.splat(peak)
    power = v.add(v.mul(v.splat(a), v.mul(dx, dx)), peaks)
    cross = v.add(v.mul(v.splat(b), dx), v.mul(v.splat(c), dy))
    power = v.add(power, v.mul(dy, cross))
    # Rounding may lift the exponent of a needle above its peak, far enough to overflow.
    power = v.select(v.compare('<', power, peaks), power, peaks)
    kept = v.compare('>=', power, v.const(LOG2_ALPHA_MIN))
    raw = v.exp2(power)
    unclamped = v.compare('<', raw, v.const(ALPHA_MAX))
    alpha = v.select(unclamped, raw, v.const(ALPHA_MAX))
    return dx, dy, v.select(kept, alpha, v.const(0)), kept, unclamped


def _weight(v, alpha, transmittance):
    """Weight, next transmittance, and the mask of pixels that go on.

    A pixel ends *before* the Gaussian that would take it to 1e-4. A transmittance of 0 marks
    it from then on: its weights are 0, without a branch or a mask array.
    """
    weight = v.mul(alpha, transmittance)
    following = v.sub(transmittance, weight)
    alive = v.compare('>', following, v.const(TRANSMITTANCE_MIN))
    zero = v.const(0)
    return v.select(alive, weight, zero), v.select(alive, following, zero), alive


@intrinsic
def blend_block(typingctx, planes, offset, dx0, dy0, a, b, c, peak, red, green, blue, depth):
    """Blend one Gaussian into the block whose first float is ``planes[offset]``."""
    signature = types.void(planes, types.intp, *[types.float32] * 10)

    def codegen(context, builder, sig, args):
        planes_, offset_, dx0_, dy0_, a_, b_, c_, peak_, red_, green_, blue_, depth_ = args
        v = _Vector(builder)
        data = context.make_array(sig.args[0])(context, builder, planes_).data
        base = builder.gep(data, [offset_])

        def plane(k):
            return v.pointer(base, context.get_constant(types.intp, k * PLANE))

        _, _, alpha, _, _ = _alpha(v, dx0_, dy0_, a_, b_, c_, peak_)
        weight, following, _ = _weight(v, alpha, v.load(plane(0)))
        v.store(following, plane(0))
        for k, value in enumerate((red_, green_, blue_, None, depth_), start=1):
            v.accumulate(weight if value is None else v.mul(weight, v.splat(value)), plane(k))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def blend_block_vjp(
    typingctx, planes, offset, sums, dx0, dy0, a, b, c, peak, red, green, blue, depth
):
    """Add one block's share to the SUMS vectors of a Gaussian.

    They are, with p the exponent: dp, dp dx, dp dy, dp dx^2, dp dx dy, dp dy^2, and the
    gradients of red, green, blue and depth. Going front to back like the forward pass, the
    light behind a Gaussian is the pixel's total minus the prefix so far: no reverse pass.
    """
    signature = types.void(planes, types.intp, sums, *[types.float32] * 10)

    def codegen(context, builder, sig, args):
        planes_, offset_, sums_, dx0_, dy0_, a_, b_, c_, peak_ = args[:9]
        red_, green_, blue_, depth_ = args[9:]
        v = _Vector(builder)
        data = context.make_array(sig.args[0])(context, builder, planes_).data
        sums_data = context.make_array(sig.args[2])(context, builder, sums_).data
        base = builder.gep(data, [offset_])

        def plane(k):
            return v.pointer(base, context.get_constant(types.intp, k * PLANE))

        dx, dy, alpha, kept, unclamped = _alpha(v, dx0_, dy0_, a_, b_, c_, peak_)
        transmittance = v.load(plane(0))
        weight, following, alive = _weight(v, alpha, transmittance)
        v.store(following, plane(0))
        g_red, g_green, g_blue, g_alpha, g_depth, total = [v.load(plane(k)) for k in range(2, 8)]
        value = v.add(
            v.add(v.mul(v.splat(red_), g_red), v.mul(v.splat(green_), g_green)),
            v.add(v.mul(v.splat(blue_), g_blue), v.add(v.mul(v.splat(depth_), g_depth), g_alpha)),
        )
        prefix = v.add(v.load(plane(1)), v.mul(weight, value))
        v.store(prefix, plane(1))
        # alpha <= 0.999, so that the division is safe.
        behind = v.div(v.sub(total, prefix), v.sub(v.const(1), alpha))
        d_alpha = v.sub(v.mul(transmittance, value), behind)
        counts = builder.and_(builder.and_(kept, unclamped), alive)
        dp = v.select(counts, v.mul(v.mul(v.const(LN2), alpha), d_alpha), v.const(0))
        dp_dx, dp_dy = v.mul(dp, dx), v.mul(dp, dy)
        terms = (
            dp, dp_dx, dp_dy, v.mul(dp_dx, dx), v.mul(dp_dx, dy), v.mul(dp_dy, dy),
            v.mul(weight, g_red), v.mul(weight, g_green), v.mul(weight, g_blue),
            v.mul(weight, g_depth),
        )  # fmt: skip
        for k, term in enumerate(terms):
            v.accumulate(term, v.pointer(sums_data, context.get_constant(types.intp, k * LANES)))
        return context.get_dummy_value()

    return signature, codegen
