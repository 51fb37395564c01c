"""Mixture: a fitted density as a value. Densities, labels, samples, marginals, criteria."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm.backend import as_rows, opened
from fastgmm.errors import DataError
from fastgmm.frame import Frame
from fastgmm.models import FAMILIES, MODELS
from fastgmm.packed import AbstractPacked, packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.limits import block_rows
from fastgmm.rows.outputs import check_apart, check_output, output
from fastgmm.scoring import WIDE, GrowingResults, PassedResults, Results, score_rows
from fastgmm.threads import team
from fastgmm.validation import run_sums

Floats = NDArray[np.float64]

COLUMNS = {
    "labels": "component",
    "responsibilities": "component",
    "log_likelihoods": "log_likelihood",
    "log_joints": "log_joint",
}
"""What may be written, and how its columns are called."""


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

    def _rows(self, X: Any, sample_weight: ArrayLike | None = None, weight_type: str = "frequency") -> AbstractRows:
        return as_rows(X, sample_weight, n_features=self.n_features, weight_type=weight_type, once=True)

    def _scored(self, X: Any, kind: str) -> NDArray[Any]:
        """Return results of one kind for all rows."""
        rows = self._rows(X)
        if not rows.counted:
            growing = GrowingResults(kind, self.n_components)
            score_rows(rows, self._packed, growing, team(self.n_threads))
            return growing.joined()
        results = Results.of(kind, rows.n_rows, self.n_components)
        score_rows(rows, self._packed, results, team(self.n_threads))
        return np.asarray(getattr(results, kind))

    def _pass(self, rows: AbstractRows, kind: str, take: Callable[[NDArray[Any], Floats], object]) -> None:
        """Hand on results of one kind, with the rows' weights, a span at a time."""
        score_rows(rows, self._packed, PassedResults(kind, self.n_components, take), team(self.n_threads))

    def log_prob(self, X: Any) -> Floats:
        """Return log p(x) of each row of X (N, D), of shape (N,)."""
        return self._scored(X, "log_likelihoods")

    def log_joint(self, X: Any) -> Floats:
        """Return log π_k N(x | μ_k, Σ_k) of each row and component, of shape (N, K)."""
        return self._scored(X, "log_joints")

    def responsibilities(self, X: Any) -> Floats:
        """Return the posterior probability of each component for each row, of shape (N, K)."""
        return self._scored(X, "responsibilities")

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each row, of shape (N,)."""
        return self._scored(X, "labels")

    def write(self, X: Any, out: str | os.PathLike[str], kind: str = "labels", dtype: Any = None) -> Path:
        """Write results for each row of X to a file as they come, in no more memory than a span of rows takes.

        Parameters
        ----------
        X : array-like of shape (N, D), or rows outside memory
            Read once.
        out : path
            ``.npy``: an array (N,) or (N, K). ``.parquet``: one column, or K of them. It is there when all rows are
            written, and not before.
        kind : {"labels", "responsibilities", "log_likelihoods", "log_joints"}, default="labels"
            What `predict`, `responsibilities`, `log_prob` and `log_joint` return.
        dtype : dtype, optional
            Default: int64 for labels, float64 for the others.

        Returns
        -------
        pathlib.Path
            `out`.

        Raises
        ------
        DataError
            If `out` cannot be written, or a row cannot be scored; then nothing is left of it.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import Mixture, Parameters
        >>> mixture = Mixture(Parameters([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]]))
        >>> np.load(mixture.write([[0.1], [3.0]], "labels.npy"))
        array([0, 1])
        """
        if kind not in COLUMNS:
            raise DataError(f"kind must be one of {', '.join(COLUMNS)}, but is {kind!r}.")
        check_output(out)
        X = opened(X)
        check_apart(out, getattr(X, "paths", ()))
        rows = self._rows(X)
        width = self.n_components if kind in WIDE else None
        with output(out, dtype or (np.int64 if kind == "labels" else np.float64), COLUMNS[kind], width) as file:
            self._pass(rows, kind, lambda values, _: file.write(values))
        return Path(out)

    def score(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean of `log_prob` over the rows of X, each counted by its weight."""
        total, weight, _ = self._totals(self._rows(X, sample_weight))
        return total / weight

    def _totals(self, rows: AbstractRows) -> tuple[float, float, int]:
        """Return the sum of log-likelihoods and that of weights, and the number of rows, by one pass.

        A row without weight does not count even where its value is infinite.
        """
        block = block_rows(self.n_features)
        sums, weights, count = list[float](), list[float](), 0

        def take(values: Floats, given: Floats) -> None:
            nonlocal count
            count += len(values)
            if given.size:
                values = np.where(given > 0, given * values, 0.0)
                weights.extend(run_sums(given, block))
            sums.extend(run_sums(values, block))

        with np.errstate(invalid="ignore"):
            self._pass(rows, "log_likelihoods", take)
        return float(np.sum(sums)), float(np.sum(weights)) if weights else float(count), count

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

    def aic(self, X: Any, sample_weight: ArrayLike | None = None, *, weight_type: str = "frequency") -> float:
        """Return Akaike's criterion on X: smaller is better."""
        total, *_ = self._totals(self._rows(X, sample_weight, weight_type))
        return -2.0 * total + 2.0 * self.n_parameters

    def bic(self, X: Any, sample_weight: ArrayLike | None = None, *, weight_type: str = "frequency") -> float:
        """Return Schwarz's Bayesian criterion on X: smaller is better."""
        return self._bic(self._rows(X, sample_weight, weight_type))

    def _bic(self, rows: AbstractRows) -> float:
        total, weight, _ = self._totals(rows)
        return -2.0 * total + self.n_parameters * math.log(weight)

    def icl(self, X: Any, sample_weight: ArrayLike | None = None, *, weight_type: str = "frequency") -> float:
        """Return the integrated completed likelihood on X: `bic` + 2 · entropy of the labels; smaller is better.

        References
        ----------
        Biernacki, Celeux and Govaert (2000), Assessing a mixture model for clustering with the integrated completed
        likelihood. IEEE PAMI 22, 719-725.
        """
        rows = as_rows(X, sample_weight, n_features=self.n_features, weight_type=weight_type)
        return self._bic(rows) + 2.0 * self._entropy(rows)

    def _entropy(self, rows: AbstractRows) -> float:
        """Return −Σ_ik w_i γ_ik log γ_ik, a span of the rows at a time."""
        block, sums = block_rows(self.n_features), list[float]()

        def take(shares: Floats, weights: Floats) -> None:
            logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
            entropies = -np.einsum("ik,ik->i", shares, logs)
            sums.extend(run_sums(entropies * weights if weights.size else entropies, block))

        self._pass(rows, "responsibilities", take)
        return float(np.sum(sums))
