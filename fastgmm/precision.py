"""Precision: which components float32 lanes resolve, in which coordinates, and which are computed in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import ALONE, Team
from fastgmm.triangles import factored
from fastgmm.turned import Turned

Mask = NDArray[np.bool_]

CORRELATED = 2.0**7
"""Largest growth of a rounding on its way through a whitener, max_i Σ_j |W_ij| σ_j, that float32 is trusted with.

Its square, times a rounding of 2⁻²⁴, is the relative error of a covariance's smallest eigenvalue: 0.001.
"""

REMOTE = 2.0**14
"""Largest |mean| in standard deviations of the component: means are rounded to 2⁻²⁴ of their size."""

REACH = 2.0**11
"""Largest max_i Σ_j |W_ij μ_j| in turned coordinates, where the rows themselves are rounded: to 2⁻¹⁴ deviations."""

REMAINS = 2.0**-20
"""Least share of a variance that may be left where a pooled one is a difference: 2⁻³³ of it is rounding then."""

RANGE = 2.0**40
"""Largest ratio between the frame's unit and a standard deviation, either way; squares stay far from overflow."""

NARROW_COST, PROMOTED_COST, MIXED_COST, TURN_COST = 0.57, 1.2, 1.0, 2.0
"""What a component in float32 costs, one in float64 beside these, having both, and turning rows and sums: in units of
a component of a pass in float64. The first from D = 8 … 128 on Zen 5; the others are estimates."""

DOUBTS = 2
"""Passes in which a component's sums in float32 told nothing after which float32 is given up for it."""


@dataclass(frozen=True, eq=False)
class Plan:
    """How a pass computes: in float64, or in float32 with some components `promoted` (K,) to float64.

    Those in float32 are in the frame's coordinates, or `turned`.
    """

    promoted: Mask
    turned: Turned | None = None

    @property
    def wide(self) -> bool:
        """Whether all is float64."""
        return bool(self.promoted.all())


def planned(parameters: Parameters, doubtful: Mask | None = None, team: Team = ALONE) -> Plan:
    """Return the fastest way to compute a mixture of the frame's coordinates that float32 resolves.

    `doubtful` components (K,) are to be float64. Only full covariances are turned, or promoted by component.
    """
    none = np.zeros(parameters.n_components, dtype=np.bool_)
    everything, doubtful = Plan(~none), none if doubtful is None else doubtful
    promoted = unresolved(parameters, team) | doubtful
    if not promoted.any() or parameters.form != "full":
        return everything if promoted.any() else Plan(promoted)
    plans = [everything, Plan(promoted)]
    try:
        turned = Turned.of(parameters, team)
    except np.linalg.LinAlgError:
        return min(plans, key=_cost)
    return min([*plans, Plan(unresolved_turned(turned, team) | doubtful, turned)], key=_cost)


def _cost(plan: Plan) -> float:
    if plan.wide:
        return float(plan.promoted.size)
    wide, narrow = int(plan.promoted.sum()), int((~plan.promoted).sum())
    once = (MIXED_COST if wide else 0.0) + (0.0 if plan.turned is None else TURN_COST)
    return NARROW_COST * narrow + PROMOTED_COST * wide + once


def arithmetic(parameters: Parameters, rows: Any) -> Any:
    """Return ``np.float32`` or ``np.float64``: the numbers to compute a pass with where all is computed alike.

    Parameters
    ----------
    parameters : Parameters
        In the coordinates of the rows' frame.
    rows : dtype
        Of the rows: only float32 rows are computed with in float32.
    """
    return np.float32 if np.dtype(rows) == np.float32 and not unresolved(parameters).any() else np.float64


def unresolved(parameters: Parameters, team: Team = ALONE) -> Mask:
    """Return which components (K,) are too thin, remote or correlated for float32 in the frame's coordinates."""
    deviations = np.sqrt(parameters.variances)
    thin = ~((deviations > 1 / RANGE) & (deviations < RANGE)).all(axis=1)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = thin | ~((np.abs(parameters.means) / deviations).max(axis=1) <= REMOTE)
        if parameters.form not in ("diag", "spherical"):
            found |= ~(_grown(parameters.whiteners, deviations, team) <= CORRELATED)
    return found


def unresolved_turned(mixture: Turned, team: Team = ALONE) -> Mask:
    """Return which components (K,) are so in turned coordinates."""
    deviations = np.sqrt(mixture.variances)
    thin = ~((deviations > 1 / RANGE) & (deviations < RANGE)).all(axis=1)
    near = _grown(mixture.whiteners, np.abs(mixture.means), team) <= REACH
    return thin | ~(near & (_grown(mixture.whiteners, deviations, team) <= CORRELATED))


def _grown(whiteners: NDArray[np.float64], sizes: NDArray[np.float64], team: Team) -> NDArray[np.float64]:
    """Return max_i Σ_j |W_ij| s_j, (K,)."""
    from fastgmm.kernels.variants import grown_kernel

    found = np.empty(len(sizes))
    team.run(grown_kernel, np.ascontiguousarray(whiteners), np.ascontiguousarray(sizes), found)
    return found


def untold(statistics: SufficientStatistics, team: Team = ALONE) -> Mask:
    """Return of which components (K,) sums that were formed in float32 do not tell the shape.

    They do not where a feature's variance given those before it is less than CORRELATED⁻² of its variance: what float32
    says of it then is rounding. A pass under round components may find such ones.
    """
    if statistics.form != "full":
        return np.asarray(~(statistics.scatters.reshape(statistics.n_components, -1) > 0).all(axis=1))
    from fastgmm.kernels.variants import pivots_kernel

    least = np.empty(statistics.n_components)
    sums = (statistics.sum_w, statistics.sum_x, statistics.sum_xx)
    team.run(pivots_kernel, *map(np.ascontiguousarray, sums), least)
    return ~(least >= CORRELATED**-2)


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
