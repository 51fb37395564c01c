"""Guard: which mixtures a search does not take for optima, however large their likelihood.

A likelihood has no maximum: a component may shrink onto D + 1 rows, or onto rows whose rounded values lie in a plane
(Day 1969). Such optima say nothing of the data, and a harder search finds more of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

FLATTEST = 3e-4
"""Least eigenvalue of a covariance, as a share of the largest of any, where all rows' covariance is the unit matrix.

Fisher's irises with K = 3 have optima at 1e-5 and below (rows with equal petal widths), the best of the others have
4e-3; Old Faithful with K = 4 has 1e-8 (equal durations) and 1e-4 (nine rows along a line), the best of the others 2e-3.
"""

NONE = 1e-14
"""Variance, of the largest of standardised features, that is told from none."""


@dataclass(frozen=True, eq=False)
class Guard:
    """Bounds of one search.

    Parameters
    ----------
    whitener : array of shape (R, D)
        W with W S Wᵀ = 1 for the covariance S of all rows, whose rank is R.
    weight : float
        How many rows the weights 1 stand for.
    smallest : float
        Least effective count n_k = π_k · weight.
    flattest : float
        Least ratio of eigenvalues.
    """

    whitener: Floats
    weight: float
    smallest: float
    flattest: float

    @classmethod
    def of(cls, covariance: Floats, weight: float) -> Guard:
        """Return the guard for rows of a covariance (D, D)."""
        deviations = np.sqrt(np.diagonal(covariance))
        deviations = np.where(deviations > 0, deviations, 1.0)
        values, vectors = np.linalg.eigh(covariance / deviations[:, None] / deviations)
        varies = values > NONE * values[-1]
        whitener = vectors.T[varies] / np.sqrt(values[varies])[:, None] / deviations
        return cls(whitener, weight, len(values) + 2.0, FLATTEST)

    def counts(self, parameters: Parameters) -> float:
        """Return the least effective count."""
        return float(parameters.weights.min() * self.weight)

    def flatness(self, parameters: Parameters) -> float:
        """Return the least eigenvalue of a covariance over the largest, both relative to all rows."""
        values = np.linalg.eigvalsh(self.whitener @ parameters.matrices @ self.whitener.T)
        return float(values[:, 0].min() / values[:, -1].max())

    def loosened(self, parameters: Parameters) -> Guard:
        """Return the guard that passes these parameters too: the plain fit is a solution whatever it is like."""
        return Guard(
            self.whitener,
            self.weight,
            min(self.smallest, self.counts(parameters)),
            min(self.flattest, self.flatness(parameters)),
        )

    def passes(self, parameters: Parameters) -> bool:
        """Return whether no component is too small or too flat."""
        return self.counts(parameters) >= self.smallest and self.flatness(parameters) >= self.flattest
