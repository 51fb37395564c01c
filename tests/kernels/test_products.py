"""Every product of tiles compiled, against its twin. Whole numbers are exact, fused multiply-adds or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from instructions import REALS, ROUNDING, assert_same, both, uniform, whole

from fastgmm.kernels import twins
from fastgmm.kernels.layout import lanes_of
from fastgmm.kernels.target import ACCUMULATORS, GROUP, PANEL


@REALS
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (3, 2), (PANEL, GROUP)])
def test_outer(rows: int, vectors: int, real: Any) -> None:
    width = vectors * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        outer, load, store = source.outer, source.load, source.store

        def kernel(tiles, a, b):
            store(outer(load(tiles, 0, width, rows, vectors), a, 2, b, 3), tiles, 0, width)

        return kernel

    tile, a, b = (whole(size, real=real) for size in (rows * width, 2 + rows, 3 + width))
    found = assert_same(make, tile, a, b)[1]
    np.testing.assert_array_equal(found.reshape(rows, width), tile.reshape(rows, width) + np.outer(a[2:], b[3:]))


@REALS
@pytest.mark.parametrize("skip", range(GROUP))
def test_outer_rows(skip: int, real: Any) -> None:
    width, stride = GROUP * lanes_of(real), 21

    def make(source: Any) -> Callable[..., None]:
        outer_rows, load, store = source.outer_rows, source.load, source.store

        def kernel(tiles, a, b):
            store(outer_rows(load(tiles, 0, width, PANEL, GROUP), a, 2, stride, b, 3, skip), tiles, 0, width)

        return kernel

    tile, a, b = whole(PANEL * width, real=real), whole(2 + PANEL * stride, real=real), whole(3 + width, real=real)
    found = assert_same(make, tile, a, b)[1].reshape(PANEL, width)
    expected = tile.reshape(PANEL, width).copy()
    expected[:, skip * lanes_of(real) :] += np.outer(a[2::stride][:PANEL], b[3 + skip * lanes_of(real) :])
    np.testing.assert_array_equal(found, expected)


@REALS
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_row_squares_and_their_sums(vectors: int, real: Any) -> None:
    lanes = lanes_of(real)
    width = vectors * lanes

    def make(source: Any) -> Callable[..., None]:
        row_squares, store_row_sums, load = source.row_squares, source.store_row_sums, source.load

        def kernel(tiles, sums, result):
            squares = row_squares(load(sums, 0, lanes, PANEL, 1), load(tiles, 0, width, PANEL, vectors))
            store_row_sums(squares, result, 5)

        return kernel

    tile, sums = whole(PANEL, width, real=real), whole(PANEL, lanes, real=real)
    found = assert_same(make, tile.ravel(), sums.ravel(), np.full(PANEL + 7, -1, dtype=real))[-1]
    np.testing.assert_array_equal(found[5:-2], (tile * tile).sum(axis=1) + sums.sum(axis=1))
    np.testing.assert_array_equal(found[[0, 1, 2, 3, 4, -2, -1]], -1)


@REALS
@pytest.mark.parametrize("vectors", [1, 2])
def test_rotations(vectors: int, real: Any) -> None:
    lanes = lanes_of(real)
    width, rows = vectors * lanes, lanes // 2 + 1

    def make(source: Any) -> Callable[..., None]:
        rotations, load, store = source.rotations, source.load, source.store

        def kernel(tiles, z):
            store(rotations(load(tiles, 0, width, rows, vectors), z, 3), tiles, 0, width)

        return kernel

    tile, z = whole(rows * width, real=real), whole(3 + width, real=real)
    found = (assert_same(make, tile, z)[1] - tile).reshape(rows, vectors, lanes)
    for v in range(vectors):
        mine = z[3 + v * lanes :][:lanes]
        every = {(lane, (lane + s) % lanes): found[s, v, lane] for s in range(rows) for lane in range(lanes)}
        assert {(min(pair), max(pair)) for pair in every} == {(a, b) for b in range(lanes) for a in range(b + 1)}
        assert all(value == mine[a] * mine[b] for (a, b), value in every.items())


@REALS
@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("rows", range(1, PANEL + 1))
def test_centred_triangle(rows: int, kept: int, real: Any) -> None:
    width = GROUP * lanes_of(real)
    stride = width + 1

    def make(source: Any) -> Callable[..., None]:
        centred_triangle, load, store = source.centred_triangle, source.load, source.store

        def kernel(a, x, means, tiles, z):
            tile = load(tiles, 0, width, rows, GROUP)
            store(centred_triangle(tile, a, 1, x, 2, stride, means, 3, z, 4, kept), tiles, 0, width)

        return kernel

    packed, x = whole(1 + rows * (rows + 1) // 2, real=real), whole(2 + rows * stride, real=real)
    means, tile = whole(3 + rows, real=real), whole(rows, width, real=real)
    *_, found, z = assert_same(make, packed, x, means, tile.ravel(), np.full(4 + rows * stride, -99, dtype=real))
    matrix = np.zeros((rows, rows), dtype=real)
    matrix.T[np.triu_indices(rows)] = packed[1:]
    centred = np.array([x[2 + c * stride :][:width] for c in range(rows)]) - means[3:, None]
    np.testing.assert_array_equal(found.reshape(rows, width), tile + matrix @ centred)
    columns = z[4:].reshape(rows, stride)
    np.testing.assert_array_equal(columns[:, :width], centred if kept else -99)
    assert (columns[:, width:] == -99).all()
    assert (z[:4] == -99).all()


@REALS
def test_products_of_real_numbers(real: Any) -> None:
    width = GROUP * lanes_of(real)

    def make(source: Any) -> Callable[..., None]:
        centred_triangle, outer, load, store = source.centred_triangle, source.outer, source.load, source.store

        def kernel(a, b, means, z, tiles):
            tile = centred_triangle(load(tiles, 0, width, PANEL, GROUP), a, 0, b, 0, width, means, 0, z, 0, 1)
            store(outer(tile, a, 0, z, 0), tiles, 0, width)

        return kernel

    a, b, means, tiles = (uniform(size, real=real) for size in (PANEL * PANEL, PANEL * width, PANEL, PANEL * width))
    found, expected = both(make, a, b, -means, np.zeros_like(b), tiles)
    np.testing.assert_allclose(found[-1], expected[-1], rtol=8 * ROUNDING[real] * PANEL)


# --- reductions ---


@REALS
@pytest.mark.parametrize("n_features", range(1, 9))
def test_gram(n_features: int, real: Any) -> None:
    lanes = lanes_of(real)
    width = GROUP * lanes
    stride = 2 * width

    def make(source: Any) -> Callable[..., None]:
        gram = source.gram

        def kernel(sums, shares, x, means, n):
            gram(sums, 3, shares, 2, stride, x, n, means, 1, n_features)

        return kernel

    entries = (n_features + 1) * (n_features + 2) // 2
    sums, shares = whole(3 + entries * lanes), whole(2 + 5 * stride, real=real)
    x, means = whole(n_features * 5 * width, real=real), whole(9, real=real)
    found = assert_same(make, sums, shares, x, means, 4)[1]
    assert_same(make, sums, shares, x, means, 0)
    share = shares[2:].reshape(-1, stride)[:4, :width].ravel()
    columns = x.reshape(5, n_features, width)[:4].swapaxes(0, 1).reshape(n_features, -1)
    z = np.vstack([np.ones(columns.shape[1]), columns - means[1 : 1 + n_features, None]])
    moments = ((share * z) @ z.T)[np.tril_indices(n_features + 1)]
    np.testing.assert_array_equal((found - sums)[3:].reshape(-1, lanes).sum(axis=1), moments)


@pytest.mark.parametrize("budget", [1, 4, 12, ACCUMULATORS, 24, 1000])
@pytest.mark.parametrize("width", range(1, 10))
def test_gram_rows_are_a_partition_within_the_budget(width: int, budget: int) -> None:
    runs = twins.gram_rows(width, budget)
    assert [row for first, last in runs for row in range(first, last)] == list(range(width))
    for first, last in runs:
        assert last == first + 1 or sum(range(first + 1, last + 1)) <= budget


@REALS
@pytest.mark.parametrize("scaled", [0, 1])
@pytest.mark.parametrize(("rows", "count"), [(1, 1), (1, 2), (2, 1), (2, 2), (2, 5)])
def test_centred_squares(rows: int, count: int, scaled: int, real: Any) -> None:
    width = GROUP * lanes_of(real)
    stride = width + 3

    def make(source: Any) -> Callable[..., None]:
        centred_squares, store = source.centred_squares, source.store

        def kernel(x, count, means, scales, result):
            store(centred_squares(x, 2, stride, count, means, 1, rows, scales, scaled), result, 0, width)

        return kernel

    x, means, scales = (whole(size, real=real) for size in (2 + count * stride, 1 + rows * count, 1 + rows * count))
    found = assert_same(make, x, count, means, scales, np.zeros(rows * width, dtype=real))[-1]
    columns = np.stack([x[2 + d * stride :][:width] for d in range(count)])
    each = (rows, count, 1)
    z = (columns - means[1:].reshape(each)) * (scales[1:].reshape(each) if scaled else 1)
    np.testing.assert_array_equal(found.reshape(rows, width), (z * z).sum(axis=1))
