"""VVV, scikit-learn's "full": every component has its own covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

EMPTY = 10 * np.finfo(np.float64).eps
"""Added to each count, as scikit-learn does, so that an empty component keeps its mean instead of becoming NaN.

It shrinks with the total weight where that is below one row's: the unit of weights must not matter."""


def full(statistics: SufficientStatistics, ridge: NDArray[np.float64]) -> Parameters:
    """π_k = n_k / n; μ_k = o_k + m_k / n_k; Σ_k = S_k / n_k − (m_k / n_k)(m_k / n_k)ᵀ + diag(ridge).

    o, n, m, S are origins, sum_w, sum_x and sum_xx. The moments are about the last means, so the difference is of
    numbers of the size of Σ_k and loses nothing.
    """
    counts = statistics.sum_w + EMPTY * min(1.0, statistics.weight)
    shift = statistics.sum_x / counts[:, None]
    covariances = statistics.sum_xx / counts[:, None, None] - shift[:, :, None] * shift[:, None, :]
    diagonal = np.arange(statistics.n_features)
    covariances[:, diagonal, diagonal] += ridge
    return Parameters(counts / counts.sum(), statistics.origins + shift, covariances)
