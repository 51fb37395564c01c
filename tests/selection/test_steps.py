"""M-steps of batches against those of the models."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.models import MODELS, maximise
from fastgmm.selection.steps import STEPS, State
from fastgmm.statistics import SufficientStatistics

R, K = 3, 3
ROWS = 90.0
MANY = 300
"""Steps from one state: alternations come to rest."""


def moments(d):
    rng = np.random.default_rng(d)
    factors = rng.standard_normal((R, K, d, d)) + np.eye(d)
    shares = rng.dirichlet(np.full(K, 4.0), R)
    return shares, factors @ factors.swapaxes(2, 3)


def judged(shares, covariances, model):
    """What the models make of the same moments, (K, D, D)."""
    k, d = covariances.shape[:2]
    counts = ROWS * shares
    sums = counts[:, None, None] * covariances
    statistics = SufficientStatistics(np.zeros((k, d)), counts, np.zeros((k, d)), sums, 0.0, ROWS)
    return np.array(maximise(statistics, model, reg_covar=0.0).matrices)


def expected_likelihood(shares, covariances, found):
    """Σ_k n_k (log|Σ_k| + tr(W_k Σ_k⁻¹) / n_k), which an M-step makes small."""
    inverse = np.linalg.inv(found)
    return shares @ (np.linalg.slogdet(found)[1] + np.einsum("kde,ked->k", covariances, inverse))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("d", [2, 3])
def test_steps_end_where_the_models_do(model, d):
    shares, covariances = moments(d)
    state = State()
    for _ in range(MANY):
        found = STEPS[model](shares, covariances, state)
    for r in range(R):
        expected = judged(shares[r], covariances[r], model)
        if model in ("EVE", "VVE"):  # objectives with several minima
            value = expected_likelihood(shares[r], covariances[r], found[r])
            best = expected_likelihood(shares[r], covariances[r], expected)
            assert value == pytest.approx(best, abs=0.05)
            turned = [np.linalg.eigh(matrix)[1] for matrix in found[r]]
            for matrix in found[r]:
                inside = turned[0].T @ matrix @ turned[0]
                np.testing.assert_allclose(inside, np.diag(np.diagonal(inside)), atol=1e-9 * np.abs(inside).max())
        else:
            np.testing.assert_allclose(found[r], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_no_step_loses(model):
    shares, covariances = moments(3)
    state, last = State(), np.full(R, np.inf)
    for _ in range(20):
        found = STEPS[model](shares, covariances, state)
        values = np.array([expected_likelihood(shares[r], covariances[r], found[r]) for r in range(R)])
        assert (values <= last + 1e-12 * np.abs(values)).all()
        last = values


def test_what_is_taken_back_is_what_was():
    state = State(np.arange(3.0))
    before = state.copy()
    state.value = state.value + 10
    state.restore(before, np.array([True, False, True]))
    np.testing.assert_array_equal(state.value, [0.0, 11.0, 2.0])
