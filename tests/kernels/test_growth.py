"""What growth and settled sums say, against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgmm.kernels.growth import TINY
from fastgmm.kernels.variants import growth_kernel, lengths_kernel

Floats = NDArray[np.float64]

LOOSE = 1e-12
"""Share by which steps are loosened."""


def triangles(n_features: int, size: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Whiteners, and factors of covariances that are so far from theirs."""
    rng = np.random.default_rng([seed, n_features])
    noise = rng.standard_normal((2, 3, n_features, n_features)) / np.sqrt(n_features)
    whiteners = np.tril(np.eye(n_features) + 0.3 * noise[0])
    factors = np.tril(np.linalg.inv(whiteners) @ np.tril(np.eye(n_features) + size * noise[1]))
    return whiteners, np.ascontiguousarray(factors)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 0.1, 3.0])
@pytest.mark.parametrize("n_features", [1, 2, 5, 9, 16, 24, 25, 33, 64])
def test_changes_of_lengths_are_bounded_closely(n_features: int, size: float) -> None:
    whiteners, factors = triangles(n_features, size)
    rng = np.random.default_rng(n_features)
    others = np.tril(rng.standard_normal(factors.shape))
    means, new_means = rng.standard_normal((2, 3, n_features))
    shrink, grow, shifts = np.empty((3, 3))
    growth_kernel()(2, whiteners, factors, others, means, new_means, LOOSE, shrink, grow, shifts)
    moves = np.einsum("kde,ke->kd", others, means - new_means)
    np.testing.assert_allclose(shifts, np.linalg.norm(moves, axis=1), rtol=1e-11)
    assert (shifts >= np.linalg.norm(moves, axis=1)).all()
    g = whiteners @ factors
    eigenvalues = np.linalg.eigvalsh(g.swapaxes(1, 2) @ g - np.eye(n_features))
    least, largest = eigenvalues[:, 0], eigenvalues[:, -1]
    found = np.stack([grow**-2 - 1, shrink**-2 - 1], axis=1)
    rounding = 1e-11 * (1 + np.abs(eigenvalues).max())
    assert (found[:, 0] <= least + rounding).all()
    assert (found[:, 1] >= largest - rounding).all()
    norms = np.linalg.norm(g - np.eye(n_features), axis=(1, 2))
    by_norm = 2 * norms + norms**2
    tiny = by_norm <= TINY
    close = np.where(tiny, 2 * by_norm, 0.05 * (largest - least)) + rounding
    assert (least - found[:, 0] <= close).all()
    assert (found[:, 1] - largest <= close).all()


def test_changes_that_are_no_numbers_bound_nothing() -> None:
    whiteners, factors = triangles(9, 0.1)
    factors[1, 3, 2] = np.inf
    shrink, grow, shifts = np.empty((3, 3))
    growth_kernel()(1, whiteners, factors, whiteners, *np.zeros((2, 3, 9)), LOOSE, shrink, grow, shifts)
    assert shrink[1] == 0
    assert grow[1] == np.inf
    assert (shrink[[0, 2]] > 0).all()


@pytest.mark.parametrize("n_features", [9, 16, 33])
def test_sums_about_other_origins(n_features: int) -> None:
    rng = np.random.default_rng(n_features)
    whiteners, _ = triangles(n_features, 0.1)
    z, shifts = rng.standard_normal((3, 50, n_features)), 0.1 * rng.standard_normal((3, n_features))
    shares = rng.random((3, 50))

    def sums(rows: Floats) -> tuple[Floats, Floats]:
        return np.einsum("kn,knd->kd", shares, rows), np.einsum("kn,knd,kne->kde", shares, rows, rows)

    record = (n_features + 1) * (n_features + 2) // 2
    rows, columns = np.indices((n_features + 1, n_features + 1))
    high, low = np.maximum(rows, columns), np.minimum(rows, columns)
    records, places = rng.standard_normal((3, record)), high * (high + 1) // 2 + low
    w, x, xx = np.empty(3), np.empty((3, n_features)), np.empty((3, n_features, n_features))
    lengths = np.empty(3)
    lengths_kernel()(
        2, whiteners, shifts, shares.sum(axis=1), *sums(z), records.ravel(), record, places, w, x, xx, lengths
    )
    moved = z + shifts[:, None]
    expected = sums(moved)
    np.testing.assert_allclose(w, shares.sum(axis=1) + records[:, 0], rtol=1e-15)
    np.testing.assert_allclose(x - records[:, places[1:, 0]], expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(xx - records[:, places[1:, 1:]], expected[1], rtol=0, atol=1e-12)
    whitened = np.einsum("kde,kne->knd", whiteners, moved)
    np.testing.assert_allclose(lengths, np.einsum("kn,knd->k", shares, whitened**2), rtol=1e-12)
