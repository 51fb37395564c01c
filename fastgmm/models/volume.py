"""EVV: one volume, and every component's own shape and orientation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.moments import EPS, Moments, no_volume
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def evv(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = λ W_k / g_k with g_k = |W_k|^(1/D) and λ = Σ_k g_k / n, (K, D, D).

    A component without any scatter may have any shape: it gets that of all.

    Raises
    ------
    DegenerateComponentError
        If a component has scatter in some directions only: the best variances are infinite along those.
    """
    counts, scatters = moments.counts, moments.scatters
    some = np.einsum("kdd->k", scatters) > 0
    if not some.any():
        return np.zeros_like(scatters)
    scatters = np.where(some[:, None, None], scatters, scatters.sum(axis=0))
    means = np.array([_volume(k, scatter) for k, scatter in enumerate(scatters)])
    return means[some].sum() / counts.sum() * (scatters / means[:, None, None])


def _volume(component: int, scatter: Floats) -> float:
    """Return |W|^(1/D), from variances and correlations, so that units do not matter."""
    units = np.sqrt(np.diagonal(scatter))
    if not units.all():
        raise no_volume(component)
    values = np.linalg.eigvalsh(scatter / units[:, None] / units)
    if not values[0] > len(units) * EPS * values[-1]:
        raise no_volume(component)
    return float(np.exp((2 * np.log(units) + np.log(values)).mean()))
