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
from fastgmm.models import FAMILIES, MODELS
from fastgmm.packed import AbstractPacked, packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.scoring import Results, score_rows
from fastgmm.threads import team
from fastgmm.validation import check_weights

Floats = NDArray[np.float64]

ENTROPY_NUMBERS = 1 << 20
"""Responsibilities that are held at a time."""


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
    model: str | None = None
    """Covariance model, of which criteria count the parameters: by default the one of the covariances' form."""
    equal_weights: bool = False
    """Whether all weights are 1/K by decree, so that they are no parameters."""

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
        model = MODELS[self.model or FAMILIES[self.parameters.form]]
        return model.n_parameters(self.n_components, self.n_features, self.equal_weights)

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

    def score(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean of `log_prob` over the rows of X, each counted by its weight."""
        rows = self._rows(X)
        return _mean(self.log_prob(rows), check_weights(sample_weight, rows.n_rows))

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
        """Return the density of some features, given by their numbers, in that order; covariances keep their form."""
        chosen = np.atleast_1d(np.asarray(features, dtype=np.intp))
        p = self.parameters
        covariances = p.covariances
        if p.form in ("full", "tied"):
            covariances = covariances[..., chosen[:, None], chosen]
        elif p.form == "diag":
            covariances = covariances[:, chosen]
        return Mixture(
            Parameters(p.weights, p.means[:, chosen], covariances, p.form),
            self.n_threads,
            equal_weights=self.equal_weights,
        )

    def _likelihood(self, X: Any, sample_weight: ArrayLike | None, weight_type: str) -> tuple[float, float]:
        """Return the log-likelihood of X and how many rows it counts."""
        rows = self._rows(X)
        weights = check_weights(sample_weight, rows.n_rows, weight_type)
        n = rows.n_rows if weights is None else float(weights.sum())
        return n * _mean(self.log_prob(rows), weights), n

    def aic(self, X: Any, sample_weight: ArrayLike | None = None, *, weight_type: str = "frequency") -> float:
        """Return Akaike's criterion on X: smaller is better."""
        log_likelihood, _ = self._likelihood(X, sample_weight, weight_type)
        return -2.0 * log_likelihood + 2.0 * self.n_parameters

    def bic(self, X: Any, sample_weight: ArrayLike | None = None, *, weight_type: str = "frequency") -> float:
        """Return Schwarz's Bayesian criterion on X: smaller is better."""
        log_likelihood, n = self._likelihood(X, sample_weight, weight_type)
        return -2.0 * log_likelihood + self.n_parameters * math.log(n)

    def icl(self, X: Any, sample_weight: ArrayLike | None = None, *, weight_type: str = "frequency") -> float:
        """Return the integrated completed likelihood on X: `bic` + 2 · entropy of the labels; smaller is better.

        References
        ----------
        Biernacki, Celeux and Govaert (2000), Assessing a mixture model for clustering with the integrated completed
        likelihood. IEEE PAMI 22, 719-725.
        """
        rows = self._rows(X)
        weights = check_weights(sample_weight, rows.n_rows, weight_type)
        return self.bic(rows, sample_weight, weight_type=weight_type) + 2.0 * self._entropy(rows, weights)

    def _entropy(self, rows: AbstractRows, weights: Floats | None) -> float:
        """Return −Σ_ik w_i γ_ik log γ_ik, a piece of the rows at a time."""
        entropies = np.empty(rows.n_rows)
        for start, X, _ in rows.spans(1, max(1, ENTROPY_NUMBERS // self.n_components)):
            shares = self.responsibilities(X)
            logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
            entropies[start : start + len(X)] = -np.einsum("ik,ik->i", shares, logs)
        return float(entropies.sum() if weights is None else entropies @ weights)


def _mean(values: Floats, weights: Floats | None) -> float:
    """Return the weighted mean; a row without weight does not count even where its value is infinite."""
    if weights is None:
        return float(values.mean())
    counted = weights > 0
    return float(np.average(values[counted], weights=weights[counted]))
