"""Models whose ellipsoids share a shape and are turned each its own way: EEV and VEV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.diagonal import equal_shapes, volumes
from fastgmm.models.moments import EPS, Moments
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def eev(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = V_k (Σ_j Ω_j / n) V_kᵀ with W_k = V_k Ω_k V_kᵀ, eigenvalues in one order, (K, D, D)."""
    values, vectors = eigen(moments.scatters)
    shape = values.sum(axis=0) / moments.counts.sum()
    return along(vectors, np.broadcast_to(shape, values.shape))


def vev(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = V_k λ_k A V_kᵀ: W_k = V_k Ω_k V_kᵀ as in EEV, then λ_k and A from Ω_k as in VEI, (K, D, D)."""
    values, vectors = eigen(moments.scatters)
    return along(vectors, equal_shapes(moments.counts, values, volumes(before)))


def eigen(scatters: Floats) -> tuple[Floats, Floats]:
    """Return eigenvalues (K, D), rising, those that are only rounding set to 0, and vectors in columns (K, D, D)."""
    values, vectors = np.linalg.eigh(scatters)
    return np.where(values > scatters.shape[1] * EPS * values[:, -1:], values, 0.0), vectors


def along(axes: Floats, variances: Floats) -> Floats:
    """Return V_k diag(v_k) V_kᵀ, (K, D, D), symmetric to the bit; axes (K, D, D) or the same for all (D, D)."""
    half = axes * np.sqrt(variances)[:, None, :]
    product = half @ half.swapaxes(1, 2)
    return (product + product.swapaxes(1, 2)) / 2
