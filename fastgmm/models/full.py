"""VVV, scikit-learn's "full": every component has its own covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.moments import Moments
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def vvv(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = W_k / n_k, (K, D, D)."""
    return moments.covariances
