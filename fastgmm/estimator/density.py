"""Fitted densities: the methods that every mixture estimator has once it is fitted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import errors, features
from fastgmm.backend import as_rows, opened
from fastgmm.estimator.protocol import AbstractEstimator
from fastgmm.mixture import Mixture
from fastgmm.parameter_checks import random_state
from fastgmm.rows.base import AbstractRows

Floats = NDArray[np.float64]
OutPath = str | os.PathLike[str]


class AbstractMixtureEstimator(AbstractEstimator):
    """An estimator whose fit is a density of K components: labels, probabilities, likelihoods, samples."""

    mixture_: Mixture
    means_: NDArray[Any]
    n_features_in_: int
    random_state: Any

    @overload
    def score_samples(self, X: Any) -> NDArray[Any]: ...
    @overload
    def score_samples(self, X: Any, *, out: OutPath) -> Path: ...
    def score_samples(self, X: Any, *, out: OutPath | None = None) -> NDArray[Any] | Path:
        """Return the log-likelihood of each row, (N,): float32 where the rows and those of the fit are.

        With `out`, ``.npy`` or ``.parquet``, they are written there as they come, and its path is returned.
        """
        return self._results(X, "log_likelihoods", out)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log-likelihood of the rows, each counted by its weight."""
        X = opened(X)
        return self._fitted(X).score(X, sample_weight)

    @overload
    def predict(self, X: Any) -> NDArray[np.int64]: ...
    @overload
    def predict(self, X: Any, *, out: OutPath) -> Path: ...
    def predict(self, X: Any, *, out: OutPath | None = None) -> NDArray[np.int64] | Path:
        """Return the most probable component of each row, (N,).

        With `out`, ``.npy`` or ``.parquet``, they are written there as they come, and its path is returned.
        """
        X = opened(X)
        mixture = self._fitted(X)
        return mixture.predict(X) if out is None else mixture.write(X, out)

    @overload
    def predict_proba(self, X: Any) -> NDArray[Any]: ...
    @overload
    def predict_proba(self, X: Any, *, out: OutPath) -> Path: ...
    def predict_proba(self, X: Any, *, out: OutPath | None = None) -> NDArray[Any] | Path:
        """Return the posterior probabilities of the components, (N, K): float32 where the rows and the fit's are.

        With `out`, ``.npy`` or ``.parquet``, they are written there as they come, and its path is returned.
        """
        return self._results(X, "responsibilities", out)

    def _results(self, X: Any, kind: str, out: OutPath | None) -> NDArray[Any] | Path:
        """Return results in the dtype of the rows and the fit, or write them."""
        X = opened(X)
        mixture = self._fitted(X)
        rows = as_rows(X, n_features=self.n_features_in_, once=True)
        dtype = self._dtype(rows)
        if out is not None:
            return mixture.write(rows, out, kind, dtype)
        found = mixture.log_prob(rows) if kind == "log_likelihoods" else mixture.responsibilities(rows)
        return found.astype(dtype, copy=False)

    def _dtype(self, rows: AbstractRows) -> np.dtype[Any]:
        return np.result_type(rows.dtype, self.means_.dtype)

    def sample(self, n_samples: int = 1) -> tuple[Floats, NDArray[np.int64]]:
        """Draw rows (n, D) from the fitted density, and their components (n,)."""
        mixture = self._fitted(None)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        return mixture.sample(n_samples, random_state(self.random_state, type(self).__name__))

    def _fitted(self, X: Any) -> Mixture:
        if not hasattr(self, "mixture_"):
            raise errors.not_fitted_error()(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments before "
                "using this estimator."
            )
        features.check(self, X)
        return self.mixture_
