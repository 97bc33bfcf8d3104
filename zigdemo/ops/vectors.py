"""Vector registers as values in numba code, for vector loops that do not depend on the vectoriser.

LLVM's vectoriser checks for overlapping arrays before every loop and writes every intermediate result to memory; with
many short inner loops this costs more than the arithmetic. LLVM splits a `Vector` into the machine's registers.
"""

from __future__ import annotations

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

# float32 in a vector: one AVX-512 register, one AVX register, two of NEON.
LANES = 16 if llvm.get_host_cpu_features().get("avx512f", False) else 8

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class Vector(types.Type):
    """LANES float32 in a register; numba code can keep them in variables and tuples, not in arrays."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector({LANES})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind) -> None:
        super().__init__(manager, kind, _VECTOR)


_vector = Vector()


def _place(context, builder, kind, array, kinds, index):
    """Pointer to array[index] as one to a vector; the index is not checked."""
    parts = cgutils.unpack_tuple(builder, index, len(kinds))
    parts = [context.cast(builder, part, own, types.intp) for part, own in zip(parts, kinds, strict=True)]
    made = context.make_array(kind)(context, builder, array)
    place = cgutils.get_item_pointer(context, builder, kind, made, parts, wraparound=False)
    return builder.bitcast(place, _VECTOR.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """LANES float32 starting at array[index]; index: a tuple, one entry per axis, the last axis contiguous."""

    def codegen(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], args[0], signature.args[1].types, args[1])
        return builder.load(place, align=4)

    return _vector(array, index), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Store a vector starting at array[index]; index as in `load`."""

    def codegen(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], args[0], signature.args[1].types, args[1])
        builder.store(args[2], place, align=4)
        return context.get_dummy_value()

    return types.void(array, index, _vector), codegen


@intrinsic
def zeros(typingctx):
    """A vector of zeros."""
    return _vector(), lambda context, builder, signature, args: ir.Constant(_VECTOR, None)


@intrinsic
def add(typingctx, a, b):
    """a + b in every lane."""
    return _vector(_vector, _vector), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def mul(typingctx, a, b):
    """a * b in every lane."""
    return _vector(_vector, _vector), lambda context, builder, signature, args: builder.fmul(*args, flags=["contract"])


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c in every lane, one instruction where the machine has it."""

    def codegen(context, builder, signature, args):
        product = builder.fmul(args[0], args[1], flags=["contract"])
        return builder.fadd(product, args[2], flags=["contract"])

    return _vector(_vector, _vector, _vector), codegen


@intrinsic
def fnma(typingctx, a, b, c):
    """c - a * b in every lane, one instruction where the machine has it."""

    def codegen(context, builder, signature, args):
        product = builder.fmul(args[0], args[1], flags=["contract"])
        return builder.fsub(args[2], product, flags=["contract"])

    return _vector(_vector, _vector, _vector), codegen
