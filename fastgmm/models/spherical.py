"""Spherical models: every covariance is a multiple λ of the identity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.moments import Moments
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def eii(moments: Moments, before: Parameters | None = None) -> Floats:
    """λ = tr W / (n D) for all, (K,)."""
    return np.repeat(moments.cleaned.mean(axis=1), len(moments.sizes))


def vii(moments: Moments, before: Parameters | None = None) -> Floats:
    """λ_k = tr W_k / (n_k D), (K,). scikit-learn's "spherical"."""
    return np.maximum(moments.covariances, 0.0).mean(axis=1)
