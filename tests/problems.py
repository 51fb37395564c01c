"""Mixtures and rows that tests are made of, and comparisons of what comes out with the oracle."""

from __future__ import annotations

import numpy as np
import reference
from numpy.typing import NDArray

from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]


def mixture(n_components: int, n_features: int, seed: int = 0) -> reference.Mixture:
    """K overlapping, well-conditioned components."""
    rng = np.random.default_rng([seed, n_components, n_features])
    factors = rng.standard_normal((n_components, n_features, n_features)) / np.sqrt(n_features)
    covariances = factors @ factors.swapaxes(1, 2) + 0.5 * np.eye(n_features)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    return reference.Mixture(weights, 1.5 * rng.standard_normal((n_components, n_features)), covariances)


def drawn(m: reference.Mixture, n_rows: int, seed: int = 0) -> Floats:
    """Rows (N, D) of a mixture."""
    rng = np.random.default_rng([seed, n_rows])
    labels = rng.choice(len(m.weights), n_rows, p=m.weights)
    z = rng.standard_normal((n_rows, m.means.shape[1]))
    return m.means[labels] + np.einsum("nde,ne->nd", np.linalg.cholesky(m.covariances)[labels], z)


def row_weights(n_rows: int, seed: int = 0) -> Floats:
    """Weights (N,), some of them zero but the first."""
    rng = np.random.default_rng([seed, n_rows, 1])
    weights = rng.uniform(0.1, 3.0, n_rows)
    weights[1::5] = 0.0
    return weights


def same_bits(a: SufficientStatistics, b: SufficientStatistics) -> None:
    assert a.to_bytes() == b.to_bytes()


def assert_moments(found: SufficientStatistics, expected: reference.Moments, rtol: float = 1e-13) -> None:
    """Compare sums; entries that cancel are compared on the scale of what was summed."""
    total = expected.sum_w.sum()
    variances = np.einsum("kdd->kd", expected.sum_xx)
    spread = np.sqrt(variances)
    atol = rtol * total
    np.testing.assert_allclose(found.sum_w, expected.sum_w, rtol=rtol, atol=atol)
    within(found.sum_x, expected.sum_x, rtol * (np.sqrt(expected.sum_w)[:, None] * spread + total))
    within(found.sum_xx, expected.sum_xx, rtol * (spread[:, :, None] * spread[:, None, :] + total))
    np.testing.assert_array_equal(found.sum_xx, found.sum_xx.swapaxes(1, 2))


def within(found: Floats, expected: Floats, bound: Floats) -> None:
    excess = np.abs(found - expected) / np.where(bound > 0, bound, 1.0)
    assert excess.max() <= 1.0, (
        f"{excess.max():.3g} times the tolerance at {np.unravel_index(excess.argmax(), excess.shape)}"
    )


def parameters(m: reference.Mixture) -> Parameters:
    return Parameters(*m)


def overlapping(n=1500, d=3, k=4, seed=0, dtype=np.float64):
    """Rows from k overlapping Gaussians, and a start for both libraries."""
    rng = np.random.RandomState(seed)
    centres = rng.normal(0, 3, (k, d))
    mixing = rng.normal(0, 1, (k, d, d)) / np.sqrt(d) + np.eye(d)
    labels = rng.randint(k, size=n)
    X = centres[labels] + np.einsum("nde,ne->nd", mixing[labels], rng.normal(size=(n, d)))
    start = {
        "weights_init": np.full(k, 1 / k),
        "means_init": centres + rng.normal(0, 0.5, (k, d)),
        "precisions_init": np.repeat(np.eye(d)[None] / 2, k, axis=0),
    }
    return X.astype(dtype), start
