"""Evolution: a few mixtures, crossed with parts of each other, or joined with fresh components when that fails.

A child is a mixture joined with some components of another and merged down to as many as are wanted (Fränti et al. 1997
cross clusterings so), or spliced of the components of two on either side of a plane. Both parents' densities are known,
so that only what is merged is evaluated anew.

References
----------
Fränti, P., Kivijärvi, J., Kaukoranta, T. and Nevalainen, O. (1997). Genetic algorithms for large-scale clustering
problems. The Computer Journal 40, 547-554.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.convergence import Status
from fastgmm.em.run import Interrupted, RunResult
from fastgmm.em.search.board import Board
from fastgmm.em.search.draws import Draws
from fastgmm.em.search.moves import FEW
from fastgmm.em.search.overfit import merged_down
from fastgmm.em.search.partial import swept
from fastgmm.em.search.pieces import FREE
from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.splice import apart, spliced
from fastgmm.em.search.table import Table, together
from fastgmm.errors import DataError, DegenerateComponentError

Floats = NDArray[np.float64]

FIRST, SHARE, SHARE_FEW = 2, 0.1, 0.5
"""Components of a fresh mixture before it is merged, for each that is wanted; share of the rows it is drawn from.

Where components are few, it is drawn from half of the rows, and with no more than are wanted.
"""

FLAT = 3
"""Features up to which mixtures are crossed where components are few.

Beyond, annealing the plain fit finds more, in less time: iris with 40 of 40 seeds, wine with 40; children 37 and 40.
"""

POPULATION, FILLED = 4, 0.45
"""Mixtures, and share of the budget after which no more are begun with; where components are few, one is begun with."""

MOST, AMPLE = 16, 0.3
"""Mixtures at most, and share of the budget that pays for more than four: a large one (12 of the digits with 300)."""

PATIENCE = 4
"""Crossings in a row, none the best, after which the best mixture is joined with fresh components instead."""

SPLICED = 0.7
"""Share of children that are spliced, where there are more than four mixtures.

Splices make no new components: what four mixtures have is soon used up (digits with 60 passes and splices, 24 to 32
of 60 seeds; without 29 to 33).
"""

HANDED = 0.7
"""Share of its components that the second parent hands on to all others."""

ELITE = 0.25
"""Chance that the first parent is the best mixture, beside its chance as one of all."""

ALIKE = 0.1
"""Mean difference of log-densities, over the rows, below which two mixtures are one, and only the better is kept."""

GROWN, SETTLED = 0.9, 0.97
"""Share of the budget for children; and that after which the best is no longer swept to its end."""

BEHIND, RISING, FRESH, RESTS = 0.01, 3e-3, 5e-3, 1e-5
"""How far below its parent a child may head to be swept on, and what a sweep must gain for another, of a child, a fresh
mixture and the last; nats per row."""

SWEEPS = 8
"""Of a mixture, at most."""


class Evolution:
    """One search by a population of mixtures, the best first."""

    def __init__(self, problem: Problem, covariance: Floats) -> None:
        self._problem, self._board = problem, Board.of(problem)
        self._draws = Draws(self._board, covariance)
        self._living: list[Table] = []
        self._size = POPULATION

    def run(self, share: float) -> Candidate | None:
        """Return the best mixture found before a share of the budget is spent; None if no start holds.

        Raises
        ------
        Interrupted
            On Ctrl-C, with the best mixture so far.
        """
        try:
            self._settled(share)
        except KeyboardInterrupt:
            if not self._living:
                raise
            best = self._living[0]
            raise Interrupted(RunResult(best.parameters, best.bound, (best.bound,), Status.INTERRUPTED)) from None
        return Candidate(self._living[0].parameters, self._living[0].bound) if self._living else None

    def _settled(self, share: float) -> None:
        """Search, and sweep the best mixture until it rests."""
        few = self._problem.n_components < FEW
        tries = fruitless = 0
        while (spent := self._problem.budget.spent) < GROWN * share:
            filled = FILLED if tries < POPULATION else AMPLE
            if not self._living or (not few and tries < MOST and spent < filled * share):
                tries += 1
                self._size = max(POPULATION, tries)
                if tries > TRIES and not self._living:
                    return
                if (fresh := _attempted(self._fresh)) is not None:
                    self._place(fresh)
            elif len(self._living) < 2 or fruitless >= PATIENCE:
                fruitless = 0 if self._better(partial(self._renewed, self._living[0])) else PATIENCE // 2
            else:
                fruitless = 0 if self._better(partial(self._child, *self._parents())) else fruitless + 1
        self._end(share)

    def _end(self, share: float) -> None:
        """Sweep the best mixture until it rests, or the budget ends."""
        for _ in range(LAST if self._living else 0):
            if self._problem.budget.spent >= SETTLED * share:
                return
            best = self._living[0]
            found = _attempted(partial(swept, best, FINE))
            if found is None or found.bound < best.bound + RESTS or not self._problem.guard.passes(found.parameters):
                return
            self._living[0] = found

    def _parents(self) -> tuple[Table, Table]:
        """Draw two mixtures."""
        rng, living = self._problem.rng, self._living
        first = 0 if rng.random_sample() < ELITE else int(rng.randint(len(living)))
        second = int(rng.randint(len(living) - 1))
        return living[first], living[second + (second >= first)]

    def _better(self, make: Callable[[], Table]) -> bool:
        """Let a child live, and return whether it is the best."""
        best, child = self._living[0].bound, _attempted(make)
        return child is not None and self._place(child) and child.bound > best + LEAST

    def _place(self, mixture: Table) -> bool:
        """Let a mixture live, unless one like it is better or it is not sound; return whether it does."""
        if not self._problem.guard.passes(mixture.parameters):
            return False
        living = []
        for one in self._living:
            alike = apart(one, mixture) < ALIKE
            if alike and one.bound >= mixture.bound:
                return False
            if not alike:
                living.append(one)
        living.append(mixture)
        living.sort(key=lambda one: -one.bound)
        self._living = living[: self._size]
        return mixture in self._living

    def _fresh(self) -> Table:
        """Return a mixture merged from more components than are wanted."""
        k, rows = self._problem.n_components, len(self._board.X)
        most = max(k, rows // (2 * (self._board.X.shape[1] + 1)))
        table = self._drawn(k if k < FEW else min(FIRST * k, most))
        if table.parameters.n_components > k:
            table = merged_down(swept(table), k)
        return _grown(table, FRESH, -np.inf)

    def _drawn(self, size: int) -> Table:
        share = SHARE_FEW if self._problem.n_components < FEW else SHARE
        return Table.of(self._board, self._draws.draw(size, share))

    def _renewed(self, parent: Table) -> Table:
        """Return a child of a mixture and of half as many fresh components."""
        k = self._problem.n_components
        joint = swept(together(parent, self._drawn(max(2, k // 2))))
        return _grown(merged_down(joint, k), RISING, parent.bound - BEHIND)

    def _child(self, parent: Table, other: Table) -> Table:
        """Return a child of a mixture and of another: a splice, or the one joined with some components of the other."""
        k, rng = self._problem.n_components, self._problem.rng
        if self._size > POPULATION and rng.random_sample() < SPLICED:
            splice = spliced(parent, other, self._living, rng)
            if splice is not None:
                return _grown(merged_down(splice, k), RISING, parent.bound - BEHIND)
        chosen = np.sort(rng.choice(k, max(1, round(HANDED * k)), replace=False))
        joint = together(parent, other.part([int(n) for n in chosen]))
        return _grown(merged_down(joint, k), RISING, parent.bound - BEHIND)


def _grown(mixture: Table, rising: float, floor: float) -> Table:
    """Sweep a mixture as long as that gains something, and it heads for more than a floor."""
    for _ in range(SWEEPS):
        before, mixture = mixture, swept(mixture)
        rise = mixture.bound - before.bound
        if rise < rising or mixture.bound + 2 * rise < floor:
            break
    return mixture


LEAST = 2e-5
"""What a child must be better by, in nats per row."""

TRIES = 6
"""Fresh mixtures that are tried, should all collapse."""

LAST, FINE = 20, 1e-3
"""Sweeps of the best mixture at the end, and which pairs take part in them."""


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
