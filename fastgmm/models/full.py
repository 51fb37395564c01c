"""VVV, scikit-learn's "full": every component has its own covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.moments import EMPTY as EMPTY
from fastgmm.models.moments import Moments
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]


def vvv(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = W_k / n_k, (K, D, D)."""
    return moments.covariances


def full(statistics: SufficientStatistics, ridge: Floats) -> Parameters:
    """π_k = n_k / n; μ_k = x̄_k; Σ_k = W_k / n_k + diag(ridge): `maximise` with VVV, without its checks."""
    moments = Moments.of(statistics)
    diagonal = np.arange(statistics.n_features)
    moments.covariances[:, diagonal, diagonal] += ridge
    return Parameters(moments.sizes / moments.sizes.sum(), moments.means, moments.covariances)
