"""Partial EM: iterations that evaluate only rows that are shared, and of those only components with a part in them.

Rows that one component has nearly alone keep their responsibility until the next look at all near pairs, as Neal and
Hinton (1998) freeze some, and steps are longer than EM's (Salakhutdinov and Roweis 2003).

References
----------
Neal, R. M. and Hinton, G. E. (1998). A view of the EM algorithm that justifies incremental, sparse, and other variants.
In Learning in Graphical Models, 355-368.
Salakhutdinov, R. and Roweis, S. (2003). Adaptive overrelaxed bound optimization methods. Proceedings of the 20th
International Conference on Machine Learning, 664-671.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.board import NOTHING, Indices, log_sums, stacked
from fastgmm.em.search.table import Table
from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]

ACTIVE = 0.03
"""Density, over that of the row's likeliest component, above which a pair takes part in a sweep; all else is left out.

Sweeps rest a little off EM's optimum: the last ones use less.
"""

ITERATIONS, STRIDE = 8, 1.8
"""Of a sweep, and how long its steps are where EM's are 1."""


def swept(table: Table, active: float = ACTIVE) -> Table:
    """Return what a sweep of EM makes of a mixture: with long steps, or with EM's own where those lower the bound.

    Pairs take part above a density of `active`, over that of the row's likeliest component.

    Raises
    ------
    DegenerateComponentError
        If a component collapses.
    """
    sweep = Sweep(table, active)
    try:
        found = table.moved(sweep.run(STRIDE))
        if found.bound >= table.bound:
            return found
    except DegenerateComponentError:
        pass
    return table.moved(sweep.run(1.0))


class Sweep:
    """The rows and pairs of a sweep: which responsibilities are kept, and which are found anew."""

    def __init__(self, table: Table, active: float) -> None:
        self._table = table
        shares = table.responsibilities
        part = shares > active * shares.max(axis=1, keepdims=True)
        rest = np.where(part, 0.0, shares).sum(axis=1)
        settled = (part.sum(axis=1) == 1) & (rest < 2 * active)
        components = range(table.parameters.n_components)
        kept = [np.flatnonzero(part[:, k] & settled) for k in components]
        moments = [table.board.moments(table.parameters, k, rows, shares[rows, k]) for k, rows in enumerate(kept)]
        self._kept = stacked(moments)
        self._shared = np.flatnonzero(~settled)
        self._where: list[Indices] = [np.flatnonzero(part[self._shared, k]) for k in components]
        with np.errstate(divide="ignore"):
            others = np.maximum(table.sums + np.log(rest), NOTHING)[self._shared]
        self._logs = np.full((len(self._shared), len(kept) + 1), NOTHING)
        self._logs[:, -1] = others

    def run(self, stride: float) -> Parameters:
        """Return the parameters after the iterations.

        Raises
        ------
        DegenerateComponentError
            If a component collapses.
        """
        table, parameters = self._table, self._table.parameters
        logs = self._logs.copy()
        for k, where in enumerate(self._where):
            logs[where, k] = table.logs[self._shared[where], k]
        for iteration in range(ITERATIONS):
            if iteration:
                self._evaluate(parameters, logs)
            found = table.board.problem.settings.maximise(self._statistics(logs), parameters)
            parameters = _beyond(parameters, found, stride) if stride > 1 else found
        parameters.inverse_factors  # noqa: B018 - a degenerate covariance is refused here
        return parameters

    def _evaluate(self, parameters: Parameters, logs: Floats) -> None:
        for k, where in enumerate(self._where):
            if len(where):
                logs[where, k] = self._table.board.densities(parameters, k, self._shared[where])

    def _statistics(self, logs: Floats) -> SufficientStatistics:
        """Return the moments of all rows."""
        table, sums = self._table, log_sums(logs)
        found = [
            table.board.moments(table.parameters, k, self._shared[where], np.exp(logs[where, k] - sums[where]))
            for k, where in enumerate(self._where)
        ]
        statistics = self._kept + stacked(found)
        if statistics.sum_w.min() <= 0.5 * table.parameters.n_features * table.board.weights.mean():
            raise DegenerateComponentError("no rows have a share in a component.")
        return statistics


def _beyond(before: Parameters, after: Parameters, stride: float) -> Parameters:
    """Return where a longer step leads, as far as covariances stay positive definite; else `after`."""
    weights = np.maximum(before.weights + stride * (after.weights - before.weights), 1e-6)
    means = before.means + stride * (after.means - before.means)
    covariances = before.covariances + stride * (after.covariances - before.covariances)
    found = Parameters(weights / weights.sum(), means, covariances, after.form)
    try:
        found.inverse_factors  # noqa: B018 - a degenerate covariance is refused here
    except DegenerateComponentError:
        return after
    return found
