"""Launching: how the machine code of one part of a kernel's work is run on Numba's threads.

A kernel is compiled once, for one part. The parallel variant is a loop over parts that calls this code by its address:
both variants are the same instructions, and what launches is compiled once for all kernels of one signature. The loop
itself takes numbers only, and is the same for all: with a kernel's arguments in it, each took 0.3 to 0.6 s to compile,
for 0.2 s. As one parallel function loop and kernel took 1.7 times the serial kernel's time, beside it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

WHOLE = ir.IntType(64)
CALL = ir.FunctionType(ir.VoidType(), [WHOLE] * 4)
"""Of a kernel's address, a part's number, the number of parts, and where the arguments are."""


@intrinsic
def call_part(typing: Any, address: Any, part: Any, parts: Any, arguments: Any) -> Any:
    """Call compiled code at an address as ``kernel(part, parts, *arguments)``; raise what it raises."""
    kinds = (types.int64, types.int64, *arguments.types)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention = context.call_conv
        function = convention.get_function_type(types.void, kinds)
        pointer = builder.inttoptr(values[0], function.as_pointer())
        given = [builder.extract_value(values[3], n) for n in range(len(arguments.types))]
        status, _ = convention.call_function(builder, pointer, types.void, kinds, [values[1], values[2], *given])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, arguments), emit


@intrinsic
def spilled(typing: Any, arguments: Any) -> Any:
    """Store a mark, 0, and arguments in the caller's frame; return where."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        frame = cgutils.pack_struct(builder, [WHOLE(0), values[0]])
        return builder.ptrtoint(cgutils.alloca_once_value(builder, frame), WHOLE)

    return types.int64(arguments), emit


@intrinsic
def caller(typing: Any, arguments: Any) -> Any:
    """Return the address of code that calls a kernel with `spilled` arguments of these types, as `call_with` has it.

    What a part raises on a thread is lost, so the mark before the arguments says that one did.
    """
    kinds = (types.int64, types.int64, *arguments.types)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention, module = context.call_conv, builder.module
        code = ir.Function(module, CALL, module.get_unique_name("caller"))
        code.linkage = "internal"
        inner = ir.IRBuilder(code.append_basic_block())
        address, part, parts, place = code.args
        pointer = inner.inttoptr(address, convention.get_function_type(types.void, kinds).as_pointer())
        frame = inner.inttoptr(place, ir.LiteralStructType([WHOLE, values[0].type]).as_pointer())
        given = inner.extract_value(inner.load(frame), 1)
        given = [inner.extract_value(given, n) for n in range(len(arguments.types))]
        status, _ = convention.call_function(inner, pointer, types.void, kinds, [part, parts, *given])
        with cgutils.if_unlikely(inner, status.is_error):
            inner.store(WHOLE(1), inner.inttoptr(place, WHOLE.as_pointer()))
        inner.ret_void()
        return builder.ptrtoint(code, WHOLE)

    return types.int64(arguments), emit


@intrinsic
def call_with(typing: Any, caller: Any, address: Any, part: Any, parts: Any, place: Any) -> Any:
    """Call one part of a kernel by what `caller` returned."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.call(builder.inttoptr(values[0], CALL.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), emit


@intrinsic
def marked(typing: Any, place: Any) -> Any:
    """Return the mark of `spilled` arguments."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.inttoptr(values[0], WHOLE.as_pointer()))

    return types.int64(types.int64), emit


def each(caller: int, address: int, parts: int, place: int) -> None:
    """Run all parts of a kernel's work, on as many threads as Numba is set to."""
    for part in prange(parts):
        call_with(caller, address, part, parts, place)


def launch(address: int, parts: int, arguments: tuple[Any, ...]) -> None:
    """Run all parts of a kernel's work, on as many threads as Numba is set to."""
    place = spilled(arguments)
    each(caller(arguments), address, parts, place)
    if marked(place):
        raise MemoryError("A thread could not allocate what a kernel works in.")  # kernels raise nothing else
