from __future__ import annotations

import bayes_cases as cases
import numpy as np
import problems
import pytest
import reference
import variational

from fastgmm.bayes.bound import entropy, lower_bound
from fastgmm.bayes.update import update
from fastgmm.parameters import Parameters


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("form", cases.FORMS)
def test_entropy_is_that_of_the_responsibilities(form, weighted):
    rows = cases.rows(form, weighted)
    covariance = {"full": np.eye(2) + 0.2, "tied": np.eye(2) + 0.2, "diag": np.array([1.0, 2.0]), "spherical": 1.5}[
        form
    ]
    scale = np.array([1.0, 30.0]) if form != "spherical" else np.full(2, 20.0)
    covariances = covariance if form == "tied" else np.stack([np.asarray(covariance)] * 3)
    means = cases.X[:3]
    user = Parameters(np.array([0.2, 0.3, 0.5]), means, covariances, form).rescaled(means, scale)
    resp = reference.responsibilities(
        reference.log_joint(cases.X, reference.Mixture(user.weights, means, user.matrices))
    )
    row_weights = cases.ROW_WEIGHTS if weighted else np.ones(len(cases.X))
    expected = -(row_weights[:, None] * resp * np.log(np.where(resp > 0, resp, 1.0))).sum()
    inside = rows.frame.enter(user)
    found = entropy(rows.expectation(inside, cases.TEAM), inside, rows.frame.log_volume)
    assert found == pytest.approx(expected, rel=1e-11)


def test_entropy_of_one_component_is_nothing():
    one = rows = cases.rows("full")
    one = rows.frame.enter(Parameters(np.ones(1), cases.X.mean(axis=0)[None], np.cov(cases.X.T)[None]))
    assert entropy(rows.expectation(one, cases.TEAM), one, rows.frame.log_volume) == pytest.approx(0.0, abs=1e-11)


def test_components_of_weight_zero_do_not_count():
    m = problems.mixture(2, 2)
    rows = cases.rows("full")
    pair = Parameters(np.array([1.0, 0.0]), m.means, m.covariances)
    assert np.isneginf(pair.log_constants[1])
    assert entropy(rows.expectation(pair, cases.TEAM), pair, rows.frame.log_volume) == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("kind", cases.KINDS)
@pytest.mark.parametrize("form", cases.FORMS)
def test_lower_bound_is_the_oracles_at_every_iteration(form, kind, weighted):
    rows = cases.rows(form, weighted)
    prior = cases.prior(form, kind).enter(rows.frame)
    row_weights = cases.ROW_WEIGHTS if weighted else None
    steps = variational.fit(
        cases.X, cases.RESP, cases.belief(form), kind, cases.ALPHA, form, 4, row_weights=row_weights
    )
    known = update(cases.first(rows), prior, np.zeros(2))
    for step in steps[1:]:
        statistics = rows.expectation(known.expected, cases.TEAM)
        after = update(statistics, prior, np.zeros(2))
        found = lower_bound(statistics, known.expected, after, rows.frame.log_volume)
        assert found == pytest.approx(step.bound, rel=1e-11)
        known = after
    np.testing.assert_allclose(known.leave(rows.frame).means, [b.mean for b in step.components], rtol=1e-9)
