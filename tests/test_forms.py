"""Forms of covariances: each says of its components what the matrices that it stands for say."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm import Parameters, SufficientStatistics
from fastgmm.errors import DegenerateComponentError, StatisticsError
from fastgmm.forms import FORMS
from fastgmm.statistics import SQUARES

K, D = 3, 4


def stored(form: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    roots = rng.normal(size=(K, D, D))
    matrices = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(D)
    variances = rng.uniform(0.2, 3.0, size=(K, D))
    return {"full": matrices, "tied": matrices[0], "diag": variances, "spherical": variances[:, 0]}[form]


def mixture(form: str) -> Parameters:
    return Parameters(np.full(K, 1 / K), np.arange(K * D, dtype=float).reshape(K, D), stored(form), form)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_worth_its_matrices(form: str) -> None:
    p = mixture(form)
    full = Parameters(p.weights, p.means, p.matrices)
    np.testing.assert_allclose(p.choleskys, full.choleskys, atol=1e-14)
    np.testing.assert_allclose(p.whiteners, full.whiteners, atol=1e-13)
    np.testing.assert_allclose(p.log_constants, full.log_constants, rtol=1e-13)
    np.testing.assert_array_equal(p.variances, full.variances)


@pytest.mark.parametrize("form", FORMS)
def test_rescaling_a_form_is_rescaling_its_matrices(form: str) -> None:
    p = mixture(form)
    scale = np.full(D, 4.0) if form == "spherical" else np.array([4.0, 0.5, 2.0, 1.0])
    there = p.rescaled(p.means * scale, scale)
    np.testing.assert_array_equal(there.matrices, p.matrices * scale[:, None] * scale)
    assert there.form == form


def test_spherical_covariances_keep_one_scale() -> None:
    p = mixture("spherical")
    with pytest.raises(ValueError, match="one scale"):
        p.rescaled(p.means, np.array([1.0, 2.0, 1.0, 1.0]))


@pytest.mark.parametrize("form", FORMS)
def test_a_collapsed_covariance_is_named(form: str) -> None:
    p = mixture(form)
    flat = p.covariances.copy()
    flat[-1] = 0.0
    with pytest.raises(DegenerateComponentError, match="Component"):
        _ = Parameters(p.weights, p.means, flat, form).inverse_factors


def test_a_form_that_is_unknown_or_of_another_shape_is_refused() -> None:
    p = mixture("diag")
    with pytest.raises(ValueError, match="form must be one of"):
        Parameters(p.weights, p.means, p.covariances, "round")
    with pytest.raises(ValueError, match=r"spherical covariances must have shape \(3,\)"):
        Parameters(p.weights, p.means, p.covariances, "spherical")


def statistics(form: str, origins: np.ndarray, X: np.ndarray, shares: np.ndarray) -> SufficientStatistics:
    z = X[:, None, :] - origins
    full = np.einsum("nk,nkd,nke->kde", shares, z, z)
    squares = {"full": full, "diag": np.einsum("kdd->kd", full), "tied": full.sum(axis=0)}
    squares["spherical"] = squares["diag"].mean(axis=1)
    sum_x = np.einsum("nk,nkd->kd", shares, z)
    return SufficientStatistics(origins, shares.sum(axis=0), sum_x, squares[form], -3.0, float(len(X)), form)


@pytest.mark.parametrize("form", SQUARES)
def test_statistics_of_each_form_move_and_add(form: str) -> None:
    rng = np.random.default_rng(3)
    X, origins, others = rng.normal(size=(50, D)), rng.normal(size=(K, D)), rng.normal(size=(K, D))
    shares = rng.dirichlet(np.ones(K), size=50)
    whole = statistics(form, origins, X, shares)
    moved = statistics(form, others, X, shares)
    np.testing.assert_allclose(whole.recentre(others).sum_xx, moved.sum_xx, rtol=1e-12, atol=1e-12)
    halves = statistics(form, others, X[:20], shares[:20]) + statistics(form, origins, X[20:], shares[20:])
    np.testing.assert_allclose(halves.sum_xx, moved.sum_xx, rtol=1e-12, atol=1e-12)
    assert halves.form == form
    centres = origins + whole.sum_x / whole.sum_w[:, None]
    np.testing.assert_allclose(whole.scatters, statistics(form, centres, X, shares).sum_xx, rtol=1e-12, atol=1e-12)
    again = SufficientStatistics.from_bytes(whole.to_bytes())
    assert again.form == form
    np.testing.assert_array_equal(again.sum_xx, whole.sum_xx)


def test_statistics_of_two_forms_do_not_add() -> None:
    rng = np.random.default_rng(3)
    X, origins, shares = rng.normal(size=(9, D)), rng.normal(size=(K, D)), rng.dirichlet(np.ones(K), size=9)
    with pytest.raises(StatisticsError, match="cannot be added"):
        statistics("diag", origins, X, shares) + statistics("full", origins, X, shares)


@pytest.mark.parametrize("form", SQUARES)
def test_statistics_reduce_to_what_they_tell_and_nothing_else(form: str) -> None:
    rng = np.random.default_rng(3)
    X, origins, shares = rng.normal(size=(9, D)), rng.normal(size=(K, D)), rng.dirichlet(np.ones(K), size=9)
    some = statistics(form, origins, X, shares)
    for other in SQUARES:
        if other == form or form == "full" or (form, other) == ("diag", "spherical"):
            expected = statistics(other, origins, X, shares)
            np.testing.assert_allclose(some.reduced(other).sum_xx, expected.sum_xx, rtol=1e-13, atol=1e-13)
            assert some.reduced(other).form == other
        else:
            with pytest.raises(StatisticsError, match="do not tell"):
                some.reduced(other)
