"""Register tiles: the instruction set that the kernels are written in.

A *tile* is ``rows × vectors`` SIMD registers of ``LANES`` float64 each. A kernel keeps one in a local variable and LLVM
keeps it in registers (checked in the assembly: a panel step is 24 register FMAs, 8 broadcasts, 3 loads). Arrays are
flat and float64; ``i`` arguments are element offsets. `twins` holds every instruction again in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from fastgmm.kernels.target import ACCUMULATORS, GROUP, HAS_FMA, LANES
from fastgmm.kernels.twins import (
    EXP_SERIES,
    LN2_HIGH,
    LN2_LOW,
    LOG2_E,
    LOG_SERIES,
    ROUNDER,
    SMALLEST_EXPONENT,
    gram_rows,
)

DOUBLE, INT64, INT32 = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
VECTOR = ir.VectorType(DOUBLE, LANES)
INTEGERS = ir.VectorType(INT64, LANES)
SINGLE = ir.FloatType()
SINGLES = ir.VectorType(SINGLE, LANES)


class Tile(types.Type):
    """Numba's type of a tile."""

    def __init__(self, rows: int, vectors: int) -> None:
        self.rows, self.vectors, self.size = rows, vectors, rows * vectors
        super().__init__(name=f"Tile({rows}, {vectors}, {LANES})")


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    """An LLVM array of vectors: SROA takes it apart into registers."""

    def __init__(self, manager: Any, tile: Tile) -> None:
        super().__init__(manager, tile, ir.ArrayType(VECTOR, tile.size))


def _count(size: Any) -> int:
    """Give a tile's rows or vectors: a literal, or the length of a tuple, by which one text serves several widths."""
    return size.count if isinstance(size, types.UniTuple) else size.literal_value


# --- emitting IR ---------------------------------------------------------------------------------------------------


def _constant(value: float) -> ir.Constant:
    return ir.Constant(VECTOR, [value] * LANES)


def _integers(value: int) -> ir.Constant:
    return ir.Constant(INTEGERS, [value] * LANES)


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return context.make_array(array_type)(context, builder, array).data


def _address(builder: Any, data: Any, index: Any, offset: int = 0) -> Any:
    place = builder.gep(data, [builder.add(index, ir.Constant(INT64, offset))])
    return builder.bitcast(place, (SINGLES if data.type.pointee == SINGLE else VECTOR).as_pointer())


def _load(builder: Any, data: Any, index: Any, offset: int = 0) -> Any:
    """Load float64 lanes, from float32 if the array is of those."""
    vector = builder.load(_address(builder, data, index, offset))
    vector.align = 4 if data.type.pointee == SINGLE else 8
    return builder.fpext(vector, VECTOR) if data.type.pointee == SINGLE else vector


def _store(builder: Any, vector: Any, data: Any, index: Any, offset: int = 0) -> None:
    """Store float64 lanes, rounded to float32 if the array is of those."""
    single = data.type.pointee == SINGLE
    value = builder.fptrunc(vector, SINGLES) if single else vector
    builder.store(value, _address(builder, data, index, offset)).align = 4 if single else 8


def _spread(builder: Any, scalar: Any) -> Any:
    nothing = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(INT32, LANES), [0] * LANES))


def _scalar(builder: Any, data: Any, index: Any, offset: int = 0) -> Any:
    return _spread(builder, builder.load(builder.gep(data, [builder.add(index, ir.Constant(INT64, offset))])))


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    if not HAS_FMA:
        return builder.fadd(builder.fmul(a, b), c)
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f64"), [a, b, c])


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _kept(builder: Any, value: Any, floor: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", value, floor), value, _constant(0.0))


def _horner(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    value = _constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = _fma(builder, value, x, _constant(coefficient))
    return value


def _exp(builder: Any, x: Any) -> Any:
    rounded = _fma(builder, _larger(builder, x, _constant(SMALLEST_EXPONENT)), _constant(LOG2_E), _constant(ROUNDER))
    n = builder.fsub(rounded, _constant(ROUNDER))
    r = _fma(builder, n, _constant(-LN2_HIGH), _larger(builder, x, _constant(SMALLEST_EXPONENT)))
    r = _fma(builder, n, _constant(-LN2_LOW), r)
    series = _horner(builder, r, EXP_SERIES)
    # 2**n · series: n sits in the low bits of `rounded`, the exponent field of `series` takes it by integer addition.
    exponent = builder.shl(builder.bitcast(rounded, INTEGERS), _integers(52))
    scaled = builder.bitcast(builder.add(builder.bitcast(series, INTEGERS), exponent), VECTOR)
    return builder.select(builder.fcmp_ordered(">=", x, _constant(SMALLEST_EXPONENT)), scaled, _constant(0.0))


def _log(builder: Any, x: Any) -> Any:
    bits = builder.bitcast(x, INTEGERS)
    # Shift by 2**-0.5's pattern so that the mantissa lands in [sqrt(1/2), sqrt(2)).
    shifted = builder.add(bits, _integers(0x3FF0000000000000 - 0x3FE6A09E667F3BCD))
    exponent = builder.sub(builder.ashr(shifted, _integers(52)), _integers(1023))
    mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, _integers(52))), VECTOR)
    k = builder.sitofp(exponent, VECTOR)
    f = builder.fsub(mantissa, _constant(1.0))
    s = builder.fdiv(f, builder.fadd(f, _constant(2.0)))
    z = builder.fmul(s, s)
    tail = builder.fmul(z, _horner(builder, z, LOG_SERIES))
    half = builder.fmul(builder.fmul(f, f), _constant(0.5))
    low = _fma(builder, s, builder.fadd(half, tail), builder.fmul(k, _constant(LN2_LOW)))
    return _fma(builder, k, _constant(LN2_HIGH), builder.fsub(f, builder.fsub(half, low)))


def _sqrt(builder: Any, x: Any) -> Any:
    kind = ir.FunctionType(VECTOR, [VECTOR])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64"), [x])


def _sum_of_lanes(builder: Any, vector: Any) -> Any:
    """Add the lanes as a balanced tree: halves onto each other."""
    width = LANES
    while width > 1:
        width //= 2
        halves = [
            builder.shuffle_vector(
                vector,
                ir.Constant(vector.type, ir.Undefined),
                ir.Constant(ir.VectorType(INT32, width), list(range(start, start + width))),
            )
            for start in (0, width)
        ]
        vector = builder.fadd(*halves)
    return builder.extract_element(vector, ir.Constant(INT32, 0))


def _mapped(builder: Any, tile: Tile, operation: Callable[..., Any], *values: Any) -> Any:
    """Apply `operation` register by register."""
    result = ir.Constant(ir.ArrayType(VECTOR, tile.size), ir.Undefined)
    for n in range(tile.size):
        parts = [builder.extract_value(value, n) for value in values]
        result = builder.insert_value(result, operation(builder, *parts), n)
    return result


def _unary(operation: Callable[..., Any]) -> Any:
    @intrinsic
    def instruction(typing: Any, a: Any) -> Any:
        return a(a), lambda context, builder, signature, values: _mapped(builder, a, operation, *values)

    return instruction


def _binary(operation: Callable[..., Any]) -> Any:
    @intrinsic
    def instruction(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, signature, values: _mapped(builder, a, operation, *values)

    return instruction


def _ternary(operation: Callable[..., Any]) -> Any:
    @intrinsic
    def instruction(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return a(a, b, c), lambda context, builder, signature, values: _mapped(builder, a, operation, *values)

    return instruction


# --- the instructions ----------------------------------------------------------------------------------------------

add = _binary(lambda builder, a, b: builder.fadd(a, b))
subtract = _binary(lambda builder, a, b: builder.fsub(a, b))
multiply = _binary(lambda builder, a, b: builder.fmul(a, b))
divide = _binary(lambda builder, a, b: builder.fdiv(a, b))
larger = _binary(_larger)
smaller = _binary(_smaller)
kept = _binary(_kept)
multiply_add = _ternary(_fma)
exp = _unary(_exp)
log = _unary(_log)
sqrt = _unary(_sqrt)


@intrinsic(prefer_literal=True)
def spread(typing: Any, value: Any, vectors: Any) -> Any:
    """(1 × vectors) tile with `value` in every lane."""
    tile = Tile(1, _count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = _spread(builder, values[0])
        return cgutils.pack_array(builder, [vector] * tile.size)

    return tile(types.float64, vectors), emit


@intrinsic(prefer_literal=True)
def zeros(typing: Any, rows: Any, vectors: Any) -> Any:
    """(rows × vectors) tile of zeros."""
    tile = Tile(_count(rows), _count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(ir.ArrayType(VECTOR, tile.size), None)

    return tile(rows, vectors), emit


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, i: Any, stride: Any, rows: Any, vectors: Any) -> Any:
    """(rows × vectors) tile; row r starts at ``array[i + r * stride]``."""
    tile = Tile(_count(rows), _count(vectors))

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, place = _data(context, builder, signature.args[0], values[0]), values[1]
        vectors = []
        for _ in range(tile.rows):
            vectors += [_load(builder, data, place, v * LANES) for v in range(tile.vectors)]
            place = builder.add(place, values[2])
        return cgutils.pack_array(builder, vectors, VECTOR)

    return tile(array, types.int64, types.int64, rows, vectors), emit


@intrinsic
def store(typing: Any, tile: Any, array: Any, i: Any, stride: Any) -> Any:
    """Write row r of the tile from ``array[i + r * stride]`` on."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, place = _data(context, builder, signature.args[1], values[1]), values[2]
        for r in range(tile.rows):
            for v in range(tile.vectors):
                _store(builder, builder.extract_value(values[0], r * tile.vectors + v), data, place, v * LANES)
            place = builder.add(place, values[3])
        return context.get_dummy_value()

    return types.void(tile, array, types.int64, types.int64), emit


@intrinsic
def column(typing: Any, tile: Any, a: Any, i: Any) -> Any:
    """Tile of the same shape whose row r holds ``a[i + r]`` in every lane."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = _data(context, builder, signature.args[1], values[1])
        vectors = []
        for r in range(tile.rows):
            vectors += [_scalar(builder, data, values[2], r)] * tile.vectors
        return cgutils.pack_array(builder, vectors, VECTOR)

    return tile(tile, a, types.int64), emit


@intrinsic
def outer(typing: Any, tile: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Rank-one update: row r of the tile += ``a[i + r]`` · the vectors at ``b[j]``."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = values[0]
        left, right = (_data(context, builder, signature.args[n], values[n]) for n in (1, 3))
        vectors = [_load(builder, right, values[4], v * LANES) for v in range(tile.vectors)]
        for r in range(tile.rows):
            factor = _scalar(builder, left, values[2], r)
            for v, vector in enumerate(vectors):
                n = r * tile.vectors + v
                total = _fma(builder, factor, vector, builder.extract_value(result, n))
                result = builder.insert_value(result, total, n)
        return result

    return tile(tile, a, types.int64, b, types.int64), emit


@intrinsic
def triangle(typing: Any, tile: Any, a: Any, i: Any, b: Any, j: Any, stride: Any) -> Any:
    """Lower-triangular product: row r += Σ_{c ≤ r} A[r, c] · the vectors at ``b[j + c * stride]``.

    A is packed by columns from ``a[i]``: column c holds its rows c … rows-1.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result, place, packed = values[0], values[4], 0
        left, right = (_data(context, builder, signature.args[n], values[n]) for n in (1, 3))
        for c in range(tile.rows):
            vectors = [_load(builder, right, place, v * LANES) for v in range(tile.vectors)]
            for r in range(c, tile.rows):
                factor = _scalar(builder, left, values[2], packed)
                packed += 1
                for v, vector in enumerate(vectors):
                    n = r * tile.vectors + v
                    total = _fma(builder, factor, vector, builder.extract_value(result, n))
                    result = builder.insert_value(result, total, n)
            place = builder.add(place, values[5])
        return result

    return tile(tile, a, types.int64, b, types.int64, types.int64), emit


@intrinsic
def centred_triangle(typing: Any, tile: Any, a: Any, i: Any, x: Any, j: Any, stride: Any, means: Any, m: Any) -> Any:
    """Multiply as `triangle` does, columns less their means: row r += Σ_{c ≤ r} A[r, c] (x_c − means[m + c])."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result, place, packed = values[0], values[4], 0
        left, right, centres = (_data(context, builder, signature.args[n], values[n]) for n in (1, 3, 6))
        for c in range(tile.rows):
            centre = _scalar(builder, centres, values[7], c)
            vectors = [builder.fsub(_load(builder, right, place, v * LANES), centre) for v in range(tile.vectors)]
            for r in range(c, tile.rows):
                factor = _scalar(builder, left, values[2], packed)
                packed += 1
                for v, vector in enumerate(vectors):
                    n = r * tile.vectors + v
                    total = _fma(builder, factor, vector, builder.extract_value(result, n))
                    result = builder.insert_value(result, total, n)
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
            result = builder.insert_value(result, _fma(builder, vector, vector, builder.extract_value(result, v)), v)
        return result

    return total(total, tile), emit


@intrinsic
def best(typing: Any, tile: Any, k: Any, scores: Any, labels: Any, i: Any) -> Any:
    """Keep the larger of ``scores[i:]`` and the tile's rows; where row r wins, ``labels[i:]`` becomes k + r.

    Rows are taken in order and must be strictly larger, so ties go to the lowest number.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        scores, labels = (_data(context, builder, signature.args[n], values[n]) for n in (2, 3))
        first = builder.sitofp(values[1], DOUBLE)
        for v in range(tile.vectors):
            top = _load(builder, scores, values[4], v * LANES)
            label = _load(builder, labels, values[4], v * LANES)
            for r in range(tile.rows):
                score = builder.extract_value(values[0], r * tile.vectors + v)
                wins = builder.fcmp_ordered(">", score, top)
                top = builder.select(wins, score, top)
                number = builder.fadd(first, ir.Constant(DOUBLE, float(r)))
                label = builder.select(wins, _spread(builder, number), label)
            _store(builder, top, scores, values[4], v * LANES)
            _store(builder, label, labels, values[4], v * LANES)
        return context.get_dummy_value()

    return types.void(tile, types.int64, scores, labels, types.int64), emit


@intrinsic
def total(typing: Any, tile: Any) -> Any:
    """Sum of all numbers in a tile: registers first, then lanes as a balanced tree."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = builder.extract_value(values[0], 0)
        for n in range(1, tile.size):
            vector = builder.fadd(vector, builder.extract_value(values[0], n))
        return _sum_of_lanes(builder, vector)

    return types.float64(tile), emit


@intrinsic
def turned_rows(
    typing: Any, rows: Any, listed: Any, i: Any, row_length: Any, d: Any, means: Any, m: Any
) -> Any:  # fmt: skip
    """Gather LANES listed rows, LANES features of each from d on, less their means, and transpose them.

    (LANES × 1) tile whose row r holds, in lane j, ``rows[listed[i + j] * row_length + d + r] - means[m + d + r]``.
    """
    tile = Tile(LANES, 1)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data, places, centres = (_data(context, builder, signature.args[n], values[n]) for n in (0, 1, 5))
        _, _, i, row_length, d, _, m = values
        centre = _load(builder, centres, builder.add(m, d))
        vectors = []
        for j in range(LANES):
            row = builder.load(builder.gep(places, [builder.add(i, ir.Constant(INT64, j))]))
            place = builder.add(builder.mul(row, row_length), d)
            vectors.append(builder.fsub(_load(builder, data, place), centre))
        return cgutils.pack_array(builder, _transposed(builder, vectors), VECTOR)

    whole = types.int64
    return tile(rows, listed, whole, whole, whole, means, whole), emit


def _transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """Transpose LANES vectors: halves, quarters, … change places, log₂ LANES times."""
    step = LANES // 2
    while step:
        low = [lane if not lane & step else LANES + lane - step for lane in range(LANES)]
        high = [lane + step if not lane & step else LANES + lane for lane in range(LANES)]
        for i in range(LANES):
            if not i & step:
                pair = vectors[i], vectors[i | step]
                for place, lanes in ((i, low), (i | step, high)):
                    mask = ir.Constant(ir.VectorType(INT32, LANES), lanes)
                    vectors[place] = builder.shuffle_vector(*pair, mask)
        step //= 2
    return vectors


@intrinsic
def above(typing: Any, tile: Any, threshold: Any) -> Any:
    """Bit mask of the lanes of a one-register tile that exceed `threshold`."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = builder.extract_value(values[0], 0)
        larger = builder.fcmp_ordered(">", vector, _spread(builder, values[1]))
        return builder.zext(builder.bitcast(larger, ir.IntType(LANES)), INT64)

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
        arrays = [_data(context, builder, signature.args[a], values[a]) for a in (0, 2, 5, 7)]
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
    slots = [cgutils.alloca_once(builder, VECTOR) for _ in entries]
    for e, slot in enumerate(slots):
        builder.store(_load(builder, sums, i, offset + e * LANES), slot)
    centres = [_scalar(builder, means, m, d) for d in range(last - 1)]
    with cgutils.for_range(builder, groups, intp=INT64) as loop:
        share_place = builder.add(j, builder.mul(loop.index, stride))
        place = builder.mul(loop.index, ir.Constant(INT64, (width - 1) * GROUP * LANES))
        for v in range(GROUP):
            share = _load(builder, shares, share_place, v * LANES)
            z = [_constant(1.0)]
            for d in range(last - 1):
                z.append(builder.fsub(_load(builder, x, place, (d * GROUP + v) * LANES), centres[d]))
            scaled = {r: share if r == 0 else builder.fmul(share, z[r]) for r in range(first, last)}
            for (r, c), slot in zip(entries, slots, strict=True):
                before = builder.load(slot)
                term = builder.fadd(before, scaled[r]) if c == 0 else _fma(builder, scaled[r], z[c], before)
                builder.store(term, slot)
    for e, slot in enumerate(slots):
        _store(builder, builder.load(slot), sums, i, offset + e * LANES)
