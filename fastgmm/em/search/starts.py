"""Varied starts of short runs: centres drawn in several metrics, with one covariance for all.

Which optimum EM ends in depends on the metric that centres are spread in; none is best everywhere (Scrucca and Raftery
2015). Drawing centres costs a pass at most, assigning rows to them would cost two more.

References
----------
Scrucca, L. and Raftery, A. E. (2015). Improved initialisation of model-based clustering using Gaussian hierarchical
partitions. Advances in Data Analysis and Classification 9, 447-460.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.pieces import formed
from fastgmm.em.search.problem import Problem
from fastgmm.initialise.overall import overall
from fastgmm.initialise.seeding import measured, plus_plus
from fastgmm.models import MODELS
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

KINDS = ("standardised", "pulled", "whitened", "rows", "raw")
"""k-means++ in three metrics; rows at random; and such rows pulled to the mean, so that components begin as one."""

PULL = 0.25
"""Distance of pulled rows from the mean, as a share of the rows'."""


class Starts:
    """Starts of one search, each drawn when it is asked for: of every kind in turn."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        rows = problem.rows
        X, weights = rows.take(np.arange(rows.n_rows))
        self._rows = rows.frame.rows(X)
        self._weights = weights if weights.size else np.ones(len(X))
        self._mean, self._covariance = overall(rows, problem.team)
        self._number = 0

    def draw(self) -> Parameters:
        """Return the next start, in the coordinates of the rows' frame."""
        kind = KINDS[self._number % len(KINDS)]
        self._number += 1
        k, d = self._problem.n_components, self._rows.shape[1]
        share = k ** (-2 / d)
        if kind in ("rows", "pulled"):
            chances = self._weights / self._weights.sum()
            chosen = self._problem.rng.choice(len(self._rows), k, replace=(chances > 0).sum() < k, p=chances)
        else:
            self._problem.budget.meter.count(len(self._rows), measured(k))
            found = plus_plus(self._metric(kind), self._weights, k, self._problem.rng)
            chosen = np.resize(found, k)
        means = self._rows[chosen]
        if kind == "pulled":
            means, share = self._mean + PULL * (means - self._mean), 1.0
        matrices = np.repeat((share * self._covariance + np.diag(self._ridge()))[None], k, axis=0)
        return formed(np.full(k, 1 / k), means, matrices, MODELS[self._problem.settings.model].form)

    def _metric(self, kind: str) -> Floats:
        """Return the rows in coordinates in which distances are Euclidean."""
        if kind == "whitened":
            return np.ascontiguousarray(self._rows @ self._problem.guard.whitener.T)
        scale = 1 / self._problem.rows.frame.scale
        if kind == "standardised":
            deviations = np.sqrt(np.diagonal(self._covariance))
            scale = 1 / np.where(deviations > 0, deviations, 1.0)
        return np.ascontiguousarray(self._rows * scale)

    def _ridge(self) -> Floats:
        """Return what keeps the covariance positive definite, (D,)."""
        variances = np.diagonal(self._covariance)
        return np.broadcast_to(np.asarray(self._problem.settings.ridge), variances.shape) + 1e-9 * variances
