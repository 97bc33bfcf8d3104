"""The small matrix product of the GLA kernels, held in vector registers from the first term to the last.

LLVM's vectorizer would load and store the result once a term, behind a check for overlapping arrays at the start of
every loop; with rows as short as a head's values those cost more than the arithmetic. So this one is written in vector
instructions, which LLVM cuts to whatever the machine has.
"""

from __future__ import annotations

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16  # float32 in a vector; halves or quarters of it are registers on machines without AVX-512
ROWS = 4
# Columns of a tile: four rows of them are what fits into the registers beside the operands.
TILE = 4 * LANES if llvm.get_host_cpu_features().get("avx512f", False) else LANES

_F32, _SIZE = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, LANES)


def _tile(columns: int):
    @intrinsic
    def add_tile(typingctx, out, i, c, weights, across, along, rows, count):
        """out[i : i + ROWS, c : c + columns] += sum_n w[i, n] * rows[n, c : c + columns] for n = 0 .. count - 1.

        out, rows: contiguous (any, any) float32; w[i, n] is entry i * across + n * along of contiguous weights, so that
        a transposed matrix is a matter of strides. Nothing is checked.
        """

        def codegen(context, builder, signature, args):
            def array(index):
                return context.make_array(signature.args[index])(context, builder, args[index])

            def place(base, *terms):
                offset = _SIZE(0)
                for left, right in terms:
                    offset = builder.add(offset, builder.mul(left, right))
                return builder.gep(base, [offset])

            def vector(pointer):
                return builder.bitcast(pointer, _VECTOR.as_pointer())

            _, first, column, _, across_, along_, _, count_ = args
            out_, weights_, rows_ = array(0), array(3), array(6)
            lines = {name: cgutils.unpack_tuple(builder, value.shape)[1] for name, value in (("o", out_), ("r", rows_))}
            one = _SIZE(1)
            sums, targets = [], []
            for row in range(ROWS):
                for part in range(0, columns, LANES):
                    here = (builder.add(first, _SIZE(row)), lines["o"]), (builder.add(column, _SIZE(part)), one)
                    target = vector(place(out_.data, *here))
                    total = cgutils.alloca_once(builder, _VECTOR)  # a register, once LLVM has seen it
                    builder.store(builder.load(target, align=4), total)
                    targets.append(target)
                    sums.append(total)
            with cgutils.for_range(builder, count_) as loop:
                n = loop.index
                given = [
                    builder.load(
                        vector(place(rows_.data, (n, lines["r"]), (builder.add(column, _SIZE(part)), one))), align=4
                    )
                    for part in range(0, columns, LANES)
                ]
                for row in range(ROWS):
                    weight = builder.load(place(weights_.data, (builder.add(first, _SIZE(row)), across_), (n, along_)))
                    same = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), weight, ir.IntType(32)(0))
                    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
                    same = builder.shuffle_vector(same, ir.Constant(_VECTOR, ir.Undefined), zeros)
                    for part, values in enumerate(given):
                        total = sums[row * len(given) + part]
                        product = builder.fmul(same, values, flags=["contract"])
                        builder.store(builder.fadd(product, builder.load(total), flags=["contract"]), total)
            for target, total in zip(targets, sums, strict=True):
                builder.store(builder.load(total), target, align=4)
            return context.get_dummy_value()

        return types.void(out, types.int64, types.int64, weights, types.int64, types.int64, rows, types.int64), codegen

    return add_tile


add_tile = _tile(TILE)
add_narrow_tile = _tile(LANES)
