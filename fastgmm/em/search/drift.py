"""Drift: how near rows may have come to components that moved, from how far they were.

With distances ‖L⁻¹ (x − μ)‖ and A = L'⁻¹ L, the distance after a move from (μ, L) to (μ', L') is
‖A L⁻¹ (x − μ) + L'⁻¹ (μ − μ')‖ ≥ σ_min(A) ‖L⁻¹ (x − μ)‖ − ‖L'⁻¹ (μ − μ')‖, for all rows at once and without reading any
(Elkan 2003 bounds the distances of k-means so). `bounded_task.transport` says the same of K components and K others, by
a kernel that a search of few rows would wait for.

References
----------
Elkan, C. (2003). Using the triangle inequality to accelerate k-means. Proceedings of the 20th International Conference
on Machine Learning, 147-153.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.board import NOTHING
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def drifted(distances: Floats, before: Parameters, after: Parameters) -> Floats:
    """Return lower bounds of distances (N, K) after a move, from such bounds before it.

    `before` may have one component for all of `after`, or `after` one for all of `before`.

    Raises
    ------
    DegenerateComponentError
        If a covariance is not positive definite.
    """
    turned = after.whiteners @ before.choleskys
    least = np.linalg.svd(turned, compute_uv=False)[:, -1]
    steps = np.einsum("kde,ke->kd", after.whiteners, after.means - before.means)
    bounds: Floats = np.maximum(distances * least - np.sqrt((steps**2).sum(axis=1)), 0.0)
    return bounds


def far(logs: Floats, parameters: Parameters, k: int) -> Floats:
    """Return the distances that give weighted log-densities (n,) under component `k`."""
    return np.sqrt(np.maximum(2 * (parameters.log_constants[k] - logs), 0.0))


def highest(distances: Floats, parameters: Parameters) -> Floats:
    """Return the weighted log-densities (N, K) at distances: upper bounds from lower ones."""
    found: Floats = np.maximum(parameters.log_constants, NOTHING) - 0.5 * distances**2
    return found
