"""Rows, responsibilities and priors that tests of variational Bayes share."""

from __future__ import annotations

import dataclasses

import numpy as np
import problems
import variational

from fastgmm.bayes.prior import Prior
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

TEAM = Team(1, "serial")
FORMS = ("full", "tied", "diag", "spherical")
KINDS = ("dirichlet_process", "dirichlet_distribution")
K = 3

X = problems.drawn(problems.mixture(2, 2), 80) * [1.0, 30.0] + [100.0, -7.0]
"""Of different scales, off the origin: frames have something to do."""

RESP = np.random.default_rng(0).dirichlet(np.ones(K), len(X))
ROW_WEIGHTS = problems.row_weights(len(X))
ALPHA, KAPPA, NU = 0.7, 0.4, 2.5
MEAN = np.array([101.0, -5.0])
COVARIANCE = {
    "full": np.array([[2.0, 3.0], [3.0, 900.0]]),
    "tied": np.array([[2.0, 3.0], [3.0, 900.0]]),
    "diag": np.array([2.0, 900.0]),
    "spherical": np.array(40.0),
}


def prior(form: str, kind: str = KINDS[0]) -> Prior:
    """In the user's units."""
    return Prior(kind, ALPHA, MEAN, KAPPA, COVARIANCE[form], NU, form)


def belief(form: str) -> variational.Belief:
    """The oracle's prior."""
    scale = COVARIANCE[form]
    matrix = np.diag(scale) if scale.ndim == 1 else scale * np.eye(2) if scale.ndim == 0 else scale
    return variational.Belief(KAPPA, MEAN, NU, matrix)


def rows(form: str, weighted: bool = False) -> ArrayRows:
    """In a frame that suits the form."""
    found = ArrayRows(X, ROW_WEIGHTS if weighted else None)
    if form == "spherical":
        found.frame = found.frame.isotropic()
    return found


def first(of: ArrayRows) -> SufficientStatistics:
    """Statistics of RESP, about the middle of the frame."""
    one = Parameters(np.full(K, 1 / K), np.zeros((K, 2)), np.broadcast_to(np.eye(2), (K, 2, 2)))
    return of.expectation(one, TEAM, given=lambda start, stop: RESP[start:stop])


def replaced(of: Prior, **changes: object) -> Prior:
    """The same prior but for some fields."""
    return dataclasses.replace(of, **changes)
