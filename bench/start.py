"""Start: the parameters that every peer's EM starts from, and how they are found in plain NumPy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SUBSAMPLE = 20_000
LLOYD_STEPS = 2
FEWEST_ROWS_PER_FEATURE = 2
RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Start:
    """Weights (K,), means (K, D) and covariances (K, D, D) of a mixture."""

    weights: Floats
    means: Floats
    covariances: Floats

    @property
    def precisions(self) -> Floats:
        """Inverses of the covariances, of shape (K, D, D): what scikit-learn's interface asks for."""
        return np.asarray(np.linalg.inv(self.covariances), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write an .npz."""
        np.savez(path, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["weights"], arrays["means"], arrays["covariances"])


def make_start(X: Floats, n_components: int, seed: int) -> Start:
    """Return equal weights, means after two Lloyd steps from random rows, and one pooled covariance for all.

    The covariance is that within clusters. Only a random subsample of at most 20000 rows is looked at.
    """
    rng = np.random.default_rng(seed)
    rows = X[np.sort(rng.choice(len(X), min(len(X), SUBSAMPLE), replace=False))]
    # Tried: k-means++. It picks outliers: on china-patches, clusters of one row, whose covariances collapse at once.
    means = rows[rng.choice(len(rows), n_components, replace=False)]
    for _ in range(LLOYD_STEPS):
        means = _lloyd(rows, means, rng)
    residuals = rows - means[_labels(rows, means)]
    pooled = residuals.T @ residuals / len(rows) + RIDGE * np.eye(X.shape[1])
    return Start(np.full(n_components, 1.0 / n_components), means, np.repeat(pooled[None], n_components, axis=0))


def _labels(rows: Floats, means: Floats) -> NDArray[np.intp]:
    distances: Floats = 0.5 * np.square(means).sum(axis=1) - rows @ means.T  # (N, K), less what a row has in common
    return np.asarray(np.argmin(distances, axis=1))


def _lloyd(rows: Floats, means: Floats, rng: np.random.Generator) -> Floats:
    """Return the mean of each cluster's rows; one too small to have a covariance gets half of a large one instead."""
    labels = _labels(rows, means)
    counts = np.bincount(labels, minlength=len(means))
    moved = np.array([rows[labels == k].mean(axis=0) if counts[k] else means[k] for k in range(len(means))])
    few = np.flatnonzero(counts <= FEWEST_ROWS_PER_FEATURE * rows.shape[1])
    for k, large in zip(few, np.argsort(-counts, kind="stable"), strict=False):
        mine = np.flatnonzero(labels == large)
        moved[k] = rows[rng.choice(mine, (len(mine) + 1) // 2, replace=False)].mean(axis=0)
    return moved
