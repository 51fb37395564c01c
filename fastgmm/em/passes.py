"""Passes: how a run of EM obtains the statistics of its iterations. All ways give the same statistics to rounding."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from fastgmm.bounded_task import BoundedState, BoundedTask, transport
from fastgmm.errors import DataError
from fastgmm.expectation_task import PackedMixture
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

ALGORITHMS = ("auto", "dense", "bounded")

FEWEST_FEATURES, FEWEST_FEATURES_AUTO = 9, 32
"""Below 9 features a density costs no more than its bound; up to 31 the bookkeeping eats what is saved.

Evaluated share and time against dense, per iteration, two cores of Zen 5: d16k32 0.11, 1.01; d32k32 0.35, 0.91;
photograph's patches (d64k32) 0.26, 0.63; d64k32 0.04, 0.34.
"""

BUDGET = 256 << 20
"""Bytes that bounds may take where nobody asked for them: 4 N K."""

WORK = 4e9
"""N K D² from which a fit is long enough to try bounds: about 50 ms an iteration."""

FIRST_TRY = 6
"""Iteration of the first try: before, parameters move too far for bounds to hold."""

PAYS = 0.6
"""Evaluated share of pairs up to which the bounded pass is kept."""


class AbstractPasses(ABC):
    """The expectation steps of one run."""

    evaluated: float = 1.0
    """Share of the pairs of rows and components that the last step computed."""

    @abstractmethod
    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Return the statistics of all rows under parameters in the coordinates of their frame."""


class DensePasses(AbstractPasses):
    """Every pair, every time."""

    def __init__(self, rows: AbstractRows, team: Team) -> None:
        self._rows, self._team = rows, team

    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Compute every pair."""
        return self._rows.expectation(parameters, self._team)


class BoundedPasses(AbstractPasses):
    """Only pairs that transported bounds do not rule out."""

    def __init__(self, rows: AbstractRows, n_components: int, team: Team) -> None:
        self._rows, self._team = rows, team
        self._state = BoundedState.fresh(rows.n_rows, n_components)
        self._before: Parameters | None = None

    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Move the bounds along with the parameters, and compute what they leave."""
        still = np.ones(parameters.n_components), np.zeros(parameters.n_components)
        moves = still if self._before is None else transport(self._before, parameters)
        task = BoundedTask(PackedMixture(self._rows.frame, parameters), state=self._state, moves=moves)
        sums = self._rows.sweep(task, self._team)
        self._before = parameters
        self.evaluated = task.evaluated(sums) / (self._rows.n_rows * parameters.n_components)
        return task.statistics(sums, self._rows.weight)


class AutoPasses(AbstractPasses):
    """Dense passes; bounded ones for as long as they leave out enough. Depends on counts only, never on the clock."""

    def __init__(self, rows: AbstractRows, n_components: int, team: Team) -> None:
        self._rows, self._n_components, self._team = rows, n_components, team
        self._dense = DensePasses(rows, team)
        self._bounded: BoundedPasses | None = None
        self._number, self._next_try, self._wait, self._age = 0, FIRST_TRY, FIRST_TRY, 0

    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Take the pass that pays."""
        self._number += 1
        if self._bounded is None and self._number == self._next_try:
            self._bounded, self._age = BoundedPasses(self._rows, self._n_components, self._team), 0
        if self._bounded is None:
            self.evaluated = 1.0
            return self._dense.expectation(parameters)
        statistics = self._bounded.expectation(parameters)
        self.evaluated = self._bounded.evaluated
        self._age += 1
        if self._age > 1 and self.evaluated > PAYS:  # the first pass knows no bounds yet
            self._bounded = None
            self._wait *= 2
            self._next_try = self._number + self._wait
        return statistics


def passes(algorithm: str, rows: AbstractRows, n_components: int, team: Team) -> AbstractPasses:
    """Return the passes for a run.

    Raises
    ------
    DataError
        If bounds are asked for where there are too few features for them.
    """
    n, d = rows.n_rows, rows.n_features
    if algorithm == "bounded":
        if d < FEWEST_FEATURES:
            raise DataError(
                f"algorithm='bounded' needs at least {FEWEST_FEATURES} features, but X has {d}; use 'auto' or 'dense'."
            )
        return BoundedPasses(rows, n_components, team)
    worth = d >= FEWEST_FEATURES_AUTO and n_components > 1 and n * n_components * d * d >= WORK
    if algorithm == "auto" and worth and 4 * n * n_components <= BUDGET:
        return AutoPasses(rows, n_components, team)
    return DensePasses(rows, team)
