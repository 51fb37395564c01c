"""What is known of a cell: the optima in which its runs have ended, whether they count or not, told by signatures.

Three of four runs that start near an optimum return there, or to another that is known. A signature tells which before
they arrive; it is the same in whatever order components are: K Σ_k s_k² E_k[z zᵀ], z = (1, x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.batch import Moments, Monomials, triangle

Floats = NDArray[np.float64]

LARGEST = 200
"""Optima of a cell that are remembered: the last."""

EQUAL = 1e-7
"""Likelihoods, means, that differ by less are of optima that are remembered once."""

CONSTANT = 1e-12
"""Standard deviation of products of rows of unit size that counts for none."""


def signatures(moments: Moments) -> Floats:
    """Return the lower triangles of K Σ_k s_k² E_k[z zᵀ], row by row, (R, (D + 1)(D + 2) / 2)."""
    r, k, d = moments.means.shape
    expected = np.empty((r, k, d + 1, d + 1))
    expected[..., 0, 0] = 1.0
    expected[..., 1:, 0] = expected[..., 0, 1:] = moments.means
    expected[..., 1:, 1:] = moments.covariances + moments.means[..., :, None] * moments.means[..., None, :]
    i, j = triangle(d + 1)
    return np.asarray(np.einsum("rk,rkf->rf", k * moments.shares**2, expected[..., i, j]))


def units(data: Monomials) -> Floats:
    """Return what makes the entries of a signature comparable: one over their products' standard deviations.

    Of what does not vary, one.
    """
    z = np.column_stack([np.ones(len(data.rows)), data.rows])
    i, j = triangle(z.shape[1])
    products = z[:, i] * z[:, j]
    spread = np.sqrt(data.row_weights @ (products - data.row_weights @ products) ** 2)
    return np.where(spread > CONSTANT, 1 / np.maximum(spread, CONSTANT), 1.0)


class Archive:
    """Optima of one cell."""

    def __init__(self) -> None:
        self.rows: Floats | None = None
        """Mean log-likelihoods and signatures, (A, 1 + F), the oldest first; None as long as there are none."""

    def add(self, log_likelihoods: Floats, moments: Moments) -> None:
        """Remember where runs ended, of equal ones one."""
        order = np.argsort(-log_likelihoods, kind="stable")
        order = order[np.isfinite(log_likelihoods[order])]
        values = log_likelihoods[order]
        fresh = np.ones(len(order), dtype=np.bool_)
        fresh[1:] = values[:-1] - values[1:] > EQUAL
        if self.rows is not None:
            fresh &= (np.abs(values[:, None] - self.rows[:, 0]) > EQUAL).all(axis=1)
        order = order[fresh]
        some = np.column_stack([log_likelihoods[order], signatures(moments[order])])
        self.rows = some[:LARGEST] if self.rows is None else np.concatenate([self.rows, some])[-LARGEST:]
