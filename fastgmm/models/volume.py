"""EVV: one volume, and every component's own shape and orientation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.ellipsoidal import principal, symmetric
from fastgmm.models.moments import EPS, Moments, no_volume
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def evv(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = λ W_k / g_k with g_k = |W_k|^(1/D) and λ = Σ_k g_k / n, (K, D, D).

    A component without any scatter may have any shape: it gets that of all. Directions in which no component has any
    are left out, and get variances of 0.

    Raises
    ------
    DegenerateComponentError
        If a component lacks scatter in some of the other directions: the best variances are infinite along the rest.
    """
    counts, scatters = moments.counts, moments.scatters
    some = np.einsum("kdd->k", scatters) > 0
    if not some.any():
        return np.zeros_like(scatters)
    units, values, vectors = principal(counts[some], scatters[some])
    scatters = np.where(some[:, None, None], scatters, scatters.sum(axis=0))
    spanned = scatters
    if len(values) < len(units):
        spanned = symmetric(vectors.T @ (scatters / units[:, None] / units) @ vectors)
    variances = np.einsum("kdd->kd", moments.cleaned)
    rounding = (moments.noise / np.where(variances > 0, variances, np.inf)).max(axis=1)
    means = np.array([_volume(k, scatter, rounding[k]) for k, scatter in enumerate(spanned)])
    return means[some].sum() / counts.sum() * (scatters / means[:, None, None])


def _volume(component: int, scatter: Floats, rounding: float) -> float:
    """Return |W|^(1/D), from variances and correlations, so that units do not matter.

    An eigenvalue of the correlations that may be only rounding of the sums is no volume.
    """
    units = np.sqrt(np.maximum(np.diagonal(scatter), 0.0))
    if not units.all():
        raise no_volume(component)
    values = np.linalg.eigvalsh(scatter / units[:, None] / units)
    if not values[0] > len(units) * EPS * values[-1] + rounding:
        raise no_volume(component)
    return float(np.exp((2 * np.log(units) + np.log(values)).mean()))
