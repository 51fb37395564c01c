"""The gradient against differences of the likelihood, laws that it keeps, and the climb by it."""

from __future__ import annotations

import numpy as np
import problems
import pytest
import reference

import fastgmm
from fastgmm.coordinates import from_vector, to_vector
from fastgmm.forms import FORMS
from fastgmm.gradients import finish, gradient, gradient_of

K, D = 3, 2
STEP = 1e-5


def drawn_rows(n=60):
    return problems.drawn(problems.mixture(K, D), n)


def start(form, seed=1):
    p = problems.parameters(problems.mixture(K, D, seed=seed))
    covariances = {
        "full": p.covariances,
        "tied": p.covariances.mean(axis=0),
        "diag": p.variances,
        "spherical": p.variances.mean(axis=1),
    }[form]
    return fastgmm.Parameters(p.weights, p.means, covariances, form)


def mean_likelihood(X, vector, form, weights=None):
    p = from_vector(vector, K, D, form)
    oracle = reference.Mixture(p.weights, p.means, np.array(p.matrices))
    return np.average(reference.log_likelihoods(reference.log_joint(X, oracle)), weights=weights)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_the_limit_of_differences(form, weighted):
    X, parameters = drawn_rows(), start(form)
    weights = problems.row_weights(len(X)) if weighted else None
    vector = to_vector(parameters)
    expected = [
        (mean_likelihood(X, vector + e, form, weights) - mean_likelihood(X, vector - e, form, weights)) / (2 * STEP)
        for e in STEP * np.eye(len(vector))
    ]
    value, found = gradient(X, parameters, weights)
    assert value == pytest.approx(mean_likelihood(X, vector, form, weights), rel=1e-12)
    np.testing.assert_allclose(found, expected, atol=2e-9)


def test_log_weights_count_up_to_a_constant():
    _, slopes = gradient(drawn_rows(), start("full"))
    assert abs(slopes[:K].sum()) < 1e-14


@pytest.mark.parametrize("form", FORMS)
def test_it_vanishes_where_em_rests(form):
    X = drawn_rows()
    gm = fastgmm.GaussianMixture(2, covariance_type=form, tol=0, reg_covar=0, max_iter=3000, random_state=0)
    with pytest.warns(UserWarning, match="did not converge"):
        gm.fit(X)
    assert np.abs(gradient(X, gm.mixture_.parameters).vector).max() < 1e-6


def test_statistics_of_any_origins_give_it():
    X, parameters = drawn_rows(), start("full")
    statistics = fastgmm.expectation(X, parameters)
    shifted = statistics.recentre(statistics.origins + 1.0)
    np.testing.assert_allclose(gradient_of(shifted, parameters).vector, gradient(X, parameters).vector, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_lbfgs_ends_where_em_does(form):
    scipy = pytest.importorskip("scipy")
    assert scipy
    X = fastgmm.datasets.load_faithful()
    rough = fastgmm.GaussianMixture(2, covariance_type=form, tol=1e-2, reg_covar=0, random_state=0).fit(X)
    em = fastgmm.GaussianMixture(2, covariance_type=form, tol=1e-13, reg_covar=0, max_iter=5000, random_state=0).fit(X)
    found = finish(X, rough.mixture_.parameters)
    assert found.converged
    assert found.log_likelihood == pytest.approx(em.score(X), abs=1e-10)
    assert fastgmm.Mixture(found.parameters).score(X) == pytest.approx(found.log_likelihood, abs=1e-12)
    np.testing.assert_allclose(found.parameters.weights, em.weights_, atol=1e-4)


def test_lbfgs_takes_weights_as_repeated_rows():
    pytest.importorskip("scipy")
    X, weights = drawn_rows(40), np.tile([1.0, 2.0], 20)
    repeated = np.repeat(X, weights.astype(int), axis=0)
    found, expected = finish(X, start("diag"), weights), finish(repeated, start("diag"))
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-9)


def test_a_missing_scipy_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"fastgmm\[scipy\]"):
        finish(drawn_rows(), start("full"))
