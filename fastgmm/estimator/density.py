"""Fitted densities: the methods that every mixture estimator has once it is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import errors, features
from fastgmm.backend import as_rows
from fastgmm.estimator.protocol import AbstractEstimator
from fastgmm.mixture import Mixture
from fastgmm.parameter_checks import random_state
from fastgmm.rows.base import AbstractRows

Floats = NDArray[np.float64]


class AbstractMixtureEstimator(AbstractEstimator):
    """An estimator whose fit is a density of K components: labels, probabilities, likelihoods, samples."""

    mixture_: Mixture
    means_: NDArray[Any]
    n_features_in_: int
    random_state: Any

    def score_samples(self, X: Any) -> NDArray[Any]:
        """Return the log-likelihood of each row, (N,): float32 where the rows and those of the fit are."""
        mixture, rows = self._fitted(X), as_rows(X, n_features=self.n_features_in_)
        return mixture.log_prob(rows).astype(self._dtype(rows), copy=False)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log-likelihood of the rows, each counted by its weight."""
        return self._fitted(X).score(X, sample_weight)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each row, (N,)."""
        return self._fitted(X).predict(X)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the posterior probabilities of the components, (N, K): float32 where the rows and the fit's are."""
        mixture, rows = self._fitted(X), as_rows(X, n_features=self.n_features_in_)
        return mixture.responsibilities(rows).astype(self._dtype(rows), copy=False)

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
