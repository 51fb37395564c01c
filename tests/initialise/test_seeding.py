from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgmm.initialise.seeding import plus_plus

Floats = NDArray[np.float64]


def clouds(k: int, d: int, n_each: int = 50) -> Floats:
    """Far and tight: k-means++ takes one row of each."""
    rng = np.random.default_rng([k, d])
    return np.vstack([rng.uniform(-1, 1, d) + 1e-4 * rng.standard_normal((n_each, d)) for _ in range(k)])


@pytest.mark.parametrize("d", [2, 9])
@pytest.mark.parametrize("k", [1, 2, 7, 30])
def test_seeds_spread(k: int, d: int) -> None:
    X = clouds(k, d)
    for seed in range(3):
        chosen = plus_plus(X, np.ones(len(X)), k, np.random.RandomState(seed))
        assert sorted(chosen // 50) == list(range(k))


def test_seeds_are_rows_of_positive_weight() -> None:
    X = clouds(8, 2)
    weights = np.ones(len(X))
    weights[:200] = 0.0
    chosen = plus_plus(X, weights, 4, np.random.RandomState(0))
    assert sorted(chosen // 50) == [4, 5, 6, 7]


def test_heavy_rows_are_drawn_more_often() -> None:
    X = np.array([[-1.0], [1.0]])
    first = [plus_plus(X, np.array([1.0, 9.0]), 1, np.random.RandomState(seed))[0] for seed in range(300)]
    assert 250 <= sum(first) <= 290


def test_a_seed_means_the_same_draw() -> None:
    X = np.random.default_rng(0).standard_normal((1000, 3))
    draws = [plus_plus(X, np.ones(1000), 5, np.random.RandomState(seed)) for seed in (7, 7, 8)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


@pytest.mark.parametrize("n_rows", [1, 23, 24, 25, 49])
def test_every_distinct_row_can_be_a_seed(n_rows: int) -> None:
    X = np.random.default_rng(n_rows).uniform(-1, 1, (n_rows, 2))
    assert sorted(plus_plus(X, np.ones(n_rows), n_rows, np.random.RandomState(0))) == list(range(n_rows))


@pytest.mark.parametrize("d", [1, 3, 17])
def test_duplicates_are_drawn_once(d: int) -> None:
    rng = np.random.default_rng(d)
    distinct = rng.uniform(-1, 1, (5, d))
    X = distinct[rng.integers(0, 5, 500)]
    chosen = plus_plus(X, np.ones(500), 9, np.random.RandomState(0))
    assert len(np.unique(X[chosen], axis=0)) == len(chosen) == 5


def test_close_rows_beside_a_distant_one_are_still_distinct() -> None:
    X = np.vstack([1e-9 * np.random.default_rng(0).standard_normal((100, 2)), [[1.0, 1.0]]])
    assert len(plus_plus(X, np.ones(101), 4, np.random.RandomState(0))) == 4
