"""Evolution: the best mixture joined with fresh components, or with some of its own doubled, and merged down again.

A child that is better takes its parent's place. Between two evaluations of all near pairs, EM sweeps active pairs only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.convergence import Status
from fastgmm.em.run import Interrupted, RunResult
from fastgmm.em.search.draws import Draws
from fastgmm.em.search.moves import FEW
from fastgmm.em.search.overfit import doubled, merged_down, together
from fastgmm.em.search.partial import swept
from fastgmm.em.search.pieces import FREE, split_starts, taken
from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.table import Board, Table
from fastgmm.errors import DataError, DegenerateComponentError

Floats = NDArray[np.float64]

FIRST, SHARE, SHARE_FEW = 2, 0.25, 0.5
"""Components of the first mixture before it is merged, for each that is wanted; share of the rows it is drawn from.

Where components are few, it is drawn from half of the rows, and with no more than are wanted.
"""

FLAT = 3
"""Features up to which children are bred where components are few.

Beyond, annealing the plain fit finds more: wine 10 of 10 and iris 10 of 10 seeds; children 26 and 39 of 40.
"""

GROWN, SETTLED = 0.87, 0.97
"""Share of the budget for children; and that after which the best is no longer swept to its end."""

BEHIND, RISING = 0.01, 1e-3
"""How far below its parent a child may head to be swept on, and what a sweep must gain for another; nats per row."""

SWEEPS = 3
"""Of a child that rises, after the first."""


class Evolution:
    """One search by children of the best mixture."""

    def __init__(self, problem: Problem, covariance: Floats) -> None:
        self._problem, self._board = problem, Board.of(problem)
        self._draws = Draws(self._board, covariance)
        self._best: Table | None = None

    def run(self, share: float) -> Candidate | None:
        """Return the best mixture found before a share of the budget is spent; None if no start holds.

        Raises
        ------
        Interrupted
            On Ctrl-C, with the best mixture so far.
        """
        try:
            for _ in range(TRIES):
                self._take(_attempted(self._first))
                if self._best is not None:
                    break
            kinds = (self._joined, self._doubled)
            number = 0
            while self._best is not None and self._problem.budget.spent < GROWN * share:
                if not self._take(_attempted(kinds[number % len(kinds)])):
                    number += 1
            self._settle(share)
        except KeyboardInterrupt:
            if self._best is None:
                raise
            best = self._best
            raise Interrupted(RunResult(best.parameters, best.bound, (best.bound,), Status.INTERRUPTED)) from None
        return None if self._best is None else Candidate(self._best.parameters, self._best.bound)

    def _take(self, child: Table | None) -> bool:
        """Make a child the best if it is."""
        if child is None or not self._problem.guard.passes(child.parameters):
            return False
        if self._best is not None and child.bound <= self._best.bound + LEAST:
            return False
        self._best = child
        return True

    def _first(self) -> Table:
        """Return a mixture merged from more components than are wanted."""
        k, rows = self._problem.n_components, len(self._board.X)
        most = max(k, rows // (2 * (self._board.X.shape[1] + 1)))
        size, share = (k, SHARE_FEW) if k < FEW else (min(FIRST * k, most), SHARE)
        table = Table.of(self._board, self._draws.draw(size, share))
        if table.parameters.n_components > k:
            table = merged_down(swept(table), k)
        return swept(table)

    def _joined(self) -> Table:
        """Return a child of the best mixture and of half as many fresh components."""
        fresh = Table.of(self._board, self._draws.draw(max(2, self._problem.n_components // 2), SHARE))
        return self._grown(swept(together(self._parent, fresh)))

    def _doubled(self) -> Table:
        """Return a child of the best mixture with a third of its components split."""
        problem, parameters = self._problem, self._parent.parameters
        k = problem.n_components
        chosen = [int(n) for n in problem.rng.choice(k, max(2, k // 3), replace=False)]
        halves = []
        for component in chosen:
            starts = split_starts(taken(parameters, (component,)), problem.guard.whitener, problem.rng)
            halves.append(starts[problem.rng.randint(min(3, len(starts)))])
        return self._grown(swept(doubled(self._parent, chosen, halves)))

    def _grown(self, child: Table) -> Table:
        """Merge a child down, and sweep it as long as it may become better than its parent."""
        child = swept(merged_down(child, self._problem.n_components))
        for _ in range(SWEEPS):
            before, child = child, swept(child)
            rise = child.bound - before.bound
            if rise < RISING or child.bound + rise < self._parent.bound - BEHIND:
                break
        return child

    def _settle(self, share: float) -> None:
        """Sweep the best mixture until it rests, or the budget ends."""
        while self._best is not None and self._problem.budget.spent < SETTLED * share:
            if not self._take(_attempted(lambda: swept(self._parent))):
                break

    @property
    def _parent(self) -> Table:
        assert self._best is not None
        return self._best


LEAST = 2e-5
"""What a child must be better by, in nats per row."""

TRIES = 3
"""First mixtures that are tried, should one collapse."""


def suits(problem: Problem) -> bool:
    """Return whether some components can be moved by themselves, and children are better than annealing."""
    settings = problem.settings
    free = settings.model in FREE.values() and settings.model != FREE["tied"] and not settings.equal_weights
    return free and problem.n_components > 1 and (problem.n_components >= FEW or problem.rows.n_features <= FLAT)


def _attempted(make: Callable[[], Table]) -> Table | None:
    """Return what is made; None if a component collapses on the way."""
    try:
        return make()
    except (DataError, DegenerateComponentError, np.linalg.LinAlgError):
        return None
