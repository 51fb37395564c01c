"""Products of tiles: rank-one updates, triangles, squares, and the moments of few features; more of `vector`'s set."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgmm.kernels import lowering
from fastgmm.kernels.target import ACCUMULATORS, GROUP, PANEL
from fastgmm.kernels.twins import gram_rows


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


@intrinsic(prefer_literal=True)
def centred_triangle(
    typing: Any, tile: Any, a: Any, i: Any, x: Any, j: Any, stride: Any, means: Any, m: Any, z: Any, q: Any, kept: Any
) -> Any:  # fmt: skip
    """Lower-triangular product of columns less their means: row r += Σ_{c ≤ r} A[r, c] z_c, z_c = x_c - means[m + c].

    A is packed by columns from ``a[i]``: column c holds its rows c … rows-1. Column c of x is at ``x[j + c * stride]``.
    With `kept`, z_c is written to ``z[q + c * stride]``.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arrays = [lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 3, 6, 8)]
        left, right, centres, out = arrays
        result, place, target, packed = values[0], values[4], values[9], 0
        for c in range(tile.rows):
            centre = lowering.scalar(builder, centres, values[7], c)
            vectors = [lowering.load(builder, right, place, v * tile.lanes) for v in range(tile.vectors)]
            vectors = [builder.fsub(vector, centre) for vector in vectors]
            if kept.literal_value:
                for v, vector in enumerate(vectors):
                    lowering.store(builder, vector, out, target, v * tile.lanes)
            for r in range(c, tile.rows):
                factor = lowering.scalar(builder, left, values[2], packed)
                result = lowering.add_products(builder, tile, result, r, factor, vectors)
                packed += 1
            place, target = builder.add(place, values[5]), builder.add(target, values[5])
        return result

    whole = types.int64
    return tile(tile, a, whole, x, whole, whole, means, whole, z, whole, kept), emit


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


@intrinsic(prefer_literal=True)
def centred_squares(
    typing: Any, x: Any, j: Any, stride: Any, count: Any, means: Any, m: Any, rows: Any, scales: Any, scaled: Any
) -> Any:  # fmt: skip
    """(rows × GROUP) tile of Σ_d ((x_d − means[n + d]) · scales[n + d])², d < count, n = m + r · count, for row r.

    x_d is at ``x[j + d * stride]``. Without `scaled` the scales are not read, and count as 1. Even and odd features are
    summed apart, as a sum would wait for itself. A loop in Python over arrays costs 190 cycles here: Numba counts
    references in each turn.
    """
    tile = lowering.Tile(x.dtype, rows.literal_value, GROUP)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        points, centres, factors = (lowering.data(context, builder, signature.args[n], values[n]) for n in (0, 4, 7))
        _, first, step, size, _, place, *_ = values
        slots = [cgutils.alloca_once(builder, tile.vector) for _ in range(2 * tile.size)]
        for slot in slots:
            builder.store(lowering.constant(tile.vector, 0.0), slot)

        def add_feature(d: Any, sums: list[Any]) -> None:
            at, number = builder.add(first, builder.mul(d, step)), builder.add(place, d)
            vectors = [lowering.load(builder, points, at, v * tile.lanes) for v in range(GROUP)]
            for r in range(tile.rows):
                centre = lowering.scalar(builder, centres, number)
                factor = lowering.scalar(builder, factors, number) if scaled.literal_value else None
                for vector, slot in zip(vectors, sums[r * GROUP :], strict=False):
                    z = builder.fsub(vector, centre)
                    z = builder.fmul(z, factor) if factor is not None else z
                    builder.store(lowering.fma(builder, z, z, builder.load(slot)), slot)
                number = builder.add(number, size)

        one = ir.Constant(lowering.INT64, 1)
        with cgutils.for_range(builder, builder.lshr(size, one), intp=lowering.INT64) as loop:
            even = builder.shl(loop.index, one)
            add_feature(even, slots[: tile.size])
            add_feature(builder.add(even, one), slots[tile.size :])
        with builder.if_then(builder.trunc(size, ir.IntType(1))):
            add_feature(builder.sub(size, one), slots[: tile.size])
        sums = [builder.fadd(builder.load(slots[n]), builder.load(slots[tile.size + n])) for n in range(tile.size)]
        return cgutils.pack_array(builder, sums, tile.vector)

    whole = types.int64
    return tile(x, whole, whole, whole, means, whole, rows, scales, scaled), emit
