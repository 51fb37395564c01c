"""The mean and covariance of all rows, for what is measured against them: relative ridges and priors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters

if TYPE_CHECKING:
    from fastgmm.rows.base import AbstractRows
    from fastgmm.threads import Team

Floats = NDArray[np.float64]

ORIGIN_ROWS = 4096


def middle(rows: AbstractRows) -> Floats:
    """Return the mean of some rows, (1, D), in their frame: an origin near all of them."""
    some = np.linspace(0, rows.n_rows - 1, min(rows.n_rows, ORIGIN_ROWS)).astype(np.intp)
    return rows.frame.rows(rows.take(some)[0]).mean(axis=0, keepdims=True)


def overall(rows: AbstractRows, team: Team) -> tuple[Floats, Floats]:
    """Return mean (D,) and covariance (D, D) of all rows in their frame, by one pass; the latter divided by n."""
    d = rows.n_features
    statistics = rows.expectation(Parameters(np.ones(1), middle(rows), np.eye(d)[None]), team)
    mean = statistics.origins[0] + statistics.sum_x[0] / statistics.sum_w[0]
    return mean, statistics.scatters[0] / statistics.sum_w[0]
