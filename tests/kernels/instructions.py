"""What tests of instructions share: run a text with compiled instructions and with their twins, and compare."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from fastgmm.kernels import listed, products, twins, vector

Array = NDArray[Any]
Make = Callable[[Any], Callable[..., Any]]

COMPILED = SimpleNamespace(**vars(vector) | vars(products) | vars(listed))

REALS = pytest.mark.parametrize("real", [np.float64, np.float32], ids=["float64", "float32"])

ROUNDING = {np.float64: 2.0**-53, np.float32: 2.0**-24}

rng = np.random.default_rng(0)


def whole(*shape: int, real: Any = np.float64) -> Array:
    """Whole numbers so small that what tests make of them is exact in float32, fused or not."""
    return rng.integers(-9, 10, shape).astype(real)


def uniform(*shape: int, real: Any = np.float64) -> Array:
    return rng.uniform(1, 2, shape).astype(real)


def copies(arguments: tuple[Any, ...]) -> list[Any]:
    return [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]


def both(make: Make, *arguments: Any) -> tuple[list[Any], list[Any]]:
    """Run a kernel made of compiled instructions and of their twins; return what each left in its arguments."""
    outcomes = []
    for kernel in (njit(make(COMPILED)), make(twins)):
        given = copies(arguments)
        outcomes.append([kernel(*given), *given])
    return outcomes[0], outcomes[1]


def assert_same(make: Make, *arguments: Any) -> list[Any]:
    """Both leave the same; return it."""
    found, expected = both(make, *arguments)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
    return found
