"""What the machine can do, measured with the kernels' own instructions: multiply-adds, and reads from memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

STEPS = 10_000_000
BYTES = 256 << 20
WIDEST = 16  # numbers of the widest register: how far apart rows of a tile lie in `out`, whatever their width
UNTOUCHED = -1.0


@cache
def kernels() -> tuple[Callable[..., None], Callable[..., None], int]:
    """Return `spin`, `read` and the registers of their tile; Numba compiles at the first call for a dtype."""
    import numba

    from fastgmm.kernels.target import ACCUMULATORS
    from fastgmm.kernels.vector import load, multiply_add, store

    def spin(numbers: Any, out: Any, steps: int) -> None:
        # With a stride of 0 all registers of a tile are one register, which leaves the others to the sums.
        factor = load(numbers, 0, 0, ACCUMULATORS, 1)
        term = load(numbers, WIDEST, 0, ACCUMULATORS, 1)
        tile = load(numbers, 2 * WIDEST, WIDEST, ACCUMULATORS, 1)
        for _ in range(steps):
            tile = multiply_add(tile, factor, term)
        store(tile, out, 0, WIDEST)

    def read(numbers: Any, ones: Any, out: Any, lanes: int) -> None:
        one = load(ones, 0, 0, ACCUMULATORS, 1)
        tile = load(ones, 0, WIDEST, ACCUMULATORS, 1)
        for i in range(0, numbers.size - lanes * ACCUMULATORS + 1, lanes * ACCUMULATORS):
            tile = multiply_add(load(numbers, i, lanes, ACCUMULATORS, 1), one, tile)
        store(tile, out, 0, WIDEST)

    compiled = numba.njit(nogil=True)
    return compiled(spin), compiled(read), ACCUMULATORS


def lanes(dtype: DTypeLike) -> int:
    """Return how many numbers a register holds: those that storing a tile of one changes."""
    spin, _, size = kernels()
    out = np.full(size * WIDEST, UNTOUCHED, dtype)
    spin(_numbers(dtype), out, 1)
    return int(np.count_nonzero(out != UNTOUCHED)) // size


def peak(threads: int, dtype: DTypeLike = np.float64, steps: int = STEPS) -> float:
    """Return multiplications and additions a second, in units of 10⁹, of that many threads together."""
    spin, _, size = kernels()
    flop = 2.0 * size * lanes(dtype) * steps * threads
    outs = [np.empty(size * WIDEST, dtype) for _ in range(threads)]
    return flop / _seconds([partial(spin, _numbers(dtype), out, steps) for out in outs]) / 1e9


def bandwidth(threads: int, size: int = BYTES) -> float:
    """Return bytes a second, in units of 10⁹, that are read from an array too large for caches."""
    _, read, registers = kernels()
    width = lanes(np.float64)
    numbers, ones = np.ones(size // 8), np.ones((registers + 2) * WIDEST)
    pieces = np.array_split(numbers, threads)
    outs = [np.empty(registers * WIDEST) for _ in pieces]
    read(numbers[: width * registers], ones, outs[0], width)  # compiled before it is timed
    calls = [partial(read, piece, ones, out, width) for piece, out in zip(pieces, outs, strict=True)]
    return numbers.nbytes / _seconds(calls) / 1e9


def _numbers(dtype: DTypeLike) -> NDArray[Any]:
    """Return a factor below 1, a term, and sums that differ: what is equal would be computed once for all."""
    size = kernels()[2]
    numbers = np.full((size + 2) * WIDEST, 0.5, dtype)
    numbers[2 * WIDEST :] += np.arange(size * WIDEST)
    return numbers


def _seconds(calls: Sequence[Callable[[], None]]) -> float:
    """Return the wall-clock time of calls that run at once."""
    if len(calls) == 1:
        began = time.perf_counter()
        calls[0]()
        return time.perf_counter() - began
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda _: None, calls))  # threads start before the clock
        began = time.perf_counter()
        for result in [pool.submit(call) for call in calls]:
            result.result()
        return time.perf_counter() - began
