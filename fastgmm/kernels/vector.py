"""Register tiles: the instruction set that the kernels are written in.

A *tile* is ``rows × vectors`` SIMD registers of ``LANES`` float64 each. A kernel keeps one in a local variable and LLVM
keeps it in registers (checked in the assembly: a panel step is 24 register FMAs, 8 broadcasts, 3 loads). Arrays are
flat, of float64 (or float32, widened when loaded); ``i`` arguments are element offsets. `twins` holds every instruction
again in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgmm.kernels import lowering
from fastgmm.kernels.target import ACCUMULATORS, GROUP, LANES
from fastgmm.kernels.twins import gram_rows


def _unary(operation: Callable[..., Any]) -> Any:
    @intrinsic
    def instruction(typing: Any, a: Any) -> Any:
        return a(a), lambda context, builder, signature, values: lowering.mapped(builder, a, operation, *values)

    return instruction


def _binary(operation: Callable[..., Any]) -> Any:
    @intrinsic
    def instruction(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, signature, values: lowering.mapped(builder, a, operation, *values)

    return instruction


def _ternary(operation: Callable[..., Any]) -> Any:
    @intrinsic
    def instruction(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return a(a, b, c), lambda context, builder, signature, values: lowering.mapped(builder, a, operation, *values)

    return instruction


# --- the instructions ----------------------------------------------------------------------------------------------

add = _binary(lambda builder, a, b: builder.fadd(a, b))
subtract = _binary(lambda builder, a, b: builder.fsub(a, b))
multiply = _binary(lambda builder, a, b: builder.fmul(a, b))
divide = _binary(lambda builder, a, b: builder.fdiv(a, b))
larger = _binary(lowering.larger)
smaller = _binary(lowering.smaller)
kept = _binary(lowering.kept)
multiply_add = _ternary(lowering.fma)
exp = _unary(lowering.exp)
log = _unary(lowering.log)
sqrt = _unary(lowering.sqrt)


@intrinsic(prefer_literal=True)
def spread(typing: Any, value: Any, vectors: Any) -> Any:
    """(1 × vectors) tile with `value` in every lane."""
    tile = lowering.Tile(1, lowering.count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = lowering.spread(builder, values[0])
        return cgutils.pack_array(builder, [vector] * tile.size)

    return tile(types.float64, vectors), emit


@intrinsic(prefer_literal=True)
def zeros(typing: Any, rows: Any, vectors: Any) -> Any:
    """(rows × vectors) tile of zeros."""
    tile = lowering.Tile(lowering.count(rows), lowering.count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(ir.ArrayType(lowering.VECTOR, tile.size), None)

    return tile(rows, vectors), emit


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, i: Any, stride: Any, rows: Any, vectors: Any) -> Any:
    """(rows × vectors) tile; row r starts at ``array[i + r * stride]``."""
    tile = lowering.Tile(lowering.count(rows), lowering.count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, place = lowering.data(context, builder, signature.args[0], values[0]), values[1]
        vectors = []
        for _ in range(tile.rows):
            vectors += [lowering.load(builder, data, place, v * LANES) for v in range(tile.vectors)]
            place = builder.add(place, values[2])
        return cgutils.pack_array(builder, vectors, lowering.VECTOR)

    return tile(array, types.int64, types.int64, rows, vectors), emit


@intrinsic
def store(typing: Any, tile: Any, array: Any, i: Any, stride: Any) -> Any:
    """Write row r of the tile from ``array[i + r * stride]`` on."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, place = lowering.data(context, builder, signature.args[1], values[1]), values[2]
        for r in range(tile.rows):
            for v in range(tile.vectors):
                lowering.store(builder, builder.extract_value(values[0], r * tile.vectors + v), data, place, v * LANES)
            place = builder.add(place, values[3])
        return context.get_dummy_value()

    return types.void(tile, array, types.int64, types.int64), emit


@intrinsic
def column(typing: Any, tile: Any, a: Any, i: Any) -> Any:
    """Tile of the same shape whose row r holds ``a[i + r]`` in every lane."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = lowering.data(context, builder, signature.args[1], values[1])
        vectors = []
        for r in range(tile.rows):
            vectors += [lowering.scalar(builder, data, values[2], r)] * tile.vectors
        return cgutils.pack_array(builder, vectors, lowering.VECTOR)

    return tile(tile, a, types.int64), emit


@intrinsic
def outer(typing: Any, tile: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Rank-one update: row r of the tile += ``a[i + r]`` · the vectors at ``b[j]``."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = values[0]
        left, right = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 3))
        vectors = [lowering.load(builder, right, values[4], v * LANES) for v in range(tile.vectors)]
        for r in range(tile.rows):
            factor = lowering.scalar(builder, left, values[2], r)
            result = lowering.add_products(builder, tile, result, r, factor, vectors)
        return result

    return tile(tile, a, types.int64, b, types.int64), emit


def _emit_triangle(builder: Any, tile: Any, result: Any, left: Any, i: Any, columns: Iterator[list[Any]]) -> Any:
    """Emit row r += Σ_{c ≤ r} A[r, c] · column c for a lower triangle that is packed by columns."""
    packed = 0
    for c, vectors in enumerate(columns):
        for r in range(c, tile.rows):
            factor = lowering.scalar(builder, left, i, packed)
            result = lowering.add_products(builder, tile, result, r, factor, vectors)
            packed += 1
    return result


@intrinsic
def triangle(typing: Any, tile: Any, a: Any, i: Any, b: Any, j: Any, stride: Any) -> Any:
    """Lower-triangular product: row r += Σ_{c ≤ r} A[r, c] · the vectors at ``b[j + c * stride]``.

    A is packed by columns from ``a[i]``: column c holds its rows c … rows-1.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, right = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 3))

        def columns() -> Iterator[list[Any]]:
            place = values[4]
            for _ in range(tile.rows):
                yield [lowering.load(builder, right, place, v * LANES) for v in range(tile.vectors)]
                place = builder.add(place, values[5])

        return _emit_triangle(builder, tile, values[0], left, values[2], columns())

    return tile(tile, a, types.int64, b, types.int64, types.int64), emit


@intrinsic
def centred_triangle(typing: Any, tile: Any, a: Any, i: Any, x: Any, j: Any, stride: Any, means: Any, m: Any) -> Any:
    """Multiply as `triangle` does, columns less their means: row r += Σ_{c ≤ r} A[r, c] (x_c − means[m + c])."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, right, centres = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 3, 6))

        def columns() -> Iterator[list[Any]]:
            place = values[4]
            for c in range(tile.rows):
                centre = lowering.scalar(builder, centres, values[7], c)
                vectors = [lowering.load(builder, right, place, v * LANES) for v in range(tile.vectors)]
                yield [builder.fsub(vector, centre) for vector in vectors]
                place = builder.add(place, values[5])

        return _emit_triangle(builder, tile, values[0], left, values[2], columns())

    whole = types.int64
    return tile(tile, a, whole, x, whole, whole, means, whole), emit


@intrinsic
def squares(typing: Any, total: Any, tile: Any) -> Any:
    """(1 × vectors) tile `total` plus the squares of the tile's rows."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = values[0]
        for n in range(tile.size):
            v = n % tile.vectors
            vector = builder.extract_value(values[1], n)
            result = builder.insert_value(
                result, lowering.fma(builder, vector, vector, builder.extract_value(result, v)), v
            )
        return result

    return total(total, tile), emit


@intrinsic
def best(typing: Any, tile: Any, k: Any, scores: Any, labels: Any, i: Any) -> Any:
    """Keep the larger of ``scores[i:]`` and the tile's rows; where row r wins, ``labels[i:]`` becomes k + r.

    Rows are taken in order and must be strictly larger, so ties go to the lowest number.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        scores, labels = (lowering.data(context, builder, signature.args[n], values[n]) for n in (2, 3))
        first = builder.sitofp(values[1], lowering.DOUBLE)
        for v in range(tile.vectors):
            top = lowering.load(builder, scores, values[4], v * LANES)
            label = lowering.load(builder, labels, values[4], v * LANES)
            for r in range(tile.rows):
                score = builder.extract_value(values[0], r * tile.vectors + v)
                wins = builder.fcmp_ordered(">", score, top)
                top = builder.select(wins, score, top)
                number = builder.fadd(first, ir.Constant(lowering.DOUBLE, float(r)))
                label = builder.select(wins, lowering.spread(builder, number), label)
            lowering.store(builder, top, scores, values[4], v * LANES)
            lowering.store(builder, label, labels, values[4], v * LANES)
        return context.get_dummy_value()

    return types.void(tile, types.int64, scores, labels, types.int64), emit


@intrinsic
def total(typing: Any, tile: Any) -> Any:
    """Sum of all numbers in a tile: registers first, then lanes as a balanced tree."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = builder.extract_value(values[0], 0)
        for n in range(1, tile.size):
            vector = builder.fadd(vector, builder.extract_value(values[0], n))
        return lowering.sum_of_lanes(builder, vector)

    return types.float64(tile), emit


@intrinsic
def turned_rows(
    typing: Any, rows: Any, listed: Any, i: Any, row_length: Any, d: Any, means: Any, m: Any
) -> Any:  # fmt: skip
    """Gather LANES listed rows, LANES features of each from d on, less their means, and transpose them.

    (LANES × 1) tile whose row r holds, in lane j, ``rows[listed[i + j] * row_length + d + r] - means[m + d + r]``.
    """
    tile = lowering.Tile(LANES, 1)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, places, centres = (lowering.data(context, builder, signature.args[n], values[n]) for n in (0, 1, 5))
        _, _, i, row_length, d, _, m = values
        centre = lowering.load(builder, centres, builder.add(m, d))
        vectors = []
        for j in range(LANES):
            row = builder.load(builder.gep(places, [builder.add(i, ir.Constant(lowering.INT64, j))]))
            place = builder.add(builder.mul(row, row_length), d)
            vectors.append(builder.fsub(lowering.load(builder, data, place), centre))
        return cgutils.pack_array(builder, lowering.transposed(builder, vectors), lowering.VECTOR)

    whole = types.int64
    return tile(rows, listed, whole, whole, whole, means, whole), emit


@intrinsic
def above(typing: Any, tile: Any, threshold: Any) -> Any:
    """Bit mask of the lanes of a one-register tile that exceed `threshold`."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = builder.extract_value(values[0], 0)
        larger = builder.fcmp_ordered(">", vector, lowering.spread(builder, values[1]))
        return builder.zext(builder.bitcast(larger, ir.IntType(LANES)), lowering.INT64)

    return types.int64(tile, types.float64), emit


@intrinsic
def lowest(typing: Any, mask: Any) -> Any:
    """Give the number of the lowest bit that is set; `mask` is not 0."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), emit


@intrinsic(prefer_literal=True)
def gram(
    typing: Any, sums: Any, i: Any, shares: Any, j: Any, stride: Any, x: Any, groups: Any, means: Any, m: Any,
    n_features: Any,
) -> Any:  # fmt: skip
    """Add Σ_p γ_p z_p z_pᵀ to `sums`, lane by lane, where z = (1, x − μ): the moments of orders 0, 1 and 2 at once.

    Rows come in groups of GROUP vectors: γ of group g at ``shares[j + g * stride:]``, feature d at
    ``x[(g * D + d) * GROUP * LANES:]``; μ at ``means[m:]``. Entry (r, c), c ≤ r, of the lower triangle is the vector at
    ``sums[i + (r (r + 1) / 2 + c) LANES]``. The triangle is cut into runs of rows whose entries fit in registers, each
    run a loop over the groups.
    """
    width = n_features.literal_value + 1

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arrays = [lowering.data(context, builder, signature.args[a], values[a]) for a in (0, 2, 5, 7)]
        for run in gram_rows(width, ACCUMULATORS):
            _emit_gram_run(builder, run, width, arrays, values)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(sums, whole, shares, whole, whole, x, whole, means, whole, n_features), emit


def _emit_gram_run(builder: Any, run: tuple[int, int], width: int, arrays: list[Any], values: Any) -> None:
    """Emit the loop over groups for rows `run` of the triangle; sums stay in registers."""
    sums, shares, x, means = arrays
    _, i, _, j, stride, _, groups, _, m, _ = values
    first, last = run
    entries = [(r, c) for r in range(first, last) for c in range(r + 1)]
    offset = first * (first + 1) // 2 * LANES
    slots = [cgutils.alloca_once(builder, lowering.VECTOR) for _ in entries]
    for e, slot in enumerate(slots):
        builder.store(lowering.load(builder, sums, i, offset + e * LANES), slot)
    centres = [lowering.scalar(builder, means, m, d) for d in range(last - 1)]
    with cgutils.for_range(builder, groups, intp=lowering.INT64) as loop:
        share_place = builder.add(j, builder.mul(loop.index, stride))
        place = builder.mul(loop.index, ir.Constant(lowering.INT64, (width - 1) * GROUP * LANES))
        for v in range(GROUP):
            share = lowering.load(builder, shares, share_place, v * LANES)
            z = [lowering.constant(1.0)]
            for d in range(last - 1):
                z.append(builder.fsub(lowering.load(builder, x, place, (d * GROUP + v) * LANES), centres[d]))
            scaled = {r: share if r == 0 else builder.fmul(share, z[r]) for r in range(first, last)}
            for (r, c), slot in zip(entries, slots, strict=True):
                before = builder.load(slot)
                term = builder.fadd(before, scaled[r]) if c == 0 else lowering.fma(builder, scaled[r], z[c], before)
                builder.store(term, slot)
    for e, slot in enumerate(slots):
        lowering.store(builder, builder.load(slot), sums, i, offset + e * LANES)
