"""The kernels' M-steps against those of the models."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.kernels import maximisation
from fastgmm.models import MODELS, maximise
from fastgmm.selection.batch import code
from fastgmm.statistics import SufficientStatistics

K = 3
ROWS = 90.0
MANY = 120
"""Steps from one state: alternations come to rest."""


def moments(d):
    rng = np.random.default_rng(d)
    factors = rng.standard_normal((K, d, d)) + np.eye(d)
    return rng.dirichlet(np.full(K, 4.0)), factors @ factors.swapaxes(1, 2)


def judged(shares, covariances, model):
    """What the models make of the same moments, (K, D, D)."""
    d = covariances.shape[-1]
    counts = ROWS * shares
    sums = counts[:, None, None] * covariances
    statistics = SufficientStatistics(np.zeros((K, d)), counts, np.zeros((K, d)), sums, 0.0, ROWS)
    return np.array(maximise(statistics, model, reg_covar=0.0).matrices)


def expected_likelihood(shares, covariances, found):
    """Σ_k n_k (log|Σ_k| + tr(W_k Σ_k⁻¹) / n_k), which an M-step makes small."""
    inverse = np.linalg.inv(found)
    return shares @ (np.linalg.slogdet(found)[1] + np.einsum("kde,ked->k", covariances, inverse))


class Steps:
    """M-steps in a row, from where the last one ended."""

    def __init__(self, model, d):
        self.code, self.d, self.known = code(model), d, False
        self.volumes, self.axes = np.zeros(K), np.zeros(d * d)

    def __call__(self, shares, covariances):
        d, fitted = self.d, np.full(K * self.d**2, np.nan)
        spare = [np.full(size, np.nan) for size in (K * d, K * d * d, d * d, d * d)]
        maximisation.maximise(
            *self.code, shares, covariances.ravel(), K, d, self.volumes, self.axes, self.known, *spare, fitted
        )
        self.known = True
        return fitted.reshape(K, d, d)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_steps_end_where_the_models_do(model, d):
    if d == 1 and model not in ("EII", "VII"):
        pytest.skip("the same as these two")
    shares, covariances = moments(d)
    step = Steps(model, d)
    for _ in range(MANY if model in ("VEI", "VEE", "VEV", "EVE", "VVE") else 1):
        found = step(shares, covariances)
    expected = judged(shares, covariances, model)
    if model in ("EVE", "VVE"):  # objectives with several minima
        value = expected_likelihood(shares, covariances, found)
        assert value == pytest.approx(expected_likelihood(shares, covariances, expected), abs=0.05)
        axes = np.linalg.eigh(found[0])[1]
        for matrix in found:
            inside = axes.T @ matrix @ axes
            np.testing.assert_allclose(inside, np.diag(np.diagonal(inside)), atol=1e-9 * np.abs(inside).max())
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_no_step_loses(model):
    shares, covariances = moments(3)
    step, last = Steps(model, 3), np.inf
    for _ in range(10):
        value = expected_likelihood(shares, covariances, step(shares, covariances))
        assert value <= last + 1e-12 * abs(value)
        last = value


@pytest.mark.parametrize("d", [1, 2, 5])
def test_eigenvectors_are_numpys(d):
    matrix = moments(d)[1][0]
    spoilt, axes, values = matrix.ravel().copy(), np.empty(d * d), np.empty(d)
    maximisation.eigen(spoilt, 0, d, axes, values, 0)
    vectors = axes.reshape(d, d)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), rtol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(d), atol=1e-13)
    np.testing.assert_allclose((vectors * values) @ vectors.T, matrix, rtol=1e-12, atol=1e-12)


def test_what_is_not_positive_definite_has_no_factor():
    lower = np.empty(4)
    assert maximisation.cholesky(np.array([4.0, 2.0, 2.0, 5.0]), 0, 2, lower)
    np.testing.assert_array_equal(lower, [2.0, 0.0, 1.0, 2.0])
    for wrong in ([1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, np.nan], [np.inf, 0.0, 0.0, 1.0]):
        assert not maximisation.cholesky(np.array(wrong), 0, 2, lower)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.57, np.pi / 2, 2.0, np.pi, -0.4, -2.0, -3.14])
def test_half_an_angle_is_had_without_it(angle):
    found = maximisation.half_angle(2.5 * np.sin(angle), 2.5 * np.cos(angle))
    np.testing.assert_allclose(found, [np.cos(angle / 2), np.sin(angle / 2)], atol=1e-12)


def test_of_no_angle_half_is_none():
    assert maximisation.half_angle(0.0, 0.0) == (1.0, 0.0)
