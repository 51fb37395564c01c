"""Every instruction on rows and lists compiled, against its twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from instructions import COMPILED, REALS, Array, assert_same, both, copies, rng, uniform, whole
from numba import njit
from numpy.typing import NDArray

from fastgmm.kernels import twins
from fastgmm.kernels.layout import lanes_of
from fastgmm.kernels.target import PANEL

NUMBERS = pytest.mark.parametrize(
    ("real", "dtype"),
    [(np.float64, np.float64), (np.float64, np.float32), (np.float32, np.float32)],
    ids=["float64", "float64 of float32", "float32"],
)
"""What is computed with, and what is read."""


def places(n_rows: int, size: int) -> NDArray[np.int32]:
    return rng.integers(0, n_rows, size).astype(np.int32)


def patterns(lanes: int) -> NDArray[np.int64]:
    """All masks of 8 lanes, or many."""
    if lanes <= 8:
        return np.arange(1 << lanes)
    some = [0, (1 << lanes) - 1, *(1 << np.arange(lanes)), *((1 << lanes) - 1 - (1 << np.arange(lanes)))]
    return np.concatenate([some, rng.integers(0, 1 << lanes, 500)]).astype(np.int64)


def lanes_in(mask: int, lanes: int) -> list[int]:
    return [lane for lane in range(lanes) if mask >> lane & 1]


# --- rows ---


@NUMBERS
@pytest.mark.parametrize("two_dimensional", [False, True])
def test_turned_rows(two_dimensional: bool, real: Any, dtype: Any) -> None:
    lanes, length = lanes_of(real), 2 * PANEL + 3

    def make(source: Any) -> Callable[..., None]:
        turned_rows, store = source.turned_rows, source.store

        def kernel(rows, listed, result):
            store(turned_rows(real, rows, listed, 1, length, 2), result, 0, lanes)

        return kernel

    rows, listed = uniform(7, length, real=dtype), places(7, lanes + 1)
    result = np.empty(PANEL * lanes, dtype=real)
    found = assert_same(make, rows if two_dimensional else rows.ravel(), listed, result)[-1]
    np.testing.assert_array_equal(found.reshape(PANEL, lanes), rows[listed[1:], 2 : 2 + PANEL].T)


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (PANEL, 1), (2, 3)])
def test_standardise_rounds_once(rows: int, vectors: int, real: Any) -> None:
    width = vectors * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        standardise, load, store = source.standardise, source.load, source.store

        def kernel(a, centre, scale):
            store(standardise(load(a, 0, width, rows, vectors), centre, scale, 2), a, 0, width)

        return kernel

    a, centre, scale = uniform(rows, width, real=real), uniform(2 + rows), uniform(2 + rows)
    found = assert_same(make, a.ravel(), centre, scale)[1].reshape(rows, width)
    expected = (a.astype(np.float64) - centre[2:, None]) * scale[2:, None]
    np.testing.assert_array_equal(found, expected.astype(real))


@NUMBERS
def test_take_panel_rounds_once(real: Any, dtype: Any) -> None:
    def make(source: Any) -> Callable[..., None]:
        take_panel = source.take_panel

        def kernel(X, centre, scale, rows):
            take_panel(X, 5, centre, scale, 1, rows, 3)

        return kernel

    X, centre, scale = uniform(3, PANEL, real=dtype), uniform(PANEL + 1), uniform(PANEL + 1)
    found = assert_same(make, X, centre, scale, np.zeros(PANEL + 6, dtype=real))[-1]
    expected = (X.ravel()[5 : 5 + PANEL].astype(np.float64) - centre[1:]) * scale[1:]
    np.testing.assert_array_equal(found, np.concatenate([np.zeros(3), expected.astype(real), np.zeros(3)]))


@REALS
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_listed_row(vectors: int, real: Any) -> None:
    width = vectors * lanes_of(real)
    length = width + 5

    def make(source: Any) -> Callable[..., None]:
        listed_row, store = source.listed_row, source.store

        def kernel(rows, listed, result):
            for i in range(listed.size):
                store(listed_row(rows, listed, i, length, 4, vectors), result, i * width, 0)

        return kernel

    rows, listed = uniform(6, length, real=real), places(6, 9)
    found = assert_same(make, rows.ravel(), listed, np.empty(9 * width, dtype=real))[-1]
    np.testing.assert_array_equal(found.reshape(9, width), rows[listed, 4 : 4 + width])


# --- lists ---


@REALS
def test_gathered(real: Any) -> None:
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        gathered, store = source.gathered, source.store

        def kernel(array, listed, result):
            store(gathered(array, listed, 2), result, 0, 0)

        return kernel

    array, listed = uniform(100, real=real), places(100, lanes + 2)
    found = assert_same(make, array, listed, np.empty(lanes, dtype=real))[-1]
    np.testing.assert_array_equal(found, array[listed[2:]])


@pytest.mark.parametrize(
    ("real", "target"), [(np.float64, np.float64), (np.float64, np.float32), (np.float32, np.float32)]
)
@pytest.mark.parametrize("vectors", [1, 2])
def test_scatter_stores_in_order(vectors: int, real: Any, target: Any) -> None:
    width = vectors * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        scatter, load = source.scatter, source.load

        def kernel(a, array, listed):
            scatter(load(a, 0, 0, 1, vectors), array, listed, 1)

        return kernel

    a, array = uniform(width, real=real), np.zeros(width, dtype=target)
    listed = places(width // 2, width + 1)  # some more than once: the last counts
    expected = array.copy()
    for value, place in zip(a, listed[1:], strict=True):
        expected[place] = value
    np.testing.assert_array_equal(assert_same(make, a, array, listed)[2], expected)


@REALS
def test_raise_listed(real: Any) -> None:
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        raise_listed, load = source.raise_listed, source.load

        def kernel(a, tops, listed):
            raise_listed(load(a, 0, 0, 1, 1), tops, listed, 2)

        return kernel

    listed = rng.permutation(3 * lanes)[: lanes + 2].astype(np.int32)
    a, tops = whole(lanes, real=real), whole(3 * lanes, real=real)
    tops[listed[2]] = -np.inf
    found = assert_same(make, a, tops, listed)[2]
    np.testing.assert_array_equal(found[listed[2:]], np.maximum(tops[listed[2:]], a))
    others = np.setdiff1d(np.arange(3 * lanes), listed[2:])
    np.testing.assert_array_equal(found[others], tops[others])


@REALS
def test_raise_listed_of_a_list_that_ends_in_repeats(real: Any) -> None:
    """As the bounded pass fills its lists: the last row again, with the same number."""
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        raise_listed, load = source.raise_listed, source.load

        def kernel(a, tops, listed):
            raise_listed(load(a, 0, 0, 1, 1), tops, listed, 0)

        return kernel

    last = lanes // 2 - 1
    order = np.minimum(np.arange(lanes), last)
    for top in (-np.inf, 100.0):
        tops = np.full(lanes, top, dtype=real)
        found = assert_same(make, whole(lanes, real=real)[order], tops, order.astype(np.int32))[2]
        assert (found[last + 1 :] == top).all()


# --- masks ---


@REALS
def test_above_and_chosen_of_every_pattern(real: Any) -> None:
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        above, chosen, load = source.above, source.chosen, source.load

        def kernel(a, threshold, masks, counts):
            for n in range(masks.size):
                masks[n] = above(load(a, n * lanes, 0, 1, 1), threshold)
                counts[n] = chosen(int(masks[n]))

        return kernel

    masks = patterns(lanes)
    a = (masks[:, None] >> np.arange(lanes) & 1).astype(real)
    empty = np.empty_like(masks)
    for low in (0.0, 0.5, np.nextafter(real(1), real(0))):
        _, _, _, found, counts = assert_same(make, a.ravel(), real(low), empty, empty)
        np.testing.assert_array_equal(found, masks)
        np.testing.assert_array_equal(counts, [int(mask).bit_count() for mask in masks])
    assert not assert_same(make, a.ravel(), real(1), empty, empty)[3].any()


@REALS
def test_nothing_is_above_nan_nor_nan_above_anything(real: Any) -> None:
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., int]:
        above, load = source.above, source.load

        def kernel(a, threshold):
            return above(load(a, 0, 0, 1, 1), threshold)

        return kernel

    a = np.where(np.arange(lanes) == 1, np.nan, 2.0).astype(real)
    assert assert_same(make, a, real(1))[0] == (1 << lanes) - 1 - 2
    assert assert_same(make, a, real(np.nan))[0] == 0
    assert assert_same(make, a, real(-np.inf))[0] == (1 << lanes) - 1 - 2
    assert assert_same(make, np.full(lanes, np.inf, dtype=real), real(np.inf))[0] == 0


def listing(real: Any) -> Callable[[Any], Callable[..., int]]:
    """List the lanes that masks choose, and what stands in them, one mask after the other."""
    lanes = lanes_of(real)

    def make(source: Any) -> Callable[..., int]:
        list_lanes, pack_lanes, chosen, load = source.list_lanes, source.pack_lanes, source.chosen, source.load
        pick_lanes = source.pick_lanes

        def kernel(a, masks, start, numbers, picked, listed, packed):
            count = start
            for n in range(masks.size):
                mask = int(masks[n])
                list_lanes(real, n * lanes, mask, listed, count)
                pick_lanes(real, numbers, n * lanes, mask, picked, count)
                pack_lanes(load(a, n * lanes, 0, 1, 1), mask, packed, count)
                count += chosen(mask)
            return count

        return kernel

    return make


@REALS
def test_lanes_are_listed_one_behind_the_other(real: Any) -> None:
    lanes, start = lanes_of(real), 3
    masks = patterns(lanes)
    a = uniform(masks.size * lanes, real=real)
    room = start + masks.size * lanes + lanes
    numbers = np.arange(masks.size * lanes, dtype=np.int32)[::-1].copy()
    lists = [np.full(room, -1, dtype=np.int32) for _ in range(2)]
    arguments = a, masks, start, numbers, *lists, np.full(room, -1, dtype=real)
    found, expected = both(listing(real), *arguments)
    count = found[0]
    assert count == expected[0]
    lines = np.concatenate([n * lanes + np.array(lanes_in(mask, lanes), dtype=int) for n, mask in enumerate(masks)])
    for result in (found, expected):
        np.testing.assert_array_equal(result[-3][start:count], numbers[lines])
        np.testing.assert_array_equal(result[-2][start:count], lines)
        np.testing.assert_array_equal(result[-1][start:count], a[lines])
        assert all((written[:start] == -1).all() for written in result[-3:])


@REALS
@pytest.mark.parametrize("pattern", [0, 1, 2, 0b1011, -1])
def test_listing_writes_no_more_than_a_register(pattern: int, real: Any) -> None:
    lanes = lanes_of(real)
    mask = np.array([pattern & (1 << lanes) - 1])
    numbers, lists = np.arange(lanes, dtype=np.int32), [np.full(3 * lanes, -1, dtype=np.int32) for _ in range(2)]
    arguments = uniform(lanes, real=real), mask, 2, numbers, *lists, np.full(3 * lanes, -1, real)
    for kernel in (njit(listing(real)(COMPILED)), listing(real)(twins)):
        given: list[Array] = copies(arguments)
        kernel(*given)
        for written in given[-3:]:
            assert (written[:2] == -1).all()
            assert (written[2 + lanes :] == -1).all()


def test_numbers_of_lanes_count_from_any_row() -> None:
    def make(source: Any) -> Callable[..., None]:
        list_lanes = source.list_lanes

        def kernel(first, listed):
            list_lanes(np.float64, first, 5, listed, 0)

        return kernel

    found, expected = both(make, 2**31 - 64, np.zeros(16, dtype=np.int32))
    np.testing.assert_array_equal(found[-1][:2], [2**31 - 64, 2**31 - 62])
    np.testing.assert_array_equal(expected[-1][:2], found[-1][:2])
