"""k-means++: centres drawn far from each other (Arthur and Vassilvitskii 2007), greedily among a few candidates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastgmm.threads import ALONE, Team

Floats = NDArray[np.float64]


SHARED = 1 << 18
"""Numbers in the rows from which a team measures distances, each of its threads from some of the candidates."""


def candidates(n_centres: int) -> int:
    """Return how many rows a round of k-means++ compares, after the first."""
    return 2 + int(math.log(n_centres))


def measured(n_centres: int) -> int:
    """Return how many distances of each row k-means++ takes."""
    return 1 + (n_centres - 1) * candidates(n_centres)


def plus_plus(
    X: Floats, weights: Floats, n_centres: int, rng: np.random.RandomState, team: Team = ALONE
) -> NDArray[np.intp]:
    """Draw the row numbers of centres, each with probability ∝ weight · squared distance to those drawn before.

    In each round 2 + log K candidates are drawn and the one is kept that leaves the smallest inertia, as scikit-learn
    does. Fewer than `n_centres` numbers are returned if X (n, D) has fewer distinct rows.
    """
    from fastgmm.kernels.target import GROUP, LANES
    from fastgmm.kernels.variants import distances_kernel

    n, d = X.shape
    stride = -(-n // (GROUP * LANES)) * GROUP * LANES
    columns, padded = np.zeros((d, stride)), np.zeros(stride)
    columns[:, :n], padded[:n] = X.T, weights
    workers = team if X.size >= SHARED else ALONE
    count = candidates(n_centres)
    found, inertias = np.empty((count, stride)), np.empty(count)
    nearest, inertia, chosen = np.full(stride, np.inf), np.inf, list[int]()
    while len(chosen) < n_centres and inertia > 0:
        some = _draw(weights * nearest[:n], rng, count) if chosen else _draw(weights, rng, 1)
        arguments = columns.ravel(), stride, d, X[some].ravel(), nearest, padded, found.ravel(), inertias
        workers.run(distances_kernel, *arguments)
        best = int(inertias[: len(some)].argmin())
        chosen.append(int(some[best]))
        nearest, inertia = found[best].copy(), inertias[best]
    return np.array(chosen, dtype=np.intp)


def _draw(masses: Floats, rng: np.random.RandomState, size: int) -> NDArray[np.intp]:
    """Draw row numbers with probabilities proportional to masses."""
    cumulated = np.cumsum(masses)
    places = np.searchsorted(cumulated, rng.uniform(size=size) * cumulated[-1], side="right")
    last = len(masses) - 1 if masses[-1] > 0 else int(np.flatnonzero(masses)[-1])
    return np.minimum(places, last)
