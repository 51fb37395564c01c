"""The mean and covariance of all rows, for what is measured against them: relative ridges and priors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastgmm.rows.base import AbstractRows
    from fastgmm.threads import Team

Floats = NDArray[np.float64]


def overall(rows: AbstractRows, team: Team) -> tuple[Floats, Floats]:
    """Return mean (D,) and covariance (D, D) of all rows in their frame, by one pass; the latter divided by n."""
    statistics = rows.whole(rows.frame, team)
    mean = statistics.origins[0] + statistics.sum_x[0] / statistics.sum_w[0]
    return mean, statistics.scatters[0] / statistics.sum_w[0]
