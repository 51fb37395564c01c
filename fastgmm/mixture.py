"""Mixture: a fitted density as a value. Densities, labels, samples, marginals, criteria."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm.backend import as_rows
from fastgmm.frame import Frame
from fastgmm.packed import AbstractPacked, packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.scoring import Results, score_rows
from fastgmm.threads import team

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixture:
    """The density Σ_k π_k N(x | μ_k, Σ_k) of a set of parameters.

    Examples
    --------
    >>> from fastgmm import Mixture, Parameters
    >>> mixture = Mixture(Parameters([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]]))
    >>> mixture.predict([[0.1], [3.0]])
    array([0, 1])
    >>> float(mixture.log_prob([[2.0]])[0].round(4))
    -2.9189
    """

    parameters: Parameters
    n_threads: int | None = None

    @property
    def n_components(self) -> int:
        """K."""
        return self.parameters.n_components

    @property
    def n_features(self) -> int:
        """D."""
        return self.parameters.n_features

    @cached_property
    def n_parameters(self) -> int:
        """Free parameters: covariances, means, weights."""
        k, d = self.parameters.means.shape
        return k * d * (d + 1) // 2 + k * d + k - 1

    @cached_property
    def _packed(self) -> AbstractPacked:
        frame = Frame.of(self.parameters)
        return packed_for_scoring(frame, frame.enter(self.parameters))

    def _rows(self, X: Any) -> AbstractRows:
        return as_rows(X, n_features=self.n_features)

    def _fill(self, rows: AbstractRows, results: Results) -> None:
        score_rows(rows, self._packed, results, team(self.n_threads))

    def log_prob(self, X: Any) -> Floats:
        """Return log p(x) of each row of X (N, D), of shape (N,)."""
        rows = self._rows(X)
        results = Results(log_likelihoods=np.empty(rows.n_rows))
        self._fill(rows, results)
        return results.log_likelihoods

    def log_joint(self, X: Any) -> Floats:
        """Return log π_k N(x | μ_k, Σ_k) of each row and component, of shape (N, K)."""
        rows = self._rows(X)
        results = Results(log_joints=np.empty((rows.n_rows, self.n_components)))
        self._fill(rows, results)
        return results.log_joints

    def responsibilities(self, X: Any) -> Floats:
        """Return the posterior probability of each component for each row, of shape (N, K)."""
        rows = self._rows(X)
        results = Results(responsibilities=np.empty((rows.n_rows, self.n_components)))
        self._fill(rows, results)
        return results.responsibilities

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each row, of shape (N,)."""
        rows = self._rows(X)
        results = Results(labels=np.empty(rows.n_rows, dtype=np.int64))
        self._fill(rows, results)
        return results.labels

    def score(self, X: Any) -> float:
        """Return the mean of `log_prob` over the rows of X."""
        return float(np.mean(self.log_prob(X)))

    def sample(self, n_samples: int, rng: np.random.RandomState) -> tuple[Floats, NDArray[np.int64]]:
        """Draw rows (n, D) and the components (n,) that they came from, ordered by component.

        Draws from the Cholesky factor: O(D²) a row and the same numbers wherever the sums are done in this order.
        """
        counts = rng.multinomial(n_samples, self.parameters.weights / self.parameters.weights.sum())
        labels = np.repeat(np.arange(self.n_components, dtype=np.int64), counts)
        X = rng.standard_normal((n_samples, self.n_features))
        ends = np.cumsum(counts)
        for k, (end, count) in enumerate(zip(ends, counts, strict=True)):
            span = slice(end - count, end)
            X[span] = self.parameters.means[k] + X[span] @ self.parameters.choleskys[k].T
        return X, labels

    def marginal(self, features: ArrayLike) -> Mixture:
        """Return the density of some features, given by their numbers, in that order."""
        chosen = np.atleast_1d(np.asarray(features, dtype=np.intp))
        p = self.parameters
        return Mixture(
            Parameters(p.weights, p.means[:, chosen], p.matrices[:, chosen[:, None], chosen]), self.n_threads
        )

    def aic(self, X: Any) -> float:
        """Return Akaike's criterion on X: smaller is better."""
        rows = self._rows(X)
        return -2.0 * rows.n_rows * self.score(rows) + 2.0 * self.n_parameters

    def bic(self, X: Any) -> float:
        """Return Schwarz's Bayesian criterion on X: smaller is better."""
        rows = self._rows(X)
        return -2.0 * rows.n_rows * self.score(rows) + self.n_parameters * math.log(rows.n_rows)
