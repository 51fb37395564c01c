"""k-means++: centres drawn far from each other (Arthur and Vassilvitskii 2007), greedily among a few candidates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def plus_plus(X: Floats, weights: Floats, n_centres: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Draw the row numbers of centres, each with probability ∝ weight · squared distance to those drawn before.

    In each round 2 + log K candidates are drawn and the one is kept that leaves the smallest inertia, as scikit-learn
    does. Fewer than `n_centres` numbers are returned if X (n, D) has fewer distinct rows.
    """
    from fastgmm.kernels.target import GROUP, LANES
    from fastgmm.kernels.variants import products_kernel

    n, d = X.shape
    step = GROUP * LANES
    columns = np.zeros((d, -(-n // step) * step))
    columns[:, :n] = X.T
    norms = np.einsum("ij,ij->i", X, X)
    products = np.empty((LANES, columns.shape[1]))
    kernel = products_kernel("serial")
    points = np.zeros((d, LANES))

    def distances(candidates: NDArray[np.intp]) -> Floats:
        points[:, : len(candidates)] = X[candidates].T
        kernel(columns.ravel(), columns.shape[1], d, points.ravel(), products.ravel())
        squared = norms + norms[candidates, None] - 2.0 * products[: len(candidates), :n]
        np.maximum(squared, 0.0, out=squared)
        squared[np.arange(len(candidates)), candidates] = 0.0
        return squared

    n_candidates = min(2 + int(math.log(n_centres)), LANES)
    chosen = [_draw(weights, rng, 1)[0]]
    nearest = distances(np.array(chosen))[0]
    noise = 64 * np.finfo(np.float64).eps * norms.max(initial=0.0)  # what equal rows may differ by in this formula
    nearest[nearest <= noise] = 0.0
    while len(chosen) < n_centres and nearest.any():
        candidates = _draw(weights * nearest, rng, n_candidates)
        remaining = np.minimum(distances(candidates), nearest)
        remaining[remaining <= noise] = 0.0
        best = int((remaining @ weights).argmin())
        chosen.append(candidates[best])
        nearest = remaining[best]
    return np.array(chosen, dtype=np.intp)


def _draw(masses: Floats, rng: np.random.RandomState, size: int) -> NDArray[np.intp]:
    """Draw row numbers with probabilities proportional to masses."""
    cumulated = np.cumsum(masses)
    places = np.searchsorted(cumulated, rng.uniform(size=size) * cumulated[-1], side="right")
    return np.minimum(places, int(np.flatnonzero(masses)[-1]))
