from __future__ import annotations

import numpy as np
import pytest
import variational
from scipy import stats

from fastgmm.bayes.weights import WEIGHTS, Dirichlet, StickBreaking

COUNTS = np.array([12.5, 0.0, 3.25, 100.0, 2.0**-30])


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("counts", [COUNTS, COUNTS[:1]], ids=["five", "one"])
def test_expectations_and_norm_are_the_oracles(kind, counts):
    found = WEIGHTS[kind].update(0.3, counts)
    expected, term = variational.log_weights(kind, 0.3, counts)
    np.testing.assert_allclose(found.expected_log, expected, rtol=1e-13, atol=1e-13)
    assert -found.log_norm == pytest.approx(term, rel=1e-13)
    assert found.mean.sum() == pytest.approx(1, abs=1e-15)


def test_dirichlet_has_the_moments_of_its_draws():
    found = Dirichlet(np.array([0.5, 2.0, 7.0]))
    draws = stats.dirichlet(found.alpha).rvs(200_000, random_state=0)
    np.testing.assert_allclose(found.mean, draws.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(found.expected_log, np.log(draws).mean(axis=0), atol=2e-2)


def test_sticks_have_the_moments_of_their_draws():
    found = StickBreaking(np.array([3.0, 2.0, 4.0]), np.array([5.0, 1.5, 2.0]))
    sticks = stats.beta(found.a, found.b).rvs((200_000, 3), random_state=0)
    left = np.cumprod(1 - sticks, axis=1)
    draws = sticks * np.column_stack([np.ones(len(left)), left[:, :-1]])
    mean = draws.mean(axis=0)
    np.testing.assert_allclose(found.mean, mean / mean.sum(), atol=2e-3)
    np.testing.assert_allclose(found.expected_log, np.log(draws).mean(axis=0), atol=2e-2)


def test_concentrations_are_scikit_learns():
    np.testing.assert_array_equal(Dirichlet.update(0.5, COUNTS).concentration, COUNTS + 0.5)
    a, b = StickBreaking.update(0.5, COUNTS).concentration
    np.testing.assert_array_equal(a, COUNTS + 1)
    np.testing.assert_allclose(b, [103.75 + 2**-30, 103.75 + 2**-30, 100.5 + 2**-30, 0.5 + 2**-30, 0.5], rtol=1e-15)
