"""Launching: what goes wrong in a kernel that is called by its address is told."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from fastgmm.kernels import compile as compiler
from fastgmm.kernels.launch import call_part
from fastgmm.kernels.strips import scratch

NUMBERS = numba.float64[::1]


def fill(t, parts, size, result):
    room = scratch(size, np.float64)
    for i in range(t, result.shape[0], parts):
        room[0] = i
        result[i] = room[0]


def through(t, parts, address, size, result):
    call_part(address, 0, 1, (size, result))


@pytest.mark.parametrize("mode", ["serial", "parallel"])
def test_memory_that_is_not_there_is_told(mode: str) -> None:
    kernel = compiler.build(fill, (numba.int64, NUMBERS), {}, mode)
    result = np.zeros(5)
    kernel(3, 1, result)
    np.testing.assert_array_equal(result, np.arange(5))
    with pytest.raises(MemoryError):
        kernel(3, 1 << 60, result)


def test_memory_that_is_not_there_is_told_through_an_address() -> None:
    address = compiler.build(fill, (numba.int64, NUMBERS), {}, "serial").address
    kernel = compiler.build(through, (numba.int64, numba.int64, NUMBERS), {}, "serial")
    result = np.zeros(5)
    kernel(1, address, 1, result)
    np.testing.assert_array_equal(result, np.arange(5))
    with pytest.raises(MemoryError):
        kernel(1, address, 1 << 60, result)
