"""Register tiles: the instruction set that the kernels are written in.

A *tile* is ``rows × vectors`` SIMD registers of LANES float64 or twice as many float32. A kernel keeps one in a local
variable and LLVM keeps it in registers (checked in the assembly: a panel step is 24 register FMAs, 8 broadcasts, 3
loads). Arrays are flat, and a tile's numbers are those of the array or scalar that it is made from; ``i`` arguments are
element offsets. `twins` holds every instruction again in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgmm.kernels import lowering
from fastgmm.kernels.target import ACCUMULATORS, GROUP, PANEL
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
    real = types.float32 if value == types.float32 else types.float64
    tile = lowering.Tile(real, 1, lowering.count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = lowering.spread(builder, values[0])
        return cgutils.pack_array(builder, [vector] * tile.size)

    return tile(real, vectors), emit


@intrinsic(prefer_literal=True)
def zeros(typing: Any, real: Any, rows: Any, vectors: Any) -> Any:
    """(rows × vectors) tile of zeros of the type `real`: ``np.float64`` or ``np.float32``."""
    tile = lowering.Tile(real.dtype, lowering.count(rows), lowering.count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(ir.ArrayType(tile.vector, tile.size), None)

    return tile(real, rows, vectors), emit


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, i: Any, stride: Any, rows: Any, vectors: Any) -> Any:
    """(rows × vectors) tile; row r starts at ``array[i + r * stride]``."""
    tile = lowering.Tile(array.dtype, lowering.count(rows), lowering.count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, place = lowering.data(context, builder, signature.args[0], values[0]), values[1]
        vectors = []
        for _ in range(tile.rows):
            vectors += [lowering.load(builder, data, place, v * tile.lanes) for v in range(tile.vectors)]
            place = builder.add(place, values[2])
        return cgutils.pack_array(builder, vectors, tile.vector)

    return tile(array, types.int64, types.int64, rows, vectors), emit


@intrinsic
def store(typing: Any, tile: Any, array: Any, i: Any, stride: Any) -> Any:
    """Write row r of the tile from ``array[i + r * stride]`` on."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, place = lowering.data(context, builder, signature.args[1], values[1]), values[2]
        for r in range(tile.rows):
            for v in range(tile.vectors):
                vector = builder.extract_value(values[0], r * tile.vectors + v)
                lowering.store(builder, vector, data, place, v * tile.lanes)
            place = builder.add(place, values[3])
        return context.get_dummy_value()

    return types.void(tile, array, types.int64, types.int64), emit


@intrinsic
def accumulate(typing: Any, tile: Any, array: Any, i: Any, stride: Any) -> Any:
    """Add row r of the tile to the float64 numbers from ``array[i + r * stride]`` on."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, place = lowering.data(context, builder, signature.args[1], values[1]), values[2]
        for r in range(tile.rows):
            for v in range(tile.vectors):
                vector = builder.extract_value(values[0], r * tile.vectors + v)
                lowering.add_to(builder, vector, data, place, v * tile.lanes)
            place = builder.add(place, values[3])
        return context.get_dummy_value()

    return types.void(tile, array, types.int64, types.int64), emit


@intrinsic
def widen(typing: Any, tile: Any) -> Any:
    """Give a tile's numbers as float64, in twice as many vectors if they were float32."""
    wide = lowering.Tile(types.float64, tile.rows, tile.vectors * tile.lanes // lowering.LANES_OF[lowering.DOUBLE])

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vectors = []
        for n in range(tile.size):
            vectors += lowering.widened(builder, builder.extract_value(values[0], n))
        return cgutils.pack_array(builder, vectors, wide.vector)

    return wide(tile), emit


@intrinsic
def column(typing: Any, tile: Any, a: Any, i: Any) -> Any:
    """Tile of the same shape whose row r holds ``a[i + r]`` in every lane."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = lowering.data(context, builder, signature.args[1], values[1])
        vectors = []
        for r in range(tile.rows):
            vectors += [lowering.scalar(builder, data, values[2], r)] * tile.vectors
        return cgutils.pack_array(builder, vectors, tile.vector)

    return tile(tile, a, types.int64), emit


@intrinsic
def outer(typing: Any, tile: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Rank-one update: row r of the tile += ``a[i + r]`` · the vectors at ``b[j]``."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = values[0]
        left, right = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 3))
        vectors = [lowering.load(builder, right, values[4], v * tile.lanes) for v in range(tile.vectors)]
        for r in range(tile.rows):
            factor = lowering.scalar(builder, left, values[2], r)
            result = lowering.add_products(builder, tile, result, r, factor, vectors)
        return result

    return tile(tile, a, types.int64, b, types.int64), emit


@intrinsic
def centred_outer(typing: Any, tile: Any, a: Any, i: Any, x: Any, j: Any, means: Any, m: Any) -> Any:
    """Rank-one update with a column less its mean: row r += ``a[i + r]`` · (the vectors at ``x[j]`` - ``means[m]``)."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = values[0]
        left, right, centres = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 3, 5))
        centre = lowering.scalar(builder, centres, values[6])
        vectors = [lowering.load(builder, right, values[4], v * tile.lanes) for v in range(tile.vectors)]
        vectors = [builder.fsub(vector, centre) for vector in vectors]
        for r in range(tile.rows):
            factor = lowering.scalar(builder, left, values[2], r)
            result = lowering.add_products(builder, tile, result, r, factor, vectors)
        return result

    whole = types.int64
    return tile(tile, a, whole, x, whole, means, whole), emit


@intrinsic(prefer_literal=True)
def outer_rows(typing: Any, tile: Any, a: Any, i: Any, stride: Any, b: Any, j: Any, skip: Any) -> Any:
    """Rank-one update by a column of a matrix: row r += ``a[i + r * stride]`` · vectors `skip` … at ``b[j]``."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, right = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 4))
        result, place = values[0], values[2]
        columns = range(skip.literal_value, tile.vectors)
        vectors = {v: lowering.load(builder, right, values[5], v * tile.lanes) for v in columns}
        for r in range(tile.rows):
            factor = lowering.scalar(builder, left, place)
            for v, vector in vectors.items():
                n = r * tile.vectors + v
                term = lowering.fma(builder, factor, vector, builder.extract_value(result, n))
                result = builder.insert_value(result, term, n)
            place = builder.add(place, values[3])
        return result

    whole = types.int64
    return tile(tile, a, whole, whole, b, whole, skip), emit


@intrinsic
def row_squares(typing: Any, total: Any, tile: Any) -> Any:
    """(rows × 1) tile `total` plus the squares of the tile's vectors, row by row."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = values[0]
        for n in range(tile.size):
            vector, r = builder.extract_value(values[1], n), n // tile.vectors
            sums = lowering.fma(builder, vector, vector, builder.extract_value(result, r))
            result = builder.insert_value(result, sums, r)
        return result

    return total(total, tile), emit


@intrinsic
def store_row_sums(typing: Any, tile: Any, array: Any, i: Any) -> Any:
    """``array[i + r]`` = the sum of the lanes of row r of a (PANEL × 1) tile."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = lowering.data(context, builder, signature.args[1], values[1])
        rows = [builder.extract_value(values[0], r) for r in range(tile.rows)]
        while rows[0].type.count > PANEL:
            half = rows[0].type.count // 2
            rows = [builder.fadd(*(lowering.part_of(builder, row, at, half) for at in (0, half))) for row in rows]
        rows = lowering.transposed(builder, rows)
        while len(rows) > 1:
            rows = [builder.fadd(rows[n], rows[n + len(rows) // 2]) for n in range(len(rows) // 2)]
        lowering.store(builder, rows[0], data, values[2])
        return context.get_dummy_value()

    return types.void(tile, array, types.int64), emit


@intrinsic
def rotations(typing: Any, tile: Any, z: Any, i: Any) -> Any:
    """Add products of vectors with themselves rotated: row s, lane l += z[l] · z[(l + s) mod lanes], vector by vector.

    With lanes / 2 + 1 rows these are all products of two numbers of a vector; a square tile of them takes lanes rows.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, result = lowering.data(context, builder, signature.args[1], values[1]), values[0]
        vectors = [lowering.load(builder, data, values[2], v * tile.lanes) for v in range(tile.vectors)]
        for s in range(tile.rows):
            for v, vector in enumerate(vectors):
                n = s * tile.vectors + v
                turned = lowering.rotated(builder, vector, s)
                term = lowering.fma(builder, vector, turned, builder.extract_value(result, n))
                result = builder.insert_value(result, term, n)
        return result

    return tile(tile, z, types.int64), emit


@intrinsic
def centred_triangle(typing: Any, tile: Any, a: Any, i: Any, x: Any, j: Any, stride: Any, means: Any, m: Any) -> Any:
    """Lower-triangular product of columns less their means: row r += Σ_{c ≤ r} A[r, c] (x_c - means[m + c]).

    A is packed by columns from ``a[i]``: column c holds its rows c … rows-1. Column c of x is at ``x[j + c * stride]``.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, right, centres = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 3, 6))
        result, place, packed = values[0], values[4], 0
        for c in range(tile.rows):
            centre = lowering.scalar(builder, centres, values[7], c)
            vectors = [lowering.load(builder, right, place, v * tile.lanes) for v in range(tile.vectors)]
            vectors = [builder.fsub(vector, centre) for vector in vectors]
            for r in range(c, tile.rows):
                factor = lowering.scalar(builder, left, values[2], packed)
                result = lowering.add_products(builder, tile, result, r, factor, vectors)
                packed += 1
            place = builder.add(place, values[5])
        return result

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
        first = builder.sitofp(values[1], tile.number)
        for v in range(tile.vectors):
            top = lowering.load(builder, scores, values[4], v * tile.lanes)
            label = lowering.load(builder, labels, values[4], v * tile.lanes)
            for r in range(tile.rows):
                score = builder.extract_value(values[0], r * tile.vectors + v)
                wins = builder.fcmp_ordered(">", score, top)
                top = builder.select(wins, score, top)
                number = builder.fadd(first, ir.Constant(tile.number, float(r)))
                label = builder.select(wins, lowering.spread(builder, number), label)
            lowering.store(builder, top, scores, values[4], v * tile.lanes)
            lowering.store(builder, label, labels, values[4], v * tile.lanes)
        return context.get_dummy_value()

    return types.void(tile, types.int64, scores, labels, types.int64), emit


@intrinsic
def total(typing: Any, tile: Any) -> Any:
    """Sum of all numbers in a tile, in float64: registers first, then lanes as a balanced tree."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vectors: list[Any] = []
        for n in range(tile.size):
            vectors += lowering.widened(builder, builder.extract_value(values[0], n))
        result = vectors[0]
        for vector in vectors[1:]:
            result = builder.fadd(result, vector)
        return lowering.sum_of_lanes(builder, result)

    return types.float64(tile), emit


@intrinsic(prefer_literal=True)
def gram(
    typing: Any, sums: Any, i: Any, shares: Any, j: Any, stride: Any, x: Any, groups: Any, means: Any, m: Any,
    n_features: Any,
) -> Any:  # fmt: skip
    """Add Σ_p γ_p z_p z_pᵀ to `sums`, lane by lane, where z = (1, x − μ): the moments of orders 0, 1 and 2 at once.

    Rows come in groups of GROUP vectors: γ of group g at ``shares[j + g * stride:]``, feature d at
    ``x[(g * D + d) * GROUP * lanes:]``; μ at ``means[m:]``. Entry (r, c), c ≤ r, of the lower triangle is the vector at
    ``sums[i + (r (r + 1) / 2 + c) lanes]``, of float64. The triangle is cut into runs of rows whose entries fit in
    registers, each run a loop over the groups.
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
    vector = lowering.vector_of(x.type.pointee)
    lanes = vector.count
    entries = [(r, c) for r in range(first, last) for c in range(r + 1)]
    slots = [cgutils.alloca_once(builder, vector) for _ in entries]
    for slot in slots:
        builder.store(lowering.constant(vector, 0.0), slot)
    centres = [lowering.scalar(builder, means, m, d) for d in range(last - 1)]
    with cgutils.for_range(builder, groups, intp=lowering.INT64) as loop:
        share_place = builder.add(j, builder.mul(loop.index, stride))
        place = builder.mul(loop.index, ir.Constant(lowering.INT64, (width - 1) * GROUP * lanes))
        for v in range(GROUP):
            share = lowering.load(builder, shares, share_place, v * lanes)
            z = [lowering.constant(vector, 1.0)]
            for d in range(last - 1):
                z.append(builder.fsub(lowering.load(builder, x, place, (d * GROUP + v) * lanes), centres[d]))
            scaled = {r: share if r == 0 else builder.fmul(share, z[r]) for r in range(first, last)}
            for (r, c), slot in zip(entries, slots, strict=True):
                before = builder.load(slot)
                term = builder.fadd(before, scaled[r]) if c == 0 else lowering.fma(builder, scaled[r], z[c], before)
                builder.store(term, slot)
    offset = first * (first + 1) // 2 * lanes
    for e, slot in enumerate(slots):
        lowering.add_to(builder, builder.load(slot), sums, i, offset + e * lanes)
