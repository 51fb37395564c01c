"""Every instruction on tiles compiled, against its twin. Whole numbers are exact, fused multiply-adds or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from instructions import COMPILED, REALS, ROUNDING, Array, assert_same, both, rng, uniform, whole
from numba import njit

from fastgmm.kernels import listed, products, twins, vector
from fastgmm.kernels.layout import lanes_of
from fastgmm.kernels.target import GROUP, LANES, LINE, PANEL


def padded(values: Any, real: Any = np.float64) -> Array:
    values = np.asarray(values, dtype=real)
    return np.resize(values, -(-len(values) // lanes_of(real)) * lanes_of(real))


def unary(name: str, real: Any = np.float64) -> Callable[[Array], Array]:
    instruction, load, store, lanes = getattr(vector, name), vector.load, vector.store, lanes_of(real)

    @njit
    def apply(a, result):
        for i in range(0, a.size, lanes):
            store(instruction(load(a, i, 0, 1, 1)), result, i, 0)

    def call(a: Array) -> Array:
        assert a.dtype == real
        result = np.empty_like(a)
        apply(a, result)
        return result

    return call


def ulps(found: Array, expected: Array) -> float:
    """Units in the last place of `found`'s kind of number."""
    spacing = np.spacing(np.abs(expected).astype(found.dtype)).astype(np.float64)
    return float(np.max(np.abs(found.astype(np.float64) - expected) / spacing))


def test_every_instruction_has_its_twin() -> None:
    instruction = type(vector.load)
    names = [
        n
        for module in (vector, products, listed)
        for n, value in vars(module).items()
        if isinstance(value, instruction)
    ]
    assert {"load", "add", "gram", "turned_rows", "above"} <= set(names)
    assert not [name for name in names if not callable(getattr(twins, name, None))]


# --- room ---


@pytest.mark.parametrize("real", [np.float64, np.float32, np.int32])
def test_room_begins_with_a_cache_line(real: Any) -> None:
    @njit
    def make(sizes):
        return [vector.room(size, real) for size in sizes]

    for array, size in zip(make(np.arange(1, 40, 3)), range(1, 40, 3), strict=True):
        assert (array.shape, array.dtype, array.ctypes.data % LINE) == ((size,), real, 0)
        array[:] = size
    assert twins.room(5, real).shape == (5,)
    assert twins.room(5, real).dtype == real


def test_room_that_there_is_not() -> None:
    @njit
    def make(size):
        return vector.room(size, np.float64)

    with pytest.raises(MemoryError, match="too large"):
        make(1 << 55)


# --- exp and log ---


@pytest.fixture(scope="module", params=[np.float64, np.float32], ids=["float64", "float32"])
def exp(request: pytest.FixtureRequest) -> tuple[Any, twins.Exp, Callable[[Array], Array]]:
    return (
        request.param,
        {np.float64: twins.EXP, np.float32: twins.EXP_SINGLE}[request.param],
        unary("exp", request.param),
    )


@pytest.fixture(scope="module")
def log() -> Callable[[Array], Array]:
    return unary("log")


Exp = tuple[Any, twins.Exp, Callable[[Array], Array]]


def test_exp_is_right_to_two_ulps(exp: Exp) -> None:
    real, how, call = exp
    pieces = np.linspace(how.smallest, 0, 300_000), -rng.uniform(0, 40, 300_000), -np.logspace(-44, 0, 999)
    x = padded(np.concatenate(pieces), real)
    assert ulps(call(x), np.exp(x.astype(np.float64))) <= 2


def test_exp_at_the_cuts_of_its_range_reduction(exp: Exp) -> None:
    real, how, call = exp
    cuts = -np.arange(0.5, -how.smallest / math.log(2) - 0.5, dtype=np.float64) * math.log(2)
    cuts = cuts.astype(real)
    x = padded(np.concatenate([np.nextafter(cuts, real(0)), cuts, np.nextafter(cuts, real(-np.inf))]), real)
    assert ulps(call(x), np.array([math.exp(value) for value in x])) <= 2


def test_exp_of_nothing_is_exactly_one(exp: Exp) -> None:
    real, _, call = exp
    np.testing.assert_array_equal(call(padded([0.0, -0.0], real)), 1.0)


def test_exp_flushes_to_zero(exp: Exp) -> None:
    real, how, call = exp
    low = real(how.smallest)
    beyond = [-np.inf, np.finfo(real).min, 2 * low, 1.02 * low, np.nextafter(low, real(-np.inf)), np.nan]
    x = padded(beyond, real)
    np.testing.assert_array_equal(call(x), 0.0)
    np.testing.assert_array_equal(twins.exp(x[~np.isnan(x)]), 0.0)
    last = math.exp(how.smallest)
    assert last > np.finfo(real).smallest_normal
    for found in (call(padded([low], real)), twins.exp(padded([low], real))):
        assert found[0] == pytest.approx(last, rel=4 * ROUNDING[real])


def test_exp_keeps_order(exp: Exp) -> None:
    real, _, call = exp
    x = padded(np.sort(-rng.uniform(0, 1, 100_000)), real)
    assert (np.diff(call(x[:100_000])) >= -np.spacing(real(1.0))).all()


def test_exp2_above_is_above_and_near() -> None:
    x = padded(np.linspace(-150.0, 140.0, 4001), np.float32)
    found, exact = unary("exp2_above", np.float32)(x), np.exp2(np.clip(x, -126.0, 127.0).astype(np.float64))
    np.testing.assert_array_equal(found, twins.exp2_above(x))
    assert (found >= exact * (1 - 2.0**-16)).all()
    assert (found <= exact * 1.0625).all()
    np.testing.assert_array_equal(
        unary("exp2_above", np.float32)(padded([-np.inf, 0.0, 3.0, np.inf], np.float32))[1:3], [1.0, 8.0]
    )


@pytest.mark.parametrize(("low", "high"), [(0, 6), (-300, 0), (-1e-3, 1e-3), (-12, 0)])
def test_log_is_right_to_two_ulps(log: Callable[[Array], Array], low: float, high: float) -> None:
    x = padded(10.0 ** np.linspace(low, high, 200_000))
    x[x == 1.0] = 2.0
    assert ulps(log(x), np.log(x)) <= 2


def test_log_next_to_one_and_at_the_cut_of_its_mantissa(log: Callable[[Array], Array]) -> None:
    cuts = np.array([1.0, math.sqrt(0.5), math.sqrt(2.0), 2.0, 0.5, 1e6])
    x = padded(np.concatenate([np.nextafter(cuts, 0), np.nextafter(cuts, np.inf)]))
    assert ulps(log(x), np.array([math.log(value) for value in x])) <= 2
    np.testing.assert_array_equal(log(padded([1.0])), 0.0)


def test_twin_of_exp(exp: Exp) -> None:
    real, how, call = exp
    x = padded(-rng.uniform(0, -how.smallest, 10_000), real)
    assert twins.exp(x).dtype == real
    np.testing.assert_allclose(call(x), twins.exp(x), rtol=5 * ROUNDING[real])


def test_twin_of_log(log: Callable[[Array], Array]) -> None:
    x = padded(rng.uniform(1, 700, 10_000))
    np.testing.assert_allclose(log(x), twins.log(x), rtol=5e-16)


@REALS
def test_sqrt_is_correctly_rounded(real: Any) -> None:
    x = padded(np.concatenate([[0.0, 1.0, 4.0, np.inf], 10.0 ** rng.uniform(-30, 30, 1000)]), real)
    np.testing.assert_array_equal(unary("sqrt", real)(x), np.sqrt(x))
    np.testing.assert_array_equal(twins.sqrt(x), np.sqrt(x))


# --- element by element ---


@REALS
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "larger", "smaller", "kept"])
def test_binary_instructions(name: str, real: Any) -> None:
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        instruction, load, store = getattr(source, name), source.load, source.store

        def kernel(a, b, result):
            for i in range(0, a.size, lanes):
                store(instruction(load(a, i, 0, 1, 1), load(b, i, 0, 1, 1)), result, i, 0)

        return kernel

    limits = np.finfo(real)
    special = padded([0, -0.0, 1, -1, np.inf, -np.inf, limits.max, limits.min, limits.tiny, 2.5, -7], real)
    pairs = np.stack(np.meshgrid(special, special)).reshape(2, -1)
    a, b = np.hstack([pairs, rng.standard_normal((2, 10 * lanes)).astype(real)])
    with np.errstate(all="ignore"):
        assert_same(make, a, b, np.empty_like(a))


@REALS
def test_comparisons_keep_the_second_beside_nan(real: Any) -> None:
    lanes = lanes_of(real)

    def kernel(a, b, result):
        vector.store(vector.smaller(vector.load(a, 0, 0, 1, 1), vector.load(b, 0, 0, 1, 1)), result, 0, 0)
        vector.store(vector.larger(vector.load(a, 0, 0, 1, 1), vector.load(b, 0, 0, 1, 1)), result, lanes, 0)

    result = np.empty(2 * lanes, dtype=real)
    njit(kernel)(np.full(lanes, np.nan, dtype=real), np.full(lanes, 3.0, dtype=real), result)
    np.testing.assert_array_equal(result, 3.0)


@REALS
def test_multiply_add(real: Any) -> None:
    def make(source: Any) -> Callable[..., None]:
        multiply_add, load, store = source.multiply_add, source.load, source.store

        def kernel(a, b, c, result):
            store(multiply_add(load(a, 0, 0, 1, 3), load(b, 0, 0, 1, 3), load(c, 0, 0, 1, 3)), result, 0, 0)

        return kernel

    size = 3 * lanes_of(real)
    assert_same(make, *[whole(size, real=real) for _ in range(3)], np.empty(size, dtype=real))


# --- memory ---


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, 3), (3, 2), (PANEL, GROUP)])
def test_load_and_store_with_strides(rows: int, vectors: int, real: Any) -> None:
    def make(source: Any) -> Callable[..., None]:
        load, store = source.load, source.store

        def kernel(a, b):
            store(load(a, 5, 31, rows, vectors), b, 3, 60)

        return kernel

    width = GROUP * lanes_of(real)
    source = whole(31 * rows + 5 + width, real=real)
    found = assert_same(make, source, np.full(60 * rows + 3 + width, -1, dtype=real))[-1]
    size = vectors * lanes_of(real)
    for r in range(rows):
        np.testing.assert_array_equal(found[3 + 60 * r :][:size], source[5 + 31 * r :][:size])


@REALS
def test_sizes_of_tiles_may_be_lengths_of_tuples(real: Any) -> None:
    three, two = (0, 0, 0), (0, 0)

    def make(source: Any) -> Callable[..., None]:
        load, store, zeros, add, spread = source.load, source.store, source.zeros, source.add, source.spread

        def kernel(a, value, b, rows, vectors):
            store(add(zeros(real, rows, vectors), load(a, 1, 40, rows, vectors)), b, 0, 40)
            store(spread(value, vectors), b, 120, 0)

        return kernel

    found = assert_same(make, whole(120, real=real), real(2.5), np.zeros(160, dtype=real), three, two)
    assert (found[3] != 0).sum() > 2 * lanes_of(real)


@REALS
def test_spread_and_zeros(real: Any) -> None:
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        spread, zeros, store = source.spread, source.zeros, source.store

        def kernel(value, b):
            store(spread(value, 2), b, 0, 0)
            store(zeros(real, 3, 1), b, 2 * lanes, lanes)

        return kernel

    found = assert_same(make, real(2.5), np.full(6 * lanes, -1, dtype=real))[-1]
    np.testing.assert_array_equal(found, np.repeat([2.5, 0.0, -1.0], [2 * lanes, 3 * lanes, lanes]))


def test_numbers_of_python_are_float64() -> None:
    def make(source: Any) -> Callable[..., None]:
        spread, store = source.spread, source.store

        def kernel(b):
            store(spread(0.1, 1), b, 0, 0)

        return kernel

    assert_same(make, np.zeros(LANES))


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (2, 3)])
def test_widen_keeps_the_order(rows: int, vectors: int, real: Any) -> None:
    width = vectors * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        load, store, widen = source.load, source.store, source.widen

        def kernel(a, b):
            store(widen(load(a, 1, width, rows, vectors)), b, 2, width + 1)

        return kernel

    source = uniform(1 + rows * width, real=real)
    found = assert_same(make, source, np.zeros(2 + rows * (width + 1)))[-1]
    np.testing.assert_array_equal(found[2 : 2 + width], source[1 : 1 + width].astype(np.float64))


@pytest.mark.parametrize(("rows", "vectors"), [(1, 2), (3, 4)])
def test_narrow_rounds_and_keeps_the_order(rows: int, vectors: int) -> None:
    width = vectors * LANES

    def make(source: Any) -> Callable[..., None]:
        load, store, narrow = source.load, source.store, source.narrow

        def kernel(a, b):
            store(narrow(load(a, 1, width, rows, vectors)), b, 2, width + 1)

        return kernel

    source = uniform(1 + rows * width)
    found = assert_same(make, source, np.zeros(2 + rows * (width + 1), dtype=np.float32))[-1]
    np.testing.assert_array_equal(found[2 : 2 + width], source[1 : 1 + width].astype(np.float32))


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (3, 2), (PANEL, GROUP)])
def test_accumulate_adds_in_float64(rows: int, vectors: int, real: Any) -> None:
    width = vectors * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        load, accumulate = source.load, source.accumulate

        def kernel(a, sums):
            accumulate(load(a, 0, width, rows, vectors), sums, 3, width + 5)

        return kernel

    sums = whole(3 + rows * (width + 5)) + 2.0**40  # beyond what float32 adds to
    found = assert_same(make, uniform(rows * width, real=real), sums)[-1]
    assert (found != sums).sum() == rows * width


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (3, 2), (PANEL, GROUP)])
def test_column_outer_and_squares(rows: int, vectors: int, real: Any) -> None:
    width = GROUP * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        column, outer, squares, load, store = source.column, source.outer, source.squares, source.load, source.store
        zeros = source.zeros

        def kernel(a, b, tiles, sums):
            tile = column(zeros(real, rows, vectors), a, 2)
            store(tile, tiles, 0, width)
            tile = outer(tile, a, 7, b, 1)
            store(tile, tiles, rows * width, width)
            store(squares(load(b, 0, 0, 1, vectors), tile), sums, 0, 0)

        return kernel

    tiles, sums = np.zeros(2 * rows * width, dtype=real), np.zeros(width, dtype=real)
    assert_same(make, whole(rows + 7, real=real), whole(width + 1, real=real), tiles, sums)


@REALS
def test_row_takes_one_of_a_tile(real: Any) -> None:
    width = 2 * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        load, row, store = source.load, source.row, source.store

        def kernel(a, b):
            store(row(load(a, 0, width, 3, 2), 1), b, 0, 0)

        return kernel

    tile = whole(3, width, real=real)
    found = assert_same(make, tile.ravel(), np.zeros(width, dtype=real))[-1]
    np.testing.assert_array_equal(found, tile[1])


@REALS
def test_prefetch_changes_nothing_wherever_it_points(real: Any) -> None:
    def make(source: Any) -> Callable[..., None]:
        prefetch = source.prefetch

        def kernel(a, i, count):
            prefetch(a, i, count)

        return kernel

    a = whole(40, real=real)
    for i, count in ((0, 40), (30, 1000), (1 << 50, 9), (-(1 << 50), 9), (0, 0)):
        np.testing.assert_array_equal(assert_same(make, a, i, count)[1], a)


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (3, 2), (PANEL // 2, GROUP)])
def test_folded_adds_the_vectors_of_a_row(rows: int, vectors: int, real: Any) -> None:
    lanes = lanes_of(real)
    width = vectors * lanes

    def make(source: Any) -> Callable[..., None]:
        load, store, folded = source.load, source.store, source.folded

        def kernel(a, b):
            store(folded(load(a, 0, width, rows, vectors)), b, 0, lanes)

        return kernel

    tile = whole(rows, width, real=real)
    found = assert_same(make, tile.ravel(), np.zeros(rows * lanes, dtype=real))[-1]
    np.testing.assert_array_equal(found.reshape(rows, lanes), tile.reshape(rows, vectors, lanes).sum(axis=1))


@REALS
def test_best_takes_the_lowest_of_equals(real: Any) -> None:
    width = GROUP * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        best, load = source.best, source.load

        def kernel(tiles, k, scores, labels):
            best(load(tiles, 0, width, PANEL, GROUP), k, scores, labels, 4)

        return kernel

    tiles = rng.integers(0, 3, (PANEL, width)).astype(real)
    scores, labels = np.full(width + 4, -np.inf, dtype=real), np.full(width + 4, -1, dtype=real)
    _, _, _, top, winners = assert_same(make, tiles.ravel(), 40, scores, labels)
    np.testing.assert_array_equal(winners[4:], 40 + tiles.argmax(axis=0))
    np.testing.assert_array_equal(top[4:], tiles.max(axis=0))
    standing = scores.copy()
    standing[4:] = tiles.max(axis=0)
    assert (assert_same(make, tiles.ravel(), 40, standing, labels)[-1] == -1.0).all()


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, GROUP), (PANEL, GROUP)])
def test_total_is_of_float64(rows: int, vectors: int, real: Any) -> None:
    width = vectors * lanes_of(real)

    def make(source: Any) -> Callable[..., float]:
        total, load = source.total, source.load

        def kernel(a):
            return total(load(a, 0, width, rows, vectors))

        return kernel

    assert_same(make, whole(rows * width, real=real))
    far = uniform(rows * width, real=real)
    far[-1] = 2.0**30
    found, _ = both(make, far)
    assert found[0] == pytest.approx(math.fsum(far), rel=1e-15)


def test_a_tile_has_the_numbers_of_its_array() -> None:
    load, multiply, store = COMPILED.load, COMPILED.multiply, COMPILED.store

    @njit
    def square(a, result):
        store(multiply(load(a, 0, 0, 1, 1), load(a, 0, 0, 1, 1)), result, 0, 0)

    for real in (np.float64, np.float32):
        a = uniform(2 * LANES, real=real)
        result = np.zeros(2 * LANES, dtype=real)
        square(a, result)
        np.testing.assert_array_equal(result[: lanes_of(real)], (a * a)[: lanes_of(real)])
