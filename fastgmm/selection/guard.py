"""Which optima count: the likelihood of mixtures has no maximum, and many that say nothing but of a few rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS_PER_NUMBER = 2.0


@dataclass(frozen=True)
class Guard:
    """Bounds that an optimum keeps: rows that each component holds, and its least variance."""

    min_rows: float | None = None
    """Least weight of a component, in rows. None: `ROWS_PER_NUMBER` for each number that is a component's own."""
    min_variance: float = 1e-3
    """Least variance of a component in any direction, as a share of that of all rows in that direction."""

    def rows_wanted(self, model: str, n_features: int) -> float:
        """Return how many rows a component must hold, by the numbers that are its own.

        Those are D of its mean and, where they vary, one of the volume and D − 1 of the shape and of the orientation;
        that has more than D − 1 beyond two features, but asking for D² rows would refuse what is well determined.
        """
        if self.min_rows is not None:
            return self.min_rows
        volume, shape, orientation = (letter == "V" for letter in model)
        return ROWS_PER_NUMBER * (n_features + volume + (n_features - 1) * (shape + orientation))

    def admits(
        self, shares: Floats, covariances: Floats, least_share: Floats | float, whitener: Floats
    ) -> NDArray[np.bool_]:
        """Return which mixtures count, by shares (R, K), covariances (R, K, D, D) and what whitens all rows (D, D)."""
        finite = np.asarray(np.isfinite(covariances).all(axis=(1, 2, 3)))
        some, d = np.where(finite[:, None, None, None], covariances, 0.0), covariances.shape[-1]
        half = (some.reshape(-1, d) @ whitener.T).reshape(some.shape).swapaxes(2, 3)  # one product for all, not R K
        relative = (half.reshape(-1, d) @ whitener.T).reshape(some.shape)
        least = least_eigenvalues(relative).min(axis=1)
        return finite & (shares.min(axis=1) >= least_share) & (least >= self.min_variance)


def least_eigenvalues(matrices: Floats) -> Floats:
    """Return the least eigenvalues of symmetric matrices (…, D, D)."""
    if matrices.shape[-1] != 2:
        return np.asarray(np.linalg.eigvalsh(matrices)[..., 0])
    a, b, c = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    return np.asarray((a + c) / 2 - np.hypot((a - c) / 2, b))


def whitener_of(covariance: Floats) -> Floats:
    """Return W with W Σ Wᵀ = 1; directions in which nothing varies are left as they are small."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(np.maximum(values, 1e-14 * max(values[-1], 1e-300)))).T)
