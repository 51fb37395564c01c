from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgmm.kernels.pivots import pivots
from fastgmm.kernels.variants import compiler, pivots_kernel

Floats = NDArray[np.float64]


def sums(n_components: int, n_features: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Sums about origins that are not the means, and not of unit weight."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n_components, 3 * n_features + 5, n_features)) + rng.standard_normal(n_features)
    counts = rng.uniform(0.1, 30.0, n_components) * z.shape[1]
    share = (counts / z.shape[1])[:, None]
    return counts, share * z.sum(axis=1), share[:, :, None] * (z.swapaxes(1, 2) @ z)


def least_of(counts: Floats, first: Floats, second: Floats) -> Floats:
    found = np.empty(len(counts))
    pivots_kernel()(1, counts, first, second, found)
    return found


def by_cholesky(counts: Floats, first: Floats, second: Floats) -> Floats:
    scatters = second - first[:, :, None] * first[:, None, :] / counts[:, None, None]
    roots = np.diagonal(np.linalg.cholesky(scatters), axis1=1, axis2=2)
    return (roots**2 / np.diagonal(scatters, axis1=1, axis2=2)).min(axis=1)


@pytest.mark.parametrize("n_features", [1, 2, 4, 7, 8, 9, 16, 23, 24, 25, 48, 61])
def test_the_least_share_of_a_variance_is_cholesky_s(n_features: int) -> None:
    some = sums(3, n_features)
    np.testing.assert_allclose(least_of(*some), by_cholesky(*some), rtol=1e-9)


def test_its_plain_text_says_the_same() -> None:
    some = sums(2, 11)
    found = np.empty(2)
    compiler.build(pivots, (), {}, "python")(1, *some, found)
    np.testing.assert_allclose(found, by_cholesky(*some), rtol=1e-9)


def test_shares_do_not_depend_on_units() -> None:
    counts, first, second = sums(2, 9)
    scale = 2.0 ** np.linspace(-300, 300, 9).round()
    scaled = counts, first * scale, second * scale[:, None] * scale
    np.testing.assert_array_equal(least_of(*scaled), least_of(counts, first, second))


@pytest.mark.parametrize("n_features", [2, 9, 30])
def test_singular_scatters_have_none(n_features: int) -> None:
    counts, first, second = sums(4, n_features)
    first[1:], counts[3] = 0.0, 0.0
    direction = np.arange(1.0, n_features + 1)
    second[1] = np.outer(direction, direction)  # a line
    second[2] = -np.eye(n_features)
    second[3] = 0.0  # no rows
    found = least_of(counts, first, second)
    assert found[0] > 0
    assert found[1] < 1e-15
    np.testing.assert_array_equal(found[2:], 0.0)
