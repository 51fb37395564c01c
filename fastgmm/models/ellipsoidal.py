"""Models whose ellipsoids have one shape and orientation: EEE and VEE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.diagonal import FLATTEST, MAX_ALTERNATIONS, TOLERANCE, volumes
from fastgmm.models.moments import EPS, Moments
from fastgmm.parameters import Parameters
from fastgmm.triangles import inverses

Floats = NDArray[np.float64]


def eee(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ = W / n for all, (D, D). scikit-learn's "tied"."""
    return moments.covariances[0]


def vee(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = λ_k C: alternate C ∝ Σ_k W_k / λ_k and λ_k = tr(W_k C⁻¹) / (n_k D), (K, D, D).

    There is one maximum (the objective is geodesically concave). The alternation runs where Σ_k W_k is about the
    identity, so that C is well-conditioned whatever the units and correlations; directions without any scatter and
    components without any are left out, and get variances of 0.
    """
    counts, scatters = moments.counts, moments.scatters
    components = np.einsum("kdd->k", scatters) > 0
    result = np.zeros_like(scatters)
    if not components.any():
        return result
    n, w = counts[components], scatters[components]
    units, values, vectors = principal(n, w)
    colour = units[:, None] * vectors * np.sqrt(values)
    whitener = (vectors / np.sqrt(values)).T / units
    w = whitener @ w @ whitener.T
    start = volumes(before)
    common, traces = alternate(n, w, None if start is None else start[components])
    volume = traces / (n * len(whitener))
    result[components] = volume[:, None, None] * symmetric(colour @ common @ colour.T)
    return result


def symmetric(matrices: Floats) -> Floats:
    """Return matrices that are symmetric but for rounding as such."""
    return (matrices + matrices.swapaxes(-1, -2)) / 2


def principal(n: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Return units (D,), eigenvalues (R,) and vectors (D, R) of the scatter of all, taken with equal volumes.

    The eigenvectors are those of the correlations, in units of the features' own; of rank R, without those of 0.
    """
    variances = np.einsum("kdd->kd", w)
    total = variances.sum(axis=0)
    sizes = (variances / np.where(total > 0, total, 1.0)).sum(axis=1)
    pooled = np.tensordot(n / sizes, w, axes=1)
    units = np.sqrt(np.diagonal(pooled))
    units = np.where(units > 0, units, 1.0)
    values, vectors = np.linalg.eigh(symmetric(pooled / units[:, None] / units))
    spanned = values > len(values) * EPS * values[-1]
    return units, values[spanned], vectors[:, spanned]


def alternate(n: Floats, w: Floats, start: Floats | None = None) -> tuple[Floats, Floats]:
    """Repeat t_k = tr(W_k C⁻¹), C = D / n Σ_k n_k W_k / t_k, from a sphere or volumes; return C and t."""
    d = w.shape[1]
    common, traces = np.eye(d), np.einsum("kdd->k", w)
    if start is not None:
        resumed = np.tensordot(1 / start, w, axes=1)
        found = _traces(w, resumed)
        if found is not None:
            common, traces = resumed, found
    for _ in range(MAX_ALTERNATIONS):
        found = d / n.sum() * np.tensordot(n / traces, w, axes=1)
        updated = _traces(w, found)
        if updated is None:
            break
        last, common, traces = traces, found, updated
        if (np.abs(traces - last) <= TOLERANCE * traces).all():
            break
    return common, traces


def _traces(w: Floats, common: Floats) -> Floats | None:
    """Return tr(W_k C⁻¹), (K,), unless C is singular to a part in 1e10."""
    try:
        inverse = inverses(np.asarray(np.linalg.cholesky(common)[None], dtype=np.float64))[0]
    except np.linalg.LinAlgError:
        return None
    if np.linalg.norm(inverse) ** 2 * np.trace(common) > 1 / FLATTEST:
        return None
    return np.einsum("kde,de->k", w, inverse.T @ inverse)
