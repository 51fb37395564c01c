from __future__ import annotations

import numpy as np
import pytest

from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.variants import Mode, distances_kernel


@pytest.mark.parametrize("mode", ["serial", "python"])
@pytest.mark.parametrize("n_features", [1, 3, 17])
@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("n_points", [1, 4, 11])
def test_distances(mode: Mode, n_features: int, groups: int, n_points: int) -> None:
    rng = np.random.default_rng(0)
    stride = groups * GROUP * LANES
    x = rng.integers(-99, 100, (n_features, stride)).astype(np.float64)
    points = rng.integers(-99, 100, (n_points, n_features)).astype(np.float64)
    nearest, weights = rng.integers(0, 9999, stride).astype(np.float64), rng.integers(0, 3, stride).astype(np.float64)
    result, masses = np.full((n_points, stride), np.nan), np.full(n_points, np.nan)
    arguments = x.ravel(), stride, n_features, points.ravel(), nearest, weights, result.ravel(), masses
    distances_kernel(mode)(2, *arguments)
    expected = np.minimum(((points[:, :, None] - x) ** 2).sum(axis=1), nearest)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(masses, (weights * expected).sum(axis=1))


def test_equal_points_are_at_distance_zero_beside_a_far_one() -> None:
    x = np.full((1, GROUP * LANES), 0.1)
    x[0, -1] = 1e10
    result, ones = np.empty(x.shape), np.ones(x.size)
    distances_kernel()(1, x.ravel(), x.size, 1, np.array([0.1]), np.inf * ones, ones, result.ravel(), np.empty(1))
    assert not result[0, :-1].any()
