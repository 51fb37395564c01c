"""Instructions on rows and on lists of rows: take them in, gather and turn them, choose among lanes, scatter results.

They go with those of `vector`. A list is an array of int32, filled up to whole registers: an instruction reads as many
of its numbers at once as a register has lanes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgmm.kernels import lowering
from fastgmm.kernels.target import PANEL


@intrinsic
def turned_rows(typing: Any, real: Any, rows: Any, listed: Any, i: Any, row_length: Any, d: Any) -> Any:
    """Gather as many listed rows as a register has lanes of `real`, PANEL features of each, and transpose them.

    (PANEL × 1) tile whose row r holds, in lane j, ``rows[d + listed[i + j] * row_length + r]``.
    """
    tile = lowering.Tile(real.dtype, PANEL, 1)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, places = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 2))
        _, _, _, i, row_length, d = values
        parts = []
        for j in range(tile.lanes):
            row = builder.load(builder.gep(places, [builder.add(i, ir.Constant(lowering.INT64, j))]))
            place = builder.add(builder.mul(builder.sext(row, lowering.INT64), row_length), d)
            numbers = lowering.load(builder, data, place, 0, PANEL)
            same = numbers.type.element == tile.number
            parts.append(numbers if same else builder.fpext(numbers, ir.VectorType(tile.number, PANEL)))
        if tile.lanes > PANEL:  # rows j and j + PANEL share a register
            mask = lowering.lanes_mask(list(range(tile.lanes)))
            parts = [builder.shuffle_vector(parts[j], parts[j + PANEL], mask) for j in range(PANEL)]
        return cgutils.pack_array(builder, lowering.transposed(builder, parts), tile.vector)

    whole = types.int64
    return tile(real, rows, listed, whole, whole, whole), emit


@intrinsic
def standardise(typing: Any, tile: Any, centre: Any, scale: Any, d: Any) -> Any:
    """Row r becomes (row r - ``centre[d + r]``) · ``scale[d + r]``, computed in float64 and rounded once."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        centres, scales = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 2))
        wide = ir.VectorType(lowering.DOUBLE, tile.lanes)
        vectors = []
        for r in range(tile.rows):
            place = builder.add(values[3], ir.Constant(lowering.INT64, r))
            middle, factor = (lowering.scalar(builder, data, place, 0, tile.lanes) for data in (centres, scales))
            for v in range(tile.vectors):
                vector = builder.extract_value(values[0], r * tile.vectors + v)
                number = vector if tile.vector == wide else builder.fpext(vector, wide)
                number = builder.fmul(builder.fsub(number, middle), factor)
                vectors.append(number if tile.vector == wide else builder.fptrunc(number, tile.vector))
        return cgutils.pack_array(builder, vectors, tile.vector)

    return tile(tile, centre, scale, types.int64), emit


@intrinsic
def take_panel(typing: Any, X: Any, i: Any, centre: Any, scale: Any, d: Any, rows: Any, j: Any) -> Any:
    """Standardise PANEL neighbouring numbers: ``rows[j + l] = (X[i + l] - centre[d + l]) · scale[d + l]``."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, centres, scales, target = (
            lowering.data(context, builder, signature.args[n], values[n]) for n in (0, 2, 3, 5)
        )
        numbers = lowering.load(builder, source, values[1], 0, PANEL)
        wide = ir.VectorType(lowering.DOUBLE, PANEL)
        if numbers.type != wide:
            numbers = builder.fpext(numbers, wide)
        middle, factor = (lowering.load(builder, data, values[4], 0, PANEL) for data in (centres, scales))
        numbers = builder.fmul(builder.fsub(numbers, middle), factor)
        kind = target.type.pointee
        if kind != lowering.DOUBLE:
            numbers = builder.fptrunc(numbers, ir.VectorType(kind, PANEL))
        lowering.store(builder, numbers, target, values[6])
        return context.get_dummy_value()

    whole = types.int64
    return types.void(X, whole, centre, scale, whole, rows, whole), emit


@intrinsic(prefer_literal=True)
def listed_row(typing: Any, rows: Any, listed: Any, i: Any, row_length: Any, d: Any, vectors: Any) -> Any:
    """(1 × vectors) tile of a listed row's numbers from d on: those at ``rows[listed[i] * row_length + d]``."""
    tile = lowering.Tile(rows.dtype, 1, lowering.count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, places = (lowering.data(context, builder, signature.args[n], values[n]) for n in (0, 1))
        row = builder.sext(builder.load(builder.gep(places, [values[2]])), lowering.INT64)
        place = builder.add(builder.mul(row, values[3]), values[4])
        loaded = [lowering.load(builder, data, place, v * tile.lanes) for v in range(tile.vectors)]
        return cgutils.pack_array(builder, loaded, tile.vector)

    whole = types.int64
    return tile(rows, listed, whole, whole, whole, vectors), emit


@intrinsic
def gathered(typing: Any, array: Any, listed: Any, i: Any) -> Any:
    """One-register tile of ``array[listed[i + j]]``."""
    tile = lowering.Tile(array.dtype, 1, 1)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, places = (lowering.data(context, builder, signature.args[n], values[n]) for n in (0, 1))
        where = lowering.places(builder, data, places, values[2], tile.lanes)
        return cgutils.pack_array(builder, [lowering.gather(builder, tile.vector, where)], tile.vector)

    return tile(array, listed, types.int64), emit


@intrinsic
def scatter(typing: Any, tile: Any, array: Any, listed: Any, i: Any) -> Any:
    """``array[listed[i + j]]`` = number j of the tile's row, for all j in order; rounded if the array is of float32."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, places = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 2))
        for v in range(tile.vectors):
            vector = builder.extract_value(values[0], v)
            if data.type.pointee != tile.number:
                vector = builder.fptrunc(vector, ir.VectorType(data.type.pointee, tile.lanes))
            place = builder.add(values[3], ir.Constant(lowering.INT64, v * tile.lanes))
            lowering.scatter(builder, vector, lowering.places(builder, data, places, place, tile.lanes))
        return context.get_dummy_value()

    return types.void(tile, array, listed, types.int64), emit


@intrinsic
def raise_listed(typing: Any, tile: Any, tops: Any, listed: Any, i: Any) -> Any:
    """``tops[listed[i + j]]`` becomes number j of a one-register tile where that is larger; repeats are equal."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, places = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 2))
        where = lowering.places(builder, data, places, values[3], tile.lanes)
        before = lowering.gather(builder, tile.vector, where)
        lowering.scatter(builder, lowering.larger(builder, builder.extract_value(values[0], 0), before), where)
        return context.get_dummy_value()

    return types.void(tile, tops, listed, types.int64), emit


@intrinsic
def list_lanes(typing: Any, real: Any, first: Any, mask: Any, listed: Any, i: Any) -> Any:
    """Append the numbers of the lanes that `mask` chooses, counted from `first`, to a list from ``listed[i]`` on.

    Writes a register of `real`'s lanes, of which those behind the chosen ones are of no account. Without branches: what
    a loop over the bits costs is a wrong guess for every mask (Zen 5: 20 cycles).
    """
    lanes = lowering.LANES_OF[lowering.DOUBLE if real.dtype == types.float64 else lowering.SINGLE]

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = lowering.data(context, builder, signature.args[3], values[3])
        start = lowering.spread(builder, builder.trunc(values[1], lowering.INT32), lanes)
        steps = ir.Constant(ir.VectorType(lowering.INT32, lanes), list(range(lanes)))
        lowering.pack(builder, builder.add(start, steps), values[2], data, values[4])
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64, listed, types.int64), emit


@intrinsic
def pack_lanes(typing: Any, tile: Any, mask: Any, array: Any, i: Any) -> Any:
    """Append the lanes of a one-register tile that `mask` chooses to ``array[i:]``; writes as `list_lanes` does."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = lowering.data(context, builder, signature.args[2], values[2])
        lowering.pack(builder, builder.extract_value(values[0], 0), values[1], data, values[3])
        return context.get_dummy_value()

    return types.void(tile, types.int64, array, types.int64), emit


@intrinsic
def pick_lanes(typing: Any, real: Any, listed: Any, i: Any, mask: Any, picked: Any, j: Any) -> Any:
    """Append those of a register's lanes of numbers from ``listed[i]`` on that `mask` chooses to ``picked[j:]``.

    Writes as `list_lanes` does.
    """
    lanes = lowering.LANES_OF[lowering.DOUBLE if real.dtype == types.float64 else lowering.SINGLE]

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, data = (lowering.data(context, builder, signature.args[n], values[n]) for n in (1, 4))
        lowering.pack(builder, lowering.load(builder, source, values[2], 0, lanes), values[3], data, values[5])
        return context.get_dummy_value()

    whole = types.int64
    return types.void(real, listed, whole, whole, picked, whole), emit


@intrinsic
def chosen(typing: Any, mask: Any) -> Any:
    """Count the bits of a mask."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.int64), emit


@intrinsic
def above(typing: Any, tile: Any, threshold: Any) -> Any:
    """Bit mask of the lanes of a one-register tile that exceed `threshold`."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = builder.extract_value(values[0], 0)
        larger = builder.fcmp_ordered(">", vector, lowering.spread(builder, values[1]))
        return builder.zext(builder.bitcast(larger, ir.IntType(tile.lanes)), lowering.INT64)

    return types.int64(tile, tile.real), emit
