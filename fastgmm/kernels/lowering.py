"""Lowering: the LLVM IR that instructions on tiles are made of. Emits code; `vector` gives it names and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model
from numba.np.arrayobj import populate_array

from fastgmm.kernels import twins
from fastgmm.kernels.target import HAS_COMPRESS, HAS_FMA, LANES, LINE, PANEL

DOUBLE, SINGLE = ir.DoubleType(), ir.FloatType()
INT64, INT32 = ir.IntType(64), ir.IntType(32)
LANES_OF = {DOUBLE: LANES, SINGLE: 2 * LANES}
BYTES_OF = {DOUBLE: 8, SINGLE: 4, INT32: 4}
EXP_OF = {DOUBLE: twins.EXP, SINGLE: twins.EXP_SINGLE}


def vector_of(number: Any) -> ir.VectorType:
    """Give the type of a register of DOUBLE or SINGLE."""
    return ir.VectorType(number, LANES_OF[number])


class Tile(types.Type):
    """Numba's type of a tile: ``rows × vectors`` registers of float64 or float32."""

    def __init__(self, real: Any, rows: int, vectors: int) -> None:
        self.real, self.rows, self.vectors, self.size = real, rows, vectors, rows * vectors
        self.number = DOUBLE if real == types.float64 else SINGLE
        self.lanes, self.vector = LANES_OF[self.number], vector_of(self.number)
        super().__init__(name=f"Tile({real}, {rows}, {vectors}, {self.lanes})")

    def shaped(self, rows: int, vectors: int) -> Tile:
        """Give a tile of the same numbers."""
        return Tile(self.real, rows, vectors)


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    """An LLVM array of vectors: SROA takes it apart into registers."""

    def __init__(self, manager: Any, tile: Tile) -> None:
        super().__init__(manager, tile, ir.ArrayType(tile.vector, tile.size))


def count(size: Any) -> int:
    """Give a tile's rows or vectors: a literal, or the length of a tuple, by which one text serves several widths."""
    return size.count if isinstance(size, types.UniTuple) else size.literal_value


def constant(vector: Any, value: float) -> ir.Constant:
    """Give a vector of one number, for a vector type."""
    return ir.Constant(vector, [value] * vector.count)


def integers(vector: Any) -> ir.VectorType:
    """Give the vector of whole numbers as wide as one of numbers."""
    return ir.VectorType(ir.IntType(8 * BYTES_OF[vector.element]), vector.count)


def allocated(context: Any, builder: Any, array_type: Any, size: Any) -> Any:
    """Allocate an array (size,) that begins with a cache line, or raise a MemoryError.

    To compile `np.empty` takes 0.1 s.
    """
    width = ir.Constant(INT64, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
    owner = context.nrt.meminfo_alloc_aligned(builder, builder.mul(size, width), ir.Constant(INT32, LINE))
    array = context.make_array(array_type)(context, builder)
    first = builder.bitcast(context.nrt.meminfo_data(builder, owner), array.data.type)
    populate_array(array, data=first, shape=[size], strides=[width], itemsize=width, meminfo=owner)
    return array._getvalue()


def data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Give the pointer to a NumPy array's first number."""
    return context.make_array(array_type)(context, builder, array).data


def address(builder: Any, data: Any, index: Any, offset: int = 0, lanes: int = 0) -> Any:
    """Give the address of a vector in an array, by number of element; `lanes` if not a register's."""
    place = builder.gep(data, [builder.add(index, ir.Constant(INT64, offset))])
    number = data.type.pointee
    return builder.bitcast(place, ir.VectorType(number, lanes or LANES_OF[number]).as_pointer())


def load(builder: Any, data: Any, index: Any, offset: int = 0, lanes: int = 0) -> Any:
    """Load the lanes of a register, or as many as are asked for."""
    vector = builder.load(address(builder, data, index, offset, lanes))
    vector.align = BYTES_OF[data.type.pointee]
    return vector


def store(builder: Any, vector: Any, data: Any, index: Any, offset: int = 0) -> None:
    """Store lanes of the array's numbers."""
    where = address(builder, data, index, offset, vector.type.count)
    builder.store(vector, where).align = BYTES_OF[data.type.pointee]


def add_to(builder: Any, vector: Any, data: Any, index: Any, offset: int = 0) -> None:
    """Add lanes to float64 numbers in an array, widening them before."""
    wide = ir.VectorType(DOUBLE, vector.type.count)
    value = vector if vector.type == wide else builder.fpext(vector, wide)
    before = load(builder, data, index, offset, wide.count)
    store(builder, builder.fadd(before, value), data, index, offset)


def prefetch(builder: Any, place: Any) -> None:
    """Ask for the cache line of an address, for reading, in all caches."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
    builder.call(function, [builder.bitcast(place, byte), *(ir.Constant(INT32, n) for n in (0, 3, 1))])


def spread(builder: Any, scalar: Any, lanes: int = 0) -> Any:
    """Put one number into every lane of a register, or into as many as are asked for."""
    vector = ir.VectorType(scalar.type, lanes or LANES_OF[scalar.type])
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, nothing, lanes_mask([0] * vector.count))


def scalar(builder: Any, data: Any, index: Any, offset: int = 0, lanes: int = 0) -> Any:
    """Load one number into every lane."""
    number = builder.load(builder.gep(data, [builder.add(index, ir.Constant(INT64, offset))]))
    return spread(builder, number, lanes)


def lanes_mask(lanes: list[int]) -> ir.Constant:
    """Give the mask of a shuffle."""
    return ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)


def intrinsic(builder: Any, name: str, *values: Any) -> Any:
    """Call an LLVM intrinsic whose arguments and result are vectors of one type."""
    vector = values[0].type
    full = f"llvm.{name}.v{vector.count}f{8 * BYTES_OF[vector.element]}"
    kind = ir.FunctionType(vector, [vector] * len(values))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), list(values))


def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Multiply and add: rounded once where the processor can, twice where it cannot."""
    if not HAS_FMA:
        return builder.fadd(builder.fmul(a, b), c)
    return intrinsic(builder, "fma", a, b, c)


def larger(builder: Any, a: Any, b: Any) -> Any:
    """Take the larger of each lane, b of equals."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def smaller(builder: Any, a: Any, b: Any) -> Any:
    """Take the smaller of each lane, b of equals."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def kept(builder: Any, value: Any, floor: Any) -> Any:
    """Keep lanes above the floor, 0 for the others."""
    return builder.select(builder.fcmp_ordered(">", value, floor), value, constant(value.type, 0.0))


def exp2_above(builder: Any, x: Any) -> Any:
    """Take 2ˣ of float32 lanes, or up to 1.062 times that: between powers of two a line. x is cut to −126 … 127."""
    x = smaller(builder, larger(builder, x, constant(x.type, -126.0)), constant(x.type, 127.0))
    unit = 2.0**23
    number = fma(builder, x, constant(x.type, unit), constant(x.type, 127 * unit))
    whole = builder.fptosi(number, ir.VectorType(INT32, x.type.count))
    return builder.bitcast(whole, x.type)


def horner(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    """Evaluate a polynomial, from the coefficient of the highest power."""
    value = constant(x.type, coefficients[0])
    for coefficient in coefficients[1:]:
        value = fma(builder, value, x, constant(x.type, coefficient))
    return value


def exp(builder: Any, x: Any) -> Any:
    """Compute exp as Cody and Waite do: x = n log 2 + r, a polynomial in r, n into the exponent. Within 2 ulp."""
    how, whole = EXP_OF[x.type.element], integers(x.type)

    def number(value: float) -> Any:
        return constant(x.type, value)

    low = number(how.smallest)
    rounded = fma(builder, larger(builder, x, low), number(twins.LOG2_E), number(how.rounder))
    n = builder.fsub(rounded, number(how.rounder))
    r = fma(builder, n, number(-how.log2_high), larger(builder, x, low))
    r = fma(builder, n, number(-how.log2_low), r)
    series = horner(builder, r, how.series)
    # 2**n · series: n sits in the low bits of `rounded`, the exponent field of `series` takes it by integer addition.
    exponent = builder.shl(builder.bitcast(rounded, whole), ir.Constant(whole, [how.mantissa_bits] * whole.count))
    scaled = builder.bitcast(builder.add(builder.bitcast(series, whole), exponent), x.type)
    return builder.select(builder.fcmp_ordered(">=", x, low), scaled, number(0.0))


def log(builder: Any, x: Any) -> Any:
    """Compute log as fdlibm does: exponent and mantissa apart, a series in f / (2 + f). Within 2 ulp; float64 only."""
    whole = integers(x.type)

    def number(value: float) -> Any:
        return constant(x.type, value)

    def integer(value: int) -> Any:
        return ir.Constant(whole, [value] * whole.count)

    bits = builder.bitcast(x, whole)
    # Shift by 2**-0.5's pattern so that the mantissa lands in [sqrt(1/2), sqrt(2)).
    shifted = builder.add(bits, integer(0x3FF0000000000000 - 0x3FE6A09E667F3BCD))
    exponent = builder.sub(builder.ashr(shifted, integer(52)), integer(1023))
    mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, integer(52))), x.type)
    k = builder.sitofp(exponent, x.type)
    f = builder.fsub(mantissa, number(1.0))
    s = builder.fdiv(f, builder.fadd(f, number(2.0)))
    z = builder.fmul(s, s)
    tail = builder.fmul(z, horner(builder, z, twins.LOG_SERIES))
    half = builder.fmul(builder.fmul(f, f), number(0.5))
    low = fma(builder, s, builder.fadd(half, tail), builder.fmul(k, number(twins.LN2_LOW)))
    return fma(builder, k, number(twins.LN2_HIGH), builder.fsub(f, builder.fsub(half, low)))


def sqrt(builder: Any, x: Any) -> Any:
    """Compute the square root, correctly rounded."""
    return intrinsic(builder, "sqrt", x)


def rotated(builder: Any, vector: Any, by: int) -> Any:
    """Turn a vector: lane l takes lane l + by."""
    lanes = vector.type.count
    mask = lanes_mask([(lane + by) % lanes for lane in range(lanes)])
    return builder.shuffle_vector(vector, vector, mask) if by else vector


def part_of(builder: Any, vector: Any, first: int, size: int) -> Any:
    """Give some neighbouring lanes of a vector."""
    return builder.shuffle_vector(
        vector, ir.Constant(vector.type, ir.Undefined), lanes_mask(list(range(first, first + size)))
    )


def widened(builder: Any, vector: Any) -> list[Any]:
    """Give a vector's lanes as registers of float64."""
    if vector.type.element == DOUBLE:
        return [vector]
    wide = vector_of(DOUBLE)
    halves = [part_of(builder, vector, first, wide.count) for first in (0, wide.count)]
    return [builder.fpext(half, wide) for half in halves]


def places(builder: Any, data: Any, listed: Any, i: Any, lanes: int) -> list[Any]:
    """Give the addresses of ``data[listed[i + j]]``."""
    numbers = [builder.load(builder.gep(listed, [builder.add(i, ir.Constant(INT64, j))])) for j in range(lanes)]
    return [builder.gep(data, [builder.sext(number, INT64)]) for number in numbers]


def gather(builder: Any, vector: Any, places: list[Any]) -> Any:
    """Load a vector of a type from one address for each lane."""
    result = ir.Constant(vector, ir.Undefined)
    for j, place in enumerate(places):
        result = builder.insert_element(result, builder.load(place), ir.Constant(INT32, j))
    return result


def scatter(builder: Any, vector: Any, places: list[Any]) -> None:
    """Store each lane to its address, in order."""
    for j, place in enumerate(places):
        builder.store(builder.extract_element(vector, ir.Constant(INT32, j)), place)


def pack(builder: Any, vector: Any, mask: Any, data: Any, index: Any) -> None:
    """Store the lanes that a mask of bits chooses one behind the other, and up to a whole vector anything."""
    lanes = vector.type.count
    if not HAS_COMPRESS:
        one = ir.Constant(INT64, 1)
        for lane in range(lanes):
            number = builder.extract_element(vector, ir.Constant(INT32, lane))
            builder.store(number, builder.gep(data, [index]))
            index = builder.add(index, builder.and_(builder.lshr(mask, ir.Constant(INT64, lane)), one))
        return
    bits = ir.VectorType(ir.IntType(1), lanes)
    chosen = builder.bitcast(builder.trunc(mask, ir.IntType(lanes)), bits)
    letter = "i" if vector.type.element == INT32 else "f"
    name = f"llvm.x86.avx512.mask.compress.v{lanes}{letter}{8 * BYTES_OF[vector.type.element]}"
    kind = ir.FunctionType(vector.type, [vector.type, vector.type, bits])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    store(builder, builder.call(function, [vector, vector, chosen]), data, index)


def sum_of_lanes(builder: Any, vector: Any) -> Any:
    """Add the lanes as a balanced tree: halves onto each other."""
    width = vector.type.count
    while width > 1:
        width //= 2
        vector = builder.fadd(*(part_of(builder, vector, start, width) for start in (0, width)))
    return builder.extract_element(vector, ir.Constant(INT32, 0))


def mapped(builder: Any, tile: Tile, operation: Callable[..., Any], *values: Any) -> Any:
    """Apply `operation` register by register."""
    result = ir.Constant(ir.ArrayType(tile.vector, tile.size), ir.Undefined)
    for n in range(tile.size):
        parts = [builder.extract_value(value, n) for value in values]
        result = builder.insert_value(result, operation(builder, *parts), n)
    return result


def transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """Transpose PANEL vectors, each PANEL lanes by themselves: halves, quarters, … change places, log₂ PANEL times."""
    lanes = range(vectors[0].type.count)
    size = len(lanes)
    step = PANEL // 2
    while step:
        low = [lane if not lane & step else size + lane - step for lane in lanes]
        high = [lane + step if not lane & step else size + lane for lane in lanes]
        for i in range(PANEL):
            if not i & step:
                pair = vectors[i], vectors[i | step]
                for place, mask in ((i, low), (i | step, high)):
                    vectors[place] = builder.shuffle_vector(*pair, lanes_mask(mask))
        step //= 2
    return vectors


def add_products(builder: Any, tile: Tile, result: Any, r: int, factor: Any, vectors: list[Any]) -> Any:
    """Add `factor` · `vectors` to row r of a tile's value."""
    for v, vector in enumerate(vectors):
        n = r * tile.vectors + v
        result = builder.insert_value(result, fma(builder, factor, vector, builder.extract_value(result, n)), n)
    return result
