"""Splices: the components of one mixture on one side of a random plane, and those of another on the other side.

What lies side by side stays together, as when clusters of atoms are cut and spliced (Deaven and Ho 1995). All densities
are known, so that many planes are compared and no pair is evaluated.

References
----------
Deaven, D. M. and Ho, K. M. (1995). Molecular geometry optimization with a genetic algorithm. Physical Review Letters
75, 288-291.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.board import NOTHING
from fastgmm.em.search.table import Table, together
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

PLANES = 20
"""Planes that are compared."""

SPARE = 1
"""Components of a splice beyond those wanted: at the plane both mixtures may cover the same rows."""

WEIGHED, LEAST = 2, 1e-6
"""Iterations of EM for the weights alone, and what none falls below."""

NOVEL = 0.1
"""Mean difference of log-densities, over the rows, from all mixtures there are, that a splice has at least."""


def spliced(one: Table, other: Table, living: Sequence[Table], rng: np.random.RandomState) -> Table | None:
    """Return the likeliest of some splices, of K + 1 components; None if all are much like a mixture there is."""
    board, k = one.board, one.parameters.n_components
    whitener = board.problem.guard.whitener
    best: Table | None = None
    for _ in range(PLANES):
        normal = np.einsum("r,rd->d", rng.standard_normal(len(whitener)), whitener)
        below = int(rng.randint(1, k))
        first = np.sort(_along(one.parameters, normal)[:below])
        second = np.sort(_along(other.parameters, normal)[below - SPARE :])
        found = together(one.part(first.tolist()), other.part(second.tolist()))
        for _ in range(WEIGHED):
            found = reweighted(found)
        if (best is None or found.bound > best.bound) and min(apart(found, table) for table in living) >= NOVEL:
            best = found
    return best


def apart(one: Table, other: Table) -> float:
    """Return the mean difference of two mixtures' log-densities, over the rows."""
    weights = one.board.weights
    return float((weights * np.abs(one.sums - other.sums)).sum() / weights.sum())


def reweighted(table: Table) -> Table:
    """Return a mixture after an iteration of EM for its weights alone: no pair is evaluated."""
    before = table.parameters
    shares = np.einsum("n,nk->k", table.board.weights, table.responsibilities)
    weights = np.maximum(shares / shares.sum(), LEAST)
    weights /= weights.sum()
    logs = np.maximum(table.logs + np.log(weights / before.weights), NOTHING)
    parameters = Parameters(weights, before.means, before.covariances, before.form)
    return Table(table.board, parameters, logs, table.distances)


def _along(parameters: Parameters, normal: Floats) -> NDArray[np.intp]:
    """Return the components in the order of their means along a direction."""
    return np.argsort(np.einsum("kd,d->k", parameters.means, normal), kind="stable")
