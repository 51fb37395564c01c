from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgmm.kernels.distances import NEIGHBOURS
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.variants import Mode, distances_kernel

Floats = NDArray[np.float64]


def drawn(x: Floats, uniforms: Floats, nearest: Floats, weights: Floats, mode: Mode = "serial", parts: int = 1):
    """Return what a round draws, the distances then, and their sums by chunks."""
    (d, stride), j, chunks = x.shape, len(uniforms), range(0, len(nearest), NEIGHBOURS)
    shares = np.add.reduceat(weights * nearest, chunks)
    chosen, result, masses = np.full(j, -1), np.full((j, stride), np.nan), np.full((j, len(chunks)), np.nan)
    inputs = x.ravel(), stride, d, uniforms, nearest, weights, shares
    distances_kernel(mode)(parts, *inputs, chosen, result.ravel(), masses)
    return chosen, result, masses


@pytest.mark.parametrize("mode", ["serial", "python"])
@pytest.mark.parametrize("n_features", [1, 3, 17])
@pytest.mark.parametrize("groups", [1, 2, 17, 40])
@pytest.mark.parametrize("n_points", [1, 4, 11])
def test_distances(mode: Mode, n_features: int, groups: int, n_points: int) -> None:
    rng, stride = np.random.default_rng(0), groups * WIDTH
    x = rng.integers(-99, 100, (n_features, stride)).astype(np.float64)
    nearest, weights = rng.integers(0, 9999, stride).astype(np.float64), rng.integers(0, 3, stride).astype(np.float64)
    uniforms = np.append(rng.uniform(size=n_points - 1), 0.0)
    chosen, result, masses = drawn(x, uniforms, nearest, weights, mode, 2)
    cumulated = np.cumsum(weights * nearest)  # whole numbers: every order of adding gives the same
    np.testing.assert_array_equal(chosen, np.searchsorted(cumulated, uniforms * cumulated[-1], side="right"))
    expected = np.minimum(((x.T[chosen][:, :, None] - x) ** 2).sum(axis=1), nearest)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(masses, np.add.reduceat(weights * expected, range(0, stride, NEIGHBOURS), axis=1))


def test_what_rounding_leaves_falls_to_the_last_column_that_can_be_drawn() -> None:
    stride = 3 * NEIGHBOURS
    x, weights = np.zeros((1, stride)), np.zeros(stride)
    weights[[5, NEIGHBOURS + 7]] = 1.0
    chosen, *_ = drawn(x, np.array([0.0, 0.49, 0.5, np.nextafter(1.0, 0.0), 1.0]), np.ones(stride), weights)
    np.testing.assert_array_equal(chosen, [5, 5, *[NEIGHBOURS + 7] * 3])


def test_equal_points_are_at_distance_zero_beside_a_far_one() -> None:
    x, weights = np.full((1, WIDTH), 0.1), np.zeros(WIDTH)
    x[0, -1], weights[0] = 1e10, 1.0
    chosen, result, _ = drawn(x, np.array([0.5]), np.full(WIDTH, 1e20), weights)
    assert chosen[0] == 0
    assert not result[0, :-1].any()
    assert result[0, -1] > 0
