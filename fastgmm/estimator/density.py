"""Fitted densities: the methods that every mixture estimator has once it is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm import errors, features
from fastgmm.estimator.protocol import AbstractEstimator
from fastgmm.mixture import Mixture
from fastgmm.parameter_checks import random_state

Floats = NDArray[np.float64]


class AbstractMixtureEstimator(AbstractEstimator):
    """An estimator whose fit is a density of K components: labels, probabilities, likelihoods, samples."""

    mixture_: Mixture
    random_state: Any

    def score_samples(self, X: Any) -> Floats:
        """Return the log-likelihood of each row, (N,)."""
        return self._fitted(X).log_prob(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood of the rows."""
        return self._fitted(X).score(X)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each row, (N,)."""
        return self._fitted(X).predict(X)

    def predict_proba(self, X: Any) -> Floats:
        """Return the posterior probabilities of the components for each row, (N, K)."""
        return self._fitted(X).responsibilities(X)

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
