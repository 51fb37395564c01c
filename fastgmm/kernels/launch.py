"""Launching: how the machine code of one part of a kernel's work is run on Numba's threads.

A kernel is compiled once, for one part. The parallel variant is a loop over parts that calls this code by its address:
both variants are the same instructions, and the loop is compiled once for all kernels of one signature. Before, loop
and kernel were one parallel function, and took 1.7 times the serial kernel's time to compile, beside it.
"""

from __future__ import annotations

from typing import Any

from numba import prange, types
from numba.extending import intrinsic


@intrinsic
def call_part(typing: Any, address: Any, part: Any, parts: Any, arguments: Any) -> Any:
    """Call compiled code at an address as ``kernel(part, parts, *arguments)``."""
    kinds = (types.int64, types.int64, *arguments.types)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention = context.call_conv
        function = convention.get_function_type(types.void, kinds)
        pointer = builder.inttoptr(values[0], function.as_pointer())
        given = [builder.extract_value(values[3], n) for n in range(len(arguments.types))]
        convention.call_function(builder, pointer, types.void, kinds, [values[1], values[2], *given])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, arguments), emit


def launch(address: int, parts: int, arguments: tuple[Any, ...]) -> None:
    """Run all parts of a kernel's work, on as many threads as Numba is set to."""
    for part in prange(parts):
        call_part(address, part, parts, arguments)
