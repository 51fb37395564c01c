"""Precision: whether float32 lanes resolve a mixture, or its pass must be computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.triangles import factored

CORRELATED = 2.0**7
"""Largest growth of a rounding on its way through a whitener, max_i Σ_j |W_ij| σ_j, that float32 is trusted with.

Its square, times a rounding of 2⁻²⁴, is the relative error of a covariance's smallest eigenvalue: 0.001.
"""

REMOTE = 2.0**14
"""Largest |mean| in standard deviations of the component: means are rounded to 2⁻²⁴ of their size."""

REMAINS = 2.0**-20
"""Least share of a variance that may be left where a pooled one is a difference: 2⁻³³ of it is rounding then."""

TINY = np.finfo(np.float64).tiny

RANGE = 2.0**40
"""Largest ratio between the frame's unit and a standard deviation, either way; squares stay far from overflow."""


def arithmetic(parameters: Parameters, rows: Any) -> Any:
    """Return ``np.float32`` or ``np.float64``: the numbers to compute a pass with.

    Parameters
    ----------
    parameters : Parameters
        In the coordinates of the rows' frame.
    rows : dtype
        Of the rows: only float32 rows are computed with in float32.
    """
    return np.float32 if np.dtype(rows) == np.float32 and resolved(parameters) else np.float64


def resolved(parameters: Parameters) -> bool:
    """Return whether every component is round and near enough for float32, in the frame's coordinates."""
    deviations = np.sqrt(parameters.variances)
    if not ((deviations > 1 / RANGE) & (deviations < RANGE)).all():
        return False
    remote = np.abs(parameters.means) / deviations
    if parameters.form in ("diag", "spherical"):
        return bool(remote.max() <= REMOTE)
    growth = np.einsum("kij,kj->ki", np.abs(parameters.whiteners), deviations)
    return bool(remote.max() <= REMOTE and growth.max() <= CORRELATED)


def trusted(statistics: SufficientStatistics) -> bool:
    """Return whether sums that were formed in float32 tell the shapes of their components.

    They do not where a feature's variance given those before it is less than CORRELATED⁻² of its variance: what float32
    says of it then is rounding. A pass under round components may find such ones.
    """
    if statistics.form != "full":
        return bool((statistics.scatters > 0).all())
    from fastgmm.kernels.variants import pivots_kernel

    least = np.empty(statistics.n_components)
    sums = (statistics.sum_w, statistics.sum_x, statistics.sum_xx)
    pivots_kernel()(1, *(np.ascontiguousarray(one) for one in sums), least)
    return bool(least.min() >= CORRELATED**-2)


def told(statistics: SufficientStatistics, whole: SufficientStatistics) -> bool:
    """Return whether pooled moments, the difference of all rows' and of what components' means explain, tell a shape.

    They do where no direction keeps less than REMAINS of its variance: where they are still positive definite with that
    share of all rows' taken away. `whole` are the statistics of all rows as one.
    """
    total = whole.scatters[0]
    variances = np.diagonal(total)
    if not (variances > 0).all():
        return False
    deviations = np.sqrt(variances)
    try:
        # Not LAPACK: its threads, once started, wait for more work on the processors that the next pass needs, which
        # took twice as long then (float32, D = 128, two threads).
        factored(((statistics.scatters - REMAINS * total) / deviations[:, None] / deviations)[None])
    except np.linalg.LinAlgError:
        return False
    return True
