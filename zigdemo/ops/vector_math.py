"""Elementary functions that LLVM vectorises inside numba loops, and a prefetch hint.

`np.exp` in a numba loop is a scalar library call, ten times slower than the rest of the scan; these functions are
branch-free polynomials, which the loop vectoriser handles like other arithmetic.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LOG2E = np.float32(1.4426950408889634)
LN2 = np.float32(0.6931471805599453)

# Minimax coefficients of 2**f on [-1/2, 1/2], highest power first: relative error 9e-8, less than one
# float32 ulp, and exact at 0, so that no decay remains no decay.
_EXP2 = (1.32647273e-3, 9.67151276e-3, 5.55073374e-2, 2.40222421e-1, 6.93146978e-1, 1.0)
# log((1 + s) / (1 - s)) / s as a polynomial in s**2 for s in [0, 1/3], highest power first: relative error 4e-9.
_LOG1P = (0.281783448, 0.279606006, 0.400249104, 0.666663147, 2.0)


@intrinsic
def exp2(typingctx, x):
    """2**x for float32 x, clamped to [-126, 126]; relative error under 2e-7."""

    def codegen(context, builder, signature, args):
        f32, i32 = ir.FloatType(), ir.IntType(32)
        const = lambda value: ir.Constant(f32, float(np.float32(value)))  # noqa: E731

        def call(name: str, *operands: ir.Value) -> ir.Value:
            kind = ir.FunctionType(f32, [f32] * len(operands))
            return builder.call(builder.module.declare_intrinsic(name, (f32,), kind), operands)

        value = call("llvm.minnum", call("llvm.maxnum", args[0], const(-126)), const(126))
        whole = call("llvm.rint", value)
        part = builder.fsub(value, whole)
        poly = const(_EXP2[0])
        for coefficient in _EXP2[1:]:
            poly = builder.fadd(builder.fmul(poly, part, flags=["contract"]), const(coefficient), flags=["contract"])
        exponent = builder.shl(builder.add(builder.fptosi(whole, i32), ir.Constant(i32, 127)), ir.Constant(i32, 23))
        return builder.fmul(poly, builder.bitcast(exponent, f32))

    return types.float32(types.float32), codegen


@intrinsic
def prefetch(typingctx, rows, i, j, k):
    """Prefetch the cache line of rows[i, j, k], without any effect on values. The index must be in range."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = cgutils.get_item_pointer(context, builder, signature.args[0], array, list(args[1:]), wraparound=False)
        pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        hint = builder.module.declare_intrinsic("llvm.prefetch", (pointer,), kind)
        builder.call(hint, [builder.bitcast(place, pointer), i32(0), i32(3), i32(1)])  # to read, keep, data
        return context.get_dummy_value()

    return types.void(rows, i, j, k), codegen


@njit(inline="always")
def sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x)) for float32 x."""
    return np.float32(1.0) / (np.float32(1.0) + exp2(-x * LOG2E))


@njit(inline="always")
def softplus(x: np.float32) -> np.float32:
    """log(1 + exp(x)) for float32 x, exact to rounding in both tails."""
    size = abs(x)
    small = exp2(-size * LOG2E)
    ratio = small / (np.float32(2.0) + small)
    square = ratio * ratio
    poly = np.float32(_LOG1P[0])
    poly = poly * square + np.float32(_LOG1P[1])
    poly = poly * square + np.float32(_LOG1P[2])
    poly = poly * square + np.float32(_LOG1P[3])
    poly = poly * square + np.float32(_LOG1P[4])
    return np.float32(0.5) * (x + size) + ratio * poly
