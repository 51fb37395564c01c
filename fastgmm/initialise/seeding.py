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
    from fastgmm.kernels.variants import distances_kernel

    n, d = X.shape
    step = GROUP * LANES
    columns = np.zeros((d, -(-n // step) * step))
    columns[:, :n] = X.T
    kernel = distances_kernel()

    def distances(candidates: NDArray[np.intp]) -> Floats:
        squared = np.empty((len(candidates), columns.shape[1]))
        kernel(1, columns.ravel(), columns.shape[1], d, X[candidates].ravel(), squared.ravel())
        return squared[:, :n]

    n_candidates = 2 + int(math.log(n_centres))
    chosen = [_draw(weights, rng, 1)[0]]
    nearest = distances(np.array(chosen))[0]
    while len(chosen) < n_centres and (masses := weights * nearest).any():
        candidates = _draw(masses, rng, n_candidates)
        remaining = np.minimum(distances(candidates), nearest)
        best = int((remaining * weights).sum(axis=1).argmin())
        chosen.append(candidates[best])
        nearest = remaining[best]
    return np.array(chosen, dtype=np.intp)


def _draw(masses: Floats, rng: np.random.RandomState, size: int) -> NDArray[np.intp]:
    """Draw row numbers with probabilities proportional to masses."""
    cumulated = np.cumsum(masses)
    places = np.searchsorted(cumulated, rng.uniform(size=size) * cumulated[-1], side="right")
    return np.minimum(places, int(np.flatnonzero(masses)[-1]))
