"""Every instruction compiled, against its twin. Whole numbers are exact with or without fused multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from fastgmm.kernels import twins, vector
from fastgmm.kernels.target import ACCUMULATORS, GROUP, LANES

Floats = NDArray[np.float64]

WIDTH = GROUP * LANES
rng = np.random.default_rng(0)


def whole(*shape: int) -> Floats:
    return rng.integers(-99, 100, shape).astype(np.float64)


def padded(values: Any) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    return np.resize(values, -(-len(values) // LANES) * LANES)


def both(make: Callable[[Any], Callable[..., Any]], *arguments: Any) -> tuple[list[Any], list[Any]]:
    """Run a kernel made of compiled instructions and of their twins; return what each left in its arguments."""
    outcomes = []
    for kernel in (njit(make(vector)), make(twins)):
        copies = [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
        outcomes.append([kernel(*copies), *copies])
    return outcomes[0], outcomes[1]


def assert_same(make: Callable[[Any], Callable[..., Any]], *arguments: Any) -> None:
    for found, expected in zip(*both(make, *arguments), strict=True):
        np.testing.assert_array_equal(found, expected)


def unary(name: str) -> Callable[[Floats], Floats]:
    instruction, load, store = getattr(vector, name), vector.load, vector.store

    @njit
    def apply(a, result):
        for i in range(0, a.size, LANES):
            store(instruction(load(a, i, 0, 1, 1)), result, i, 0)

    def call(a: Floats) -> Floats:
        result = np.empty_like(a)
        apply(a, result)
        return result

    return call


def ulps(found: Floats, expected: Floats) -> float:
    return float(np.max(np.abs(found - expected) / np.spacing(np.abs(expected))))


# --- exp and log ---


@pytest.fixture(scope="module")
def exp() -> Callable[[Floats], Floats]:
    return unary("exp")


@pytest.fixture(scope="module")
def log() -> Callable[[Floats], Floats]:
    return unary("log")


def test_exp_is_right_to_two_ulps(exp: Callable[[Floats], Floats]) -> None:
    x = padded(
        np.concatenate([np.linspace(-708, 0, 300_000), -rng.uniform(0, 40, 300_000), -np.logspace(-320, 0, 999)])
    )
    assert ulps(exp(x), np.exp(x)) <= 2


def test_exp_at_the_cuts_of_its_range_reduction(exp: Callable[[Floats], Floats]) -> None:
    cuts = -(np.arange(1021) + 0.5) * math.log(2)
    x = padded(np.concatenate([np.nextafter(cuts, 0), cuts, np.nextafter(cuts, -np.inf)]))
    assert ulps(exp(x), np.array([math.exp(value) for value in x])) <= 2


def test_exp_of_nothing_is_exactly_one(exp: Callable[[Floats], Floats]) -> None:
    np.testing.assert_array_equal(exp(padded([0.0, -0.0])), 1.0)


def test_exp_flushes_to_zero(exp: Callable[[Floats], Floats]) -> None:
    x = padded([-np.inf, -1e308, -745.0, -720.0, np.nextafter(-708.0, -np.inf), np.nan])
    np.testing.assert_array_equal(exp(x), 0.0)
    np.testing.assert_array_equal(twins.exp(x[~np.isnan(x)]), 0.0)
    assert exp(padded([-708.0]))[0] == pytest.approx(math.exp(-708.0), rel=1e-15)


def test_exp_keeps_order(exp: Callable[[Floats], Floats]) -> None:
    x = padded(np.sort(-rng.uniform(0, 1, 100_000)))
    assert (np.diff(exp(x[:100_000])) >= -np.spacing(1.0)).all()


@pytest.mark.parametrize(("low", "high"), [(0, 6), (-300, 0), (-1e-3, 1e-3), (-12, 0)])
def test_log_is_right_to_two_ulps(log: Callable[[Floats], Floats], low: float, high: float) -> None:
    x = padded(10.0 ** np.linspace(low, high, 200_000))
    x[x == 1.0] = 2.0
    assert ulps(log(x), np.log(x)) <= 2


def test_log_next_to_one_and_at_the_cut_of_its_mantissa(log: Callable[[Floats], Floats]) -> None:
    cuts = np.array([1.0, math.sqrt(0.5), math.sqrt(2.0), 2.0, 0.5, 1e6])
    x = padded(np.concatenate([np.nextafter(cuts, 0), np.nextafter(cuts, np.inf)]))
    assert ulps(log(x), np.array([math.log(value) for value in x])) <= 2
    np.testing.assert_array_equal(log(padded([1.0])), 0.0)


def test_twins_of_exp_and_log(exp: Callable[[Floats], Floats], log: Callable[[Floats], Floats]) -> None:
    x = padded(-rng.uniform(0, 700, 10_000))
    np.testing.assert_allclose(exp(x), twins.exp(x), rtol=5e-16)
    np.testing.assert_allclose(log(-x + 1), twins.log(-x + 1), rtol=5e-16)


# --- element by element ---

SPECIAL = padded([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, 1e300, -1e300, 5e-324, 2.5, -7.0])


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "larger", "smaller", "kept"])
def test_binary_instructions(name: str) -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        instruction, load, store = getattr(source, name), source.load, source.store

        def kernel(a, b, result):
            for i in range(0, a.size, LANES):
                store(instruction(load(a, i, 0, 1, 1), load(b, i, 0, 1, 1)), result, i, 0)

        return kernel

    pairs = np.stack(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1)
    a, b = np.hstack([pairs, rng.standard_normal((2, 10 * LANES))])
    with np.errstate(all="ignore"):
        assert_same(make, a, b, np.empty_like(a))


def test_comparisons_keep_the_second_beside_nan() -> None:
    def kernel(a, b, result):
        vector.store(vector.smaller(vector.load(a, 0, 0, 1, 1), vector.load(b, 0, 0, 1, 1)), result, 0, 0)
        vector.store(vector.larger(vector.load(a, 0, 0, 1, 1), vector.load(b, 0, 0, 1, 1)), result, LANES, 0)

    result = np.empty(2 * LANES)
    njit(kernel)(np.full(LANES, np.nan), np.full(LANES, 3.0), result)
    np.testing.assert_array_equal(result, 3.0)


def test_multiply_add() -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        multiply_add, load, store = source.multiply_add, source.load, source.store

        def kernel(a, b, c, result):
            store(multiply_add(load(a, 0, 0, 1, 3), load(b, 0, 0, 1, 3), load(c, 0, 0, 1, 3)), result, 0, 0)

        return kernel

    assert_same(make, whole(3 * LANES), whole(3 * LANES), whole(3 * LANES), np.empty(3 * LANES))


# --- memory ---


@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, 3), (3, 2), (LANES, GROUP)])
def test_load_and_store_with_strides(rows: int, vectors: int) -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        load, store = source.load, source.store

        def kernel(a, b):
            store(load(a, 5, 31, rows, vectors), b, 3, 40)

        return kernel

    assert_same(make, whole(31 * rows + 5 + WIDTH), np.full(40 * rows + 3 + WIDTH, -1.0))


def test_spread_and_zeros() -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        spread, zeros, store = source.spread, source.zeros, source.store

        def kernel(value, b):
            store(spread(value, 2), b, 0, 0)
            store(zeros(3, 1), b, 2 * LANES, LANES)

        return kernel

    assert_same(make, 2.5, np.full(6 * LANES, -1.0))


@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (3, 2), (LANES, GROUP)])
def test_column_outer_and_squares(rows: int, vectors: int) -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        column, outer, squares, load, store = source.column, source.outer, source.squares, source.load, source.store
        zeros = source.zeros

        def kernel(a, b, tiles, sums):
            tile = column(zeros(rows, vectors), a, 2)
            store(tile, tiles, 0, WIDTH)
            tile = outer(tile, a, 7, b, 1)
            store(tile, tiles, rows * WIDTH, WIDTH)
            store(squares(load(b, 0, 0, 1, vectors), tile), sums, 0, 0)

        return kernel

    assert_same(make, whole(rows + 7), whole(WIDTH + 1), np.zeros(2 * rows * WIDTH), np.zeros(WIDTH))


@pytest.mark.parametrize("rows", range(1, LANES + 1))
def test_triangle(rows: int) -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        triangle, load, store = source.triangle, source.load, source.store

        def kernel(a, b, tiles):
            store(triangle(load(tiles, 0, WIDTH, rows, GROUP), a, 1, b, 2, WIDTH + 1), tiles, 0, WIDTH)

        return kernel

    packed, b, tile = whole(1 + rows * (rows + 1) // 2), whole(2 + rows * (WIDTH + 1)), whole(rows, WIDTH)
    assert_same(make, packed, b, tile.ravel())
    matrix = np.zeros((rows, rows))
    matrix.T[np.triu_indices(rows)] = packed[1:]
    found = both(make, packed, b, tile.ravel())[0][-1].reshape(rows, WIDTH)
    vectors = np.array([b[2 + c * (WIDTH + 1) :][:WIDTH] for c in range(rows)])
    np.testing.assert_array_equal(found, tile + matrix @ vectors)


def test_outer_and_triangle_of_real_numbers() -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        triangle, outer, load, store = source.triangle, source.outer, source.load, source.store

        def kernel(a, b, tiles):
            tile = triangle(load(tiles, 0, WIDTH, LANES, GROUP), a, 0, b, 0, WIDTH)
            store(outer(tile, a, 0, b, 0), tiles, 0, WIDTH)

        return kernel

    arguments = rng.uniform(1, 2, LANES * LANES), rng.uniform(1, 2, LANES * WIDTH), rng.uniform(1, 2, LANES * WIDTH)
    found, expected = both(make, *arguments)
    np.testing.assert_allclose(found[-1], expected[-1], rtol=1e-15 * LANES)


# --- reductions and masks ---


def test_best_takes_the_lowest_of_equals() -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        best, load = source.best, source.load

        def kernel(tiles, k, scores, labels):
            best(load(tiles, 0, WIDTH, LANES, GROUP), k, scores, labels, 4)

        return kernel

    tiles = rng.integers(0, 3, (LANES, WIDTH)).astype(np.float64)
    scores, labels = np.full(WIDTH + 4, -np.inf), np.full(WIDTH + 4, -1.0)
    assert_same(make, tiles.ravel(), 40, scores, labels)
    _, _, _, top, winners = both(make, tiles.ravel(), 40, scores, labels)[0]
    np.testing.assert_array_equal(winners[4:], 40 + tiles.argmax(axis=0))
    np.testing.assert_array_equal(top[4:], tiles.max(axis=0))
    standing = scores.copy()
    standing[4:] = tiles.max(axis=0)
    assert (both(make, tiles.ravel(), 40, standing, labels)[0][-1] == -1.0).all()


@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, GROUP), (LANES, GROUP)])
def test_total(rows: int, vectors: int) -> None:
    def make(source: ModuleType) -> Callable[..., float]:
        total, load = source.total, source.load

        def kernel(a):
            return total(load(a, 0, vectors * LANES, rows, vectors))

        return kernel

    assert_same(make, whole(rows * vectors * LANES))
    a = rng.uniform(1, 2, rows * vectors * LANES)
    found, _ = both(make, a)
    assert found[0] == pytest.approx(math.fsum(a), rel=1e-15)


def test_masks_of_every_pattern() -> None:
    def make(source: ModuleType) -> Callable[..., int]:
        above, lowest, load = source.above, source.lowest, source.load

        def kernel(a, threshold, lanes):
            mask = above(load(a, 0, 0, 1, 1), threshold)
            lanes[0] = lowest(mask) if mask != 0 else -1
            return mask

        return kernel

    kernel = njit(make(vector))
    for pattern in range(1 << LANES):
        a = np.array([float(pattern >> lane & 1) for lane in range(LANES)])
        lane = np.empty(1, dtype=np.int64)
        assert kernel(a, 0.0, lane) == pattern
        assert lane[0] == (pattern & -pattern).bit_length() - 1
    assert_same(make, np.where(np.arange(LANES) == 1, np.nan, 2.0), 1.0, np.empty(1, dtype=np.int64))
    assert kernel(np.ones(LANES), 1.0, np.empty(1, dtype=np.int64)) == 0


@pytest.mark.parametrize("n_features", range(1, 9))
def test_gram(n_features: int) -> None:
    stride = 2 * GROUP * LANES

    def make(source: ModuleType) -> Callable[..., None]:
        gram = source.gram

        def kernel(sums, shares, x, means, n):
            gram(sums, 3, shares, 2, stride, x, n, means, 1, n_features)

        return kernel

    entries = (n_features + 1) * (n_features + 2) // 2
    arguments = whole(3 + entries * LANES), whole(2 + 5 * stride), whole(n_features * 5 * GROUP * LANES), whole(9)
    assert_same(make, *arguments, 4)
    assert_same(make, *arguments, 0)


@pytest.mark.parametrize("budget", [1, 4, 12, ACCUMULATORS, 24, 1000])
@pytest.mark.parametrize("width", range(1, 10))
def test_gram_rows_are_a_partition_within_the_budget(width: int, budget: int) -> None:
    runs = twins.gram_rows(width, budget)
    assert [row for first, last in runs for row in range(first, last)] == list(range(width))
    for first, last in runs:
        assert last == first + 1 or sum(range(first + 1, last + 1)) <= budget


def test_float32_arrays_are_widened_and_rounded() -> None:
    load, store = vector.load, vector.store

    @njit
    def copy(a, result):
        store(load(a, 1, LANES, 2, 1), result, 2, LANES)

    a = np.linspace(-1, 1, 2 * LANES + 2)
    for source, target in ((np.float32, np.float64), (np.float64, np.float32)):
        result = np.zeros(2 * LANES + 2, dtype=target)
        copy(a.astype(source), result)
        np.testing.assert_array_equal(result[2:], a.astype(source)[1:-1].astype(target))


def test_turned_rows() -> None:
    def make(source: ModuleType) -> Callable[..., None]:
        turned_rows, store = source.turned_rows, source.store

        def kernel(rows, listed, means, result):
            store(turned_rows(rows, listed, 1, 3 * LANES, LANES, means, 2), result, 0, LANES)

        return kernel

    listed = np.random.default_rng(0).integers(0, 5, LANES + 1)
    assert_same(make, whole(5 * 3 * LANES), listed, whole(2 * LANES + 2), np.empty(LANES * LANES))
