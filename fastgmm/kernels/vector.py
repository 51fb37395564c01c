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
from fastgmm.kernels.target import LINE


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
exp2_above = _unary(lowering.exp2_above)


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


@intrinsic
def room(typing: Any, size: Any, real: Any) -> Any:
    """Make an array of `size` numbers of the type `real`, from the start of a cache line."""
    array = types.Array(real.dtype, 1, "C")

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return lowering.allocated(context, builder, array, values[0])

    return array(types.int64, real), emit


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


def _writer(write: Callable[..., None]) -> Callable[..., Any]:
    """Emit what writes row r of a tile from ``array[i + r * stride]`` on."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile = signature.args[0]
        data, place = lowering.data(context, builder, signature.args[1], values[1]), values[2]
        for r in range(tile.rows):
            for v in range(tile.vectors):
                write(builder, builder.extract_value(values[0], r * tile.vectors + v), data, place, v * tile.lanes)
            place = builder.add(place, values[3])
        return context.get_dummy_value()

    return emit


@intrinsic
def store(typing: Any, tile: Any, array: Any, i: Any, stride: Any) -> Any:
    """Write row r of the tile from ``array[i + r * stride]`` on."""
    return types.void(tile, array, types.int64, types.int64), _writer(lowering.store)


@intrinsic
def accumulate(typing: Any, tile: Any, array: Any, i: Any, stride: Any) -> Any:
    """Add row r of the tile to the float64 numbers from ``array[i + r * stride]`` on."""
    return types.void(tile, array, types.int64, types.int64), _writer(lowering.add_to)


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
def narrow(typing: Any, tile: Any) -> Any:
    """Round a tile of float64, of an even number of vectors, to float32 in half as many."""
    single = lowering.Tile(types.float32, tile.rows, tile.vectors // 2)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        half, mask = ir.VectorType(lowering.SINGLE, tile.lanes), lowering.lanes_mask(list(range(2 * tile.lanes)))
        parts = [builder.fptrunc(builder.extract_value(values[0], n), half) for n in range(tile.size)]
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return cgutils.pack_array(builder, [builder.shuffle_vector(*pair, mask) for pair in pairs], single.vector)

    return single(tile), emit


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


@intrinsic(prefer_literal=True)
def row(typing: Any, tile: Any, r: Any) -> Any:
    """(1 × vectors) tile of row r."""
    one = tile.shaped(1, tile.vectors)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        first = r.literal_value * tile.vectors
        vectors = [builder.extract_value(values[0], first + v) for v in range(tile.vectors)]
        return cgutils.pack_array(builder, vectors, one.vector)

    return one(tile, r), emit


@intrinsic
def prefetch(typing: Any, array: Any, i: Any, count: Any) -> Any:
    """Have the cache lines of `count` numbers from ``array[i]`` on fetched. They need not exist: nothing is read."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = lowering.data(context, builder, signature.args[0], values[0])
        with cgutils.for_range_slice(
            builder, ir.Constant(lowering.INT64, 0), values[2],
            ir.Constant(lowering.INT64, LINE // lowering.BYTES_OF[data.type.pointee]), intp=lowering.INT64,
        ) as (n, _):  # fmt: skip
            lowering.prefetch(builder, builder.gep(data, [builder.add(values[1], n)]))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), emit


@intrinsic
def folded(typing: Any, tile: Any) -> Any:
    """(rows × 1) tile of each row's vectors added up."""
    narrow = tile.shaped(tile.rows, 1)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums = []
        for r in range(tile.rows):
            vector = builder.extract_value(values[0], r * tile.vectors)
            for v in range(1, tile.vectors):
                vector = builder.fadd(vector, builder.extract_value(values[0], r * tile.vectors + v))
            sums.append(vector)
        return cgutils.pack_array(builder, sums, narrow.vector)

    return narrow(tile), emit


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
