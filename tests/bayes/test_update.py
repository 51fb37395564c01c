from __future__ import annotations

import bayes_cases as cases
import numpy as np
import pytest
import variational

from fastgmm.bayes.posterior import Posterior
from fastgmm.bayes.update import update
from fastgmm.errors import StatisticsError
from fastgmm.frame import Frame
from fastgmm.parameters import Parameters


def updated(form: str, kind: str = cases.KINDS[0], weighted: bool = False, ridge: float = 0.01) -> Posterior:
    rows = cases.rows(form, weighted)
    prior = cases.prior(form, kind).enter(rows.frame)
    return update(cases.first(rows), prior, ridge * rows.frame.scale**2).leave(rows.frame)


def oracle(form: str, weighted: bool = False, ridge: float = 0.01) -> list[variational.Belief]:
    weights = cases.ROW_WEIGHTS if weighted else np.ones(len(cases.X))
    return variational.update(cases.X, cases.RESP, cases.belief(form), form, ridge, weights)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("form", cases.FORMS)
def test_posterior_is_the_oracles(form, weighted):
    found, expected = updated(form, weighted=weighted), oracle(form, weighted)
    matrices = found.point.matrices
    for k, belief in enumerate(expected):
        np.testing.assert_allclose(found.means[k], belief.mean, rtol=1e-12)
        np.testing.assert_allclose(matrices[k], belief.scale / belief.nu, rtol=1e-11, atol=1e-12)
        assert found.mean_precision[k] == pytest.approx(belief.kappa, rel=1e-13)
        assert found.degrees_of_freedom[k] == pytest.approx(belief.nu, rel=1e-13)


@pytest.mark.parametrize("kind", cases.KINDS)
def test_weights_are_updated_by_the_counts(kind):
    found = updated("full", kind, weighted=True).weights
    counts = cases.ROW_WEIGHTS @ cases.RESP
    np.testing.assert_allclose(found.expected_log, variational.log_weights(kind, cases.ALPHA, counts)[0], rtol=1e-12)


@pytest.mark.parametrize("form", cases.FORMS)
def test_a_component_without_rows_is_left_with_the_prior(form):
    rows = cases.rows(form)
    far = np.array([[0.0, 0.0], [50.0, 50.0]])
    statistics = rows.expectation(Parameters(np.full(2, 0.5), far, np.repeat(np.eye(2)[None], 2, 0)), cases.TEAM)
    assert statistics.sum_w[1] == 0
    prior = cases.prior(form)
    found = update(statistics, prior.enter(rows.frame), np.zeros(2)).leave(rows.frame)
    np.testing.assert_allclose(found.means[1], prior.mean, rtol=1e-9)
    assert found.mean_precision[1] == pytest.approx(prior.mean_precision)
    if form != "tied":
        assert found.degrees_of_freedom[1] == pytest.approx(prior.degrees_of_freedom)
        np.testing.assert_allclose(found.covariances[1], prior.covariance / prior.degrees_of_freedom, rtol=1e-7)


def test_forms_say_the_same_as_far_as_they_say_it():
    """scikit-learn's test_compare_covar_type: one update from the same responsibilities, and the same prior."""
    scales = {}
    for form in cases.FORMS:
        rows = cases.rows("spherical")
        covariance = {"diag": np.full(2, 5.0), "spherical": np.array(5.0)}.get(form, 5.0 * np.eye(2))
        prior = cases.replaced(cases.prior(form), covariance=covariance).enter(rows.frame)
        found = update(cases.first(rows), prior, np.zeros(2)).leave(rows.frame)
        scales[form] = found.point.matrices * found.degrees_of_freedom[:, None, None]
    np.testing.assert_allclose(scales["tied"][0], scales["full"].mean(axis=0), rtol=1e-12)
    diagonals = np.einsum("kdd->kd", scales["full"])
    np.testing.assert_allclose(np.einsum("kdd->kd", scales["diag"]), diagonals, rtol=1e-12)
    np.testing.assert_allclose(scales["spherical"][:, 0, 0], diagonals.mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("form", cases.FORMS)
def test_second_moments_of_less_are_enough_where_the_form_asks_for_less(form):
    rows = cases.rows(form)
    prior = cases.prior(form).enter(rows.frame)
    whole = cases.first(rows)
    less = whole.reduced({"full": "full", "tied": "tied"}.get(form, "diag"))
    same = [update(statistics, prior, np.zeros(2)).covariances for statistics in (whole, less)]
    np.testing.assert_array_equal(*same)


def test_full_covariances_cannot_be_made_of_less():
    rows = cases.rows("full")
    with pytest.raises(StatisticsError, match="diag second moments do not tell full"):
        update(cases.first(rows).reduced("diag"), cases.prior("full"), np.zeros(2))


@pytest.mark.parametrize("form", cases.FORMS)
def test_a_frame_changes_nothing(form):
    found, plain = updated(form), cases.rows(form)
    plain.frame = Frame.identity(2)
    other = update(cases.first(plain), cases.prior(form), np.full(2, 0.01))
    np.testing.assert_allclose(found.means, other.means, rtol=1e-11)
    np.testing.assert_allclose(found.covariances, other.covariances, rtol=1e-9)
