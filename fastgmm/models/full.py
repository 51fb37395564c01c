"""VVV, scikit-learn's "full": every component has its own covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.moments import Moments, added
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]


def vvv(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = W_k / n_k, (K, D, D)."""
    return moments.covariances


def unconstrained(statistics: SufficientStatistics, ridge: Floats) -> Parameters:
    """Return the whole M-step where nothing but a ridge (D,) is added: by the kernel that small fits iterate with."""
    from fastgmm.kernels.variants import m_step_kernel

    found = np.empty(statistics.sum_w.shape), np.empty(statistics.sum_x.shape), np.empty(statistics.sum_xx.shape)
    sums = statistics.sum_w, statistics.sum_x, statistics.sum_xx, statistics.origins
    m_step_kernel()(1, *map(np.ascontiguousarray, sums), added(statistics.weight), np.ascontiguousarray(ridge), *found)
    return Parameters(*found)
