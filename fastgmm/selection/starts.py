"""Starts of a batch: seeds in several metrics, and neighbours of what was found: a component split, two merged."""

from __future__ import annotations

from itertools import combinations

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
    metrics = _metrics(data)
    labels = np.empty((count, len(data.rows)), dtype=np.intp)
    for number in range(count):
        rows = metrics[number % len(metrics)]
        centres = rows[np.resize(plus_plus(rows, data.weights, n_components, rng), n_components)]
        labels[number] = ((rows[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    return data.labelled(labels, n_components)


def _metrics(data: Monomials) -> list[Floats]:
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
    """Return every mixture with each pair of its components made one: (R K (K − 1) / 2) of K − 1."""
    k = found.shares.shape[1]
    parts = []
    for i, j in combinations(range(k), 2):
        rest = [m for m in range(k) if m not in (i, j)]
        share = found.shares[:, i] + found.shares[:, j]
        part = (found.shares[:, i] / np.maximum(share, 1e-300))[:, None]
        mean = part * found.means[:, i] + (1 - part) * found.means[:, j]
        away = found.means[:, i] - found.means[:, j]
        covariance = part[..., None] * found.covariances[:, i] + (1 - part[..., None]) * found.covariances[:, j]
        covariance = covariance + (part * (1 - part))[..., None] * (away[:, :, None] * away[:, None, :])
        parts.append(
            Moments(
                np.concatenate([found.shares[:, rest], share[:, None]], axis=1),
                np.concatenate([found.means[:, rest], mean[:, None]], axis=1),
                np.concatenate([found.covariances[:, rest], covariance[:, None]], axis=1),
            )
        )
    return Moments.joined(parts)
