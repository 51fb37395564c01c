"""Models with one orientation for all components: EVE and VVE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.diagonal import equal_volumes, geometric_means
from fastgmm.models.eigen import along, eigen
from fastgmm.models.ellipsoidal import symmetric
from fastgmm.models.jacobi import common_axes
from fastgmm.models.moments import EPS, Moments
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

FIRST_SWEEPS = 100
"""Largest number of sweeps from a new orientation. About ten are enough where components do share one."""

MORE_SWEEPS = 10
"""Largest number of sweeps from the orientation before: the next M-step goes on where this one ends."""


def eve(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = D λ A_k Dᵀ, (K, D, D), where D minimises Σ_k |diag w_k|^(1/D) for w_k = diag(Dᵀ W_k D).

    Given D, λ and A_k are those of EVI along its columns.
    """

    def precisions(w: Floats) -> Floats:
        w = _resolved(w)
        return np.where(w > 0, geometric_means(w)[:, None], 0.0) / np.where(w > 0, w, 1.0)

    def objective(w: Floats) -> float:
        return float(geometric_means(_resolved(w)).sum())

    scatters = moments.scatters
    if not scatters.any():
        return np.zeros_like(scatters)
    axes = _orientation(scatters, before, precisions, objective)
    w = _along(axes, scatters)
    # What is only rounding is no volume.
    rounding = moments.counts * moments.noise.max(axis=1)
    return along(axes, equal_volumes(moments.counts, np.where((w == _resolved(w)) & (w > rounding[:, None]), w, 0.0)))


def vve(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = D diag(w_k / n_k) Dᵀ, (K, D, D), where D minimises Σ_k n_k log |diag w_k| for w_k = diag(Dᵀ W_k D)."""
    counts = moments.counts[:, None]

    def precisions(w: Floats) -> Floats:
        w = _resolved(w)
        return np.where(w > 0, counts, 0.0) / np.where(w > 0, w, 1.0)

    def objective(w: Floats) -> float:
        w = _resolved(w)
        return float((counts * np.log(np.where(w > 0, w, 1.0))).sum())

    covariances = moments.cleaned
    if not covariances.any():
        return np.zeros_like(covariances)
    sizes = np.einsum("kdd->k", covariances)[:, None, None]
    axes = _orientation(covariances / np.where(sizes > 0, sizes, 1.0), before, precisions, objective)
    return along(axes, _along(axes, covariances))


def _orientation(
    scatters: Floats,
    before: Parameters | None,
    precisions: Callable[[Floats], Floats],
    objective: Callable[[Floats], float],
) -> Floats:
    """Find the common axes from those before, so that no M-step lowers what the last one reached; in columns, (D, R).

    Without any, start from the best of the axes of all rows, of each component, and of the coordinates. Directions in
    which no component has any scatter are left out: R is the rank of all.
    """
    sizes = np.einsum("kdd->k", scatters)
    some = sizes > 0
    values, vectors = np.linalg.eigh((scatters[some] / sizes[some, None, None]).sum(axis=0))
    spanned = values > len(values) * EPS * values[-1]
    if not spanned.all():
        basis = vectors[:, spanned]
        scatters, vectors, before = symmetric(basis.T @ scatters @ basis), np.eye(basis.shape[1]), None
    if before is not None:
        starts = [_axes_of(before)]
    else:
        starts = [vectors, *eigen(scatters)[1], np.eye(len(vectors))]
    start = min(starts, key=lambda axes: objective(_along(axes, scatters)))
    axes = common_axes(scatters, start, precisions, FIRST_SWEEPS if before is None else MORE_SWEEPS)
    return axes if spanned.all() else basis @ axes


def _axes_of(parameters: Parameters) -> Floats:
    """Return eigenvectors that all covariances share: those of a sum of them whose eigenvalues hardly coincide."""
    matrices = parameters.matrices
    sizes = np.einsum("kdd->k", matrices)
    golden = (np.sqrt(5) - 1) / 2
    shares = 1 + np.arange(1, len(matrices) + 1) * golden % 1
    shares = np.where(sizes > 0, shares, 0.0) / np.where(sizes > 0, sizes, 1.0)
    return np.linalg.eigh(np.tensordot(shares, matrices, axes=1))[1]


def _along(axes: Floats, scatters: Floats) -> Floats:
    """Return diag(Dᵀ W_k D), (K, D)."""
    return np.maximum(np.einsum("kdj,dj->kj", scatters @ axes, axes), 0.0)


def _resolved(w: Floats) -> Floats:
    """Raise what is only rounding of a component's largest scatter to its size, so that precisions stay finite."""
    return np.maximum(w, w.shape[1] * EPS * w.max(axis=1, keepdims=True))
