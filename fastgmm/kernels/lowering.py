"""Lowering: the LLVM IR that instructions on tiles are made of. Emits code; `vector` gives it names and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from fastgmm.kernels.target import HAS_FMA, LANES
from fastgmm.kernels.twins import (
    EXP_SERIES,
    LN2_HIGH,
    LN2_LOW,
    LOG2_E,
    LOG_SERIES,
    ROUNDER,
    SMALLEST_EXPONENT,
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


def count(size: Any) -> int:
    """Give a tile's rows or vectors: a literal, or the length of a tuple, by which one text serves several widths."""
    return size.count if isinstance(size, types.UniTuple) else size.literal_value


def constant(value: float) -> ir.Constant:
    """Give a vector of one number."""
    return ir.Constant(VECTOR, [value] * LANES)


def integers(value: int) -> ir.Constant:
    """Give a vector of one integer."""
    return ir.Constant(INTEGERS, [value] * LANES)


def data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Give the pointer to a NumPy array's first number."""
    return context.make_array(array_type)(context, builder, array).data


def address(builder: Any, data: Any, index: Any, offset: int = 0) -> Any:
    """Give the address of a vector in an array, by number of element."""
    place = builder.gep(data, [builder.add(index, ir.Constant(INT64, offset))])
    return builder.bitcast(place, (SINGLES if data.type.pointee == SINGLE else VECTOR).as_pointer())


def load(builder: Any, data: Any, index: Any, offset: int = 0) -> Any:
    """Load float64 lanes, from float32 if the array is of those."""
    vector = builder.load(address(builder, data, index, offset))
    vector.align = 4 if data.type.pointee == SINGLE else 8
    return builder.fpext(vector, VECTOR) if data.type.pointee == SINGLE else vector


def store(builder: Any, vector: Any, data: Any, index: Any, offset: int = 0) -> None:
    """Store float64 lanes, rounded to float32 if the array is of those."""
    single = data.type.pointee == SINGLE
    value = builder.fptrunc(vector, SINGLES) if single else vector
    builder.store(value, address(builder, data, index, offset)).align = 4 if single else 8


def spread(builder: Any, scalar: Any) -> Any:
    """Put one number into every lane."""
    nothing = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(INT32, LANES), [0] * LANES))


def scalar(builder: Any, data: Any, index: Any, offset: int = 0) -> Any:
    """Load one number into every lane."""
    return spread(builder, builder.load(builder.gep(data, [builder.add(index, ir.Constant(INT64, offset))])))


def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Multiply and add: rounded once where the processor can, twice where it cannot."""
    if not HAS_FMA:
        return builder.fadd(builder.fmul(a, b), c)
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f64"), [a, b, c])


def larger(builder: Any, a: Any, b: Any) -> Any:
    """Take the larger of each lane, b of equals."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def smaller(builder: Any, a: Any, b: Any) -> Any:
    """Take the smaller of each lane, b of equals."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def kept(builder: Any, value: Any, floor: Any) -> Any:
    """Keep lanes above the floor, 0 for the others."""
    return builder.select(builder.fcmp_ordered(">", value, floor), value, constant(0.0))


def horner(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    """Evaluate a polynomial, from the coefficient of the highest power."""
    value = constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = fma(builder, value, x, constant(coefficient))
    return value


def exp(builder: Any, x: Any) -> Any:
    """Compute exp as Cody and Waite do: x = n log 2 + r, a series in r, n into the exponent. Within 2 ulp."""
    rounded = fma(builder, larger(builder, x, constant(SMALLEST_EXPONENT)), constant(LOG2_E), constant(ROUNDER))
    n = builder.fsub(rounded, constant(ROUNDER))
    r = fma(builder, n, constant(-LN2_HIGH), larger(builder, x, constant(SMALLEST_EXPONENT)))
    r = fma(builder, n, constant(-LN2_LOW), r)
    series = horner(builder, r, EXP_SERIES)
    # 2**n · series: n sits in the low bits of `rounded`, the exponent field of `series` takes it by integer addition.
    exponent = builder.shl(builder.bitcast(rounded, INTEGERS), integers(52))
    scaled = builder.bitcast(builder.add(builder.bitcast(series, INTEGERS), exponent), VECTOR)
    return builder.select(builder.fcmp_ordered(">=", x, constant(SMALLEST_EXPONENT)), scaled, constant(0.0))


def log(builder: Any, x: Any) -> Any:
    """Compute log as fdlibm does: exponent and mantissa apart, a series in f / (2 + f). Within 2 ulp."""
    bits = builder.bitcast(x, INTEGERS)
    # Shift by 2**-0.5's pattern so that the mantissa lands in [sqrt(1/2), sqrt(2)).
    shifted = builder.add(bits, integers(0x3FF0000000000000 - 0x3FE6A09E667F3BCD))
    exponent = builder.sub(builder.ashr(shifted, integers(52)), integers(1023))
    mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, integers(52))), VECTOR)
    k = builder.sitofp(exponent, VECTOR)
    f = builder.fsub(mantissa, constant(1.0))
    s = builder.fdiv(f, builder.fadd(f, constant(2.0)))
    z = builder.fmul(s, s)
    tail = builder.fmul(z, horner(builder, z, LOG_SERIES))
    half = builder.fmul(builder.fmul(f, f), constant(0.5))
    low = fma(builder, s, builder.fadd(half, tail), builder.fmul(k, constant(LN2_LOW)))
    return fma(builder, k, constant(LN2_HIGH), builder.fsub(f, builder.fsub(half, low)))


def sqrt(builder: Any, x: Any) -> Any:
    """Compute the square root, correctly rounded."""
    kind = ir.FunctionType(VECTOR, [VECTOR])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64"), [x])


def sum_of_lanes(builder: Any, vector: Any) -> Any:
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


def mapped(builder: Any, tile: Tile, operation: Callable[..., Any], *values: Any) -> Any:
    """Apply `operation` register by register."""
    result = ir.Constant(ir.ArrayType(VECTOR, tile.size), ir.Undefined)
    for n in range(tile.size):
        parts = [builder.extract_value(value, n) for value in values]
        result = builder.insert_value(result, operation(builder, *parts), n)
    return result


def transposed(builder: Any, vectors: list[Any]) -> list[Any]:
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


def add_products(builder: Any, tile: Tile, result: Any, r: int, factor: Any, vectors: list[Any]) -> Any:
    """Add `factor` · `vectors` to row r of a tile's value."""
    for v, vector in enumerate(vectors):
        n = r * tile.vectors + v
        result = builder.insert_value(result, fma(builder, factor, vector, builder.extract_value(result, n)), n)
    return result
