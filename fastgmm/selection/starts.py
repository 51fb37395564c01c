"""Starts of a batch: seeds in several metrics, and neighbours of what was found: a component split, two merged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.initialise.seeding import plus_plus
from fastgmm.selection.batch import Moments, Monomials

Floats = NDArray[np.float64]

APART = 0.8
"""Distance of the halves of a split component from its mean, in its standard deviations along an axis."""


def seeded(data: Monomials, n_components: int, count: int, rng: np.random.RandomState) -> Moments:
    """Draw centres by k-means++ and assign the rows to the nearest, in turn in three metrics.

    As the rows are; with features of unit variance; and uncorrelated. Which is best differs by data and model.
    """
    several = metrics(data)
    labels = np.empty((count, len(data.rows)), dtype=np.intp)
    for number in range(count):
        rows = several[number % len(several)]
        centres = rows[np.resize(plus_plus(rows, data.row_weights, n_components, rng), n_components)]
        labels[number] = ((rows[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    return data.labelled(labels, n_components)


def metrics(data: Monomials) -> list[Floats]:
    """Return the rows as they are, with features of unit variance, and uncorrelated."""
    whole = data.labelled(np.zeros((1, len(data.rows)), dtype=np.intp), 1)
    covariance = whole.covariances[0, 0]
    values, vectors = np.linalg.eigh(covariance)
    deviations = np.sqrt(np.maximum(np.diagonal(covariance), 1e-300))
    turned = (data.rows @ vectors) / np.sqrt(np.maximum(values, 1e-12 * values[-1]))
    return [np.ascontiguousarray(rows) for rows in (data.rows, data.rows / deviations, turned)]


def splits(found: Moments) -> Moments:
    """Return every mixture with each of its components split in two along its longest axis: (R K) of K + 1."""
    r, k = found.shares.shape
    values, vectors = np.linalg.eigh(found.covariances)
    axes = vectors[..., -1] * np.sqrt(np.maximum(values[..., -1:], 0.0)) * APART
    parts = []
    for j in range(k):
        shares = np.concatenate([found.shares, found.shares[:, j : j + 1]], axis=1)
        shares[:, [j, -1]] /= 2
        means = np.concatenate([found.means, found.means[:, j : j + 1] + axes[:, j : j + 1]], axis=1)
        means[:, j] -= axes[:, j]
        covariances = np.concatenate([found.covariances, found.covariances[:, j : j + 1]], axis=1)
        outer = axes[:, j, :, None] * axes[:, j, None, :]
        covariances[:, [j, -1]] -= outer[:, None]
        parts.append(Moments(shares, means, covariances))
    return Moments.joined(parts) if r else found


def merges(found: Moments) -> Moments:
    """Return every mixture with each pair of its components made one: (R K (K − 1) / 2) of K − 1, pair by pair."""
    k = found.shares.shape[1]
    first, second = np.triu_indices(k, 1)
    rest = np.array([[m for m in range(k) if m not in pair] for pair in zip(first, second, strict=True)], dtype=int)
    one, other = found.shares[:, first], found.shares[:, second]
    share = one + other
    part = (one / np.maximum(share, 1e-300))[..., None]
    mean = part * found.means[:, first] + (1 - part) * found.means[:, second]
    away = found.means[:, first] - found.means[:, second]
    part = part[..., None]
    covariance = part * found.covariances[:, first] + (1 - part) * found.covariances[:, second]
    covariance += part * (1 - part) * (away[..., :, None] * away[..., None, :])

    def with_rest(values: Floats, merged: Floats) -> Floats:
        """Put what is left of every mixture and what was merged together, (R, pairs, …), and lay pairs first."""
        both = np.concatenate([values[:, rest.reshape(len(first), k - 2)], merged[:, :, None]], axis=2)
        return np.ascontiguousarray(both.swapaxes(0, 1)).reshape(-1, *both.shape[2:])

    return Moments(
        with_rest(found.shares, share), with_rest(found.means, mean), with_rest(found.covariances, covariance)
    )


def exchanges(found: Moments, most: int, rng: np.random.RandomState) -> Moments:
    """Return every mixture with each pair of components made one and each of what is left split: K (K − 1)² / 2 of K.

    Where that is more than `most` of a mixture, pairs are drawn.

    Where a component too many lies in one place and one too few in another, EM does not move it across (Ueda et al.
    2000). Which pair and which third are best is hard to tell: of 196 starts the one that led to the best optimum was
    the fiftieth by its likelihood, after one iteration as after 20. So all are taken.

    References
    ----------
    Ueda, N., Nakano, R., Ghahramani, Z. and Hinton, G. E. (2000). SMEM algorithm for mixture models. Neural Computation
    12, 2109-2128.
    """
    merged, (r, k) = merges(found), found.shares.shape
    pairs = r * max(1, most // (k - 1))
    return splits(merged[rng.choice(len(merged), pairs, replace=False)] if len(merged) > pairs else merged)
