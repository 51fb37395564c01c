from __future__ import annotations

from typing import Any

import bayes_cases as cases
import numpy as np
import pytest

from fastgmm.bayes.beliefs import Beliefs, beliefs
from fastgmm.bayes.prior import Prior
from fastgmm.errors import DataError
from fastgmm.rows.memory import ArrayRows

SAID: dict[str, Any] = {
    "kind": cases.KINDS[0], "form": "full", "concentration": None, "mean_precision": None, "mean": None,
    "degrees_of_freedom": None, "covariance": None, "n_components": 4, "n_features": 2,
}  # fmt: skip


def prior(of: Beliefs, rows: ArrayRows) -> Prior:
    return of.leave(of.prior(rows, cases.TEAM), rows.frame)


def said(**changes: Any) -> Beliefs:
    return beliefs(**{**SAID, **changes})


EXPECTED = {
    "full": lambda C: C,
    "tied": lambda C: C,
    "diag": np.diag,
    "spherical": lambda C: np.diag(C).mean(),
}


@pytest.mark.parametrize("form", cases.FORMS)
def test_defaults_are_those_of_the_rows(form):
    found = prior(said(form=form), cases.rows(form))
    assert (found.concentration, found.mean_precision, found.degrees_of_freedom) == (0.25, 1.0, 2)
    np.testing.assert_allclose(found.mean, cases.X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, EXPECTED[form](np.cov(cases.X.T)), rtol=1e-12)


def test_weights_count_rows():
    counts = np.arange(len(cases.X)) % 3
    found = prior(said(), ArrayRows(cases.X, counts.astype(float)))
    repeated = np.repeat(cases.X, counts, axis=0)
    np.testing.assert_allclose(found.mean, repeated.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(repeated.T), rtol=1e-12)


@pytest.mark.parametrize("at", [0.0, 1.6e9, -1e12])
def test_moments_do_not_cancel(at):
    X = np.round(cases.X * 64) / 64 + at
    np.testing.assert_allclose(prior(said(), ArrayRows(X)).covariance, np.cov((X - at).T), rtol=1e-12)


def test_an_outlier_does_not_blur_the_covariance():
    X = np.vstack([cases.X, [1e8, 1e8]])
    weights = np.r_[np.ones(len(cases.X)), 0.0]
    np.testing.assert_allclose(prior(said(), ArrayRows(X, weights)).covariance, np.cov(cases.X.T), rtol=1e-9)


def test_what_was_said_is_kept_and_no_pass_is_made():
    found = said(mean=[1, 2], covariance=[[2, 1], [1, 2]], concentration=3, mean_precision=2, degrees_of_freedom=1.5)
    rows = cases.rows("full")
    rows.sweep = None
    known = prior(found, rows)
    np.testing.assert_array_equal(known.mean, [1, 2])
    np.testing.assert_array_equal(known.covariance, [[2, 1], [1, 2]])
    assert (known.concentration, known.mean_precision, known.degrees_of_freedom) == (3, 2, 1.5)
    np.testing.assert_allclose(found.prior(rows, cases.TEAM).leave(rows.frame).mean, [1, 2], rtol=1e-13)


def test_rows_that_count_for_one_have_no_covariance():
    rows = ArrayRows(cases.X, np.full(len(cases.X), 1 / 80))
    with pytest.raises(DataError, match=r"sum to 1.*give covariance_prior"):
        prior(said(), rows)
    assert prior(said(covariance=np.eye(2)), rows).mean == pytest.approx(cases.X.mean(axis=0))


@pytest.mark.parametrize("form", cases.FORMS)
def test_frames_keep_the_belief(form):
    rows = cases.rows(form)
    entered = cases.prior(form).enter(rows.frame)
    np.testing.assert_array_equal(entered.mean / rows.frame.scale + rows.frame.centre, cases.MEAN)
    expected = cases.belief(form).scale * np.outer(rows.frame.scale, rows.frame.scale)
    stored = entered.covariance
    matrix = np.diag(stored) if form == "diag" else stored * np.eye(2) if form == "spherical" else stored
    np.testing.assert_array_equal(matrix, expected)
