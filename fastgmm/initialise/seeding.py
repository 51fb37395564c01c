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
    from fastgmm.kernels.distances import NEIGHBOURS
    from fastgmm.kernels.layout import WIDTH
    from fastgmm.kernels.variants import distances_kernel

    # Candidates are drawn where distances are measured: by cumulated sums in NumPy a draw took longer than the
    # distances after it, 45 µs for 30 of 16 384 × 3, and with its temporaries most of a start with K = 64.
    n, d = X.shape
    stride = -(-n // WIDTH) * WIDTH
    columns, padded = np.zeros((d, stride)), np.zeros(stride)
    columns[:, :n], padded[:n] = X.T, weights
    workers = team if X.size >= SHARED else ALONE
    count, chunks = candidates(n_centres), range(0, stride, NEIGHBOURS)
    some, found, masses = np.empty(count, dtype=np.intp), np.empty((count, stride)), np.empty((count, len(chunks)))
    nearest = np.full(stride, float((np.ptp(X, axis=0) ** 2).sum()) or 1.0)  # no row is farther from another
    shares, inertia, chosen = np.add.reduceat(padded * nearest, chunks), np.inf, list[int]()
    while len(chosen) < n_centres and inertia > 0:
        uniforms = rng.uniform(size=count if chosen else 1)
        given = columns.ravel(), stride, d, uniforms, nearest, padded, shares
        workers.run(distances_kernel, *given, some, found.ravel(), masses)
        inertias = masses[: len(uniforms)].sum(axis=1)
        best = int(inertias.argmin())
        chosen.append(int(some[best]))
        nearest[:], shares[:], inertia = found[best], masses[best], inertias[best]
    return np.array(chosen, dtype=np.intp)
