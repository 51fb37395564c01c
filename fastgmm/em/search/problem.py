"""Problem: the rows, settings, budget and guard of one search, and how its candidates are improved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastgmm.em.callbacks import Iteration
from fastgmm.em.run import Interrupted, Settings, run
from fastgmm.em.search.budget import Budget
from fastgmm.em.search.guard import Guard
from fastgmm.errors import DataError, DegenerateComponentError
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team

COARSE = 1e-4

HOPELESS = 4
"""Iterations after which a run that heads for less than is known may be given up."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mixture in the coordinates of the rows' frame, and the objective of the expectation before its M-step."""

    parameters: Parameters
    bound: float = -math.inf
    rests: bool = False
    """Whether its last run converged."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One search: on `rows`, which may be a sample, with `settings` for EM in their frame."""

    rows: AbstractRows
    n_components: int
    settings: Settings
    team: Team
    rng: np.random.RandomState
    budget: Budget
    guard: Guard

    @property
    def tolerance(self) -> float:
        """Least difference of mean log-likelihoods that a search cares for."""
        return min(self.settings.tol, COARSE)

    def climb(
        self,
        start: Parameters,
        iterations: int,
        *,
        tol: float | None = None,
        floor: float = -math.inf,
        share: float = 1.0,
    ) -> Candidate | None:
        """Run EM from `start`; None if a component collapses.

        The run ends early when `share` of the budget is spent, or when Aitken's estimate of its limit stays below
        `floor` less the tolerance.
        """
        tol = self.settings.tol if tol is None else tol
        settings = replace(
            self.settings,
            max_iter=iterations,
            tol=tol,
            on_degenerate="raise",
            acceleration="squarem",
            convergence="change",
        )
        if iterations < 1 or self.budget.spent >= share:
            return Candidate(start)
        stop = self._stop(floor - tol, share)
        try:
            found = run(self.rows, start, settings, self.team, callback=stop)
        except Interrupted:
            raise KeyboardInterrupt from None
        except (DataError, DegenerateComponentError, np.linalg.LinAlgError):
            return None
        return Candidate(found.parameters, found.lower_bound, found.n_iter < iterations and not stop.stopped)

    def sound(self, candidate: Candidate | None) -> bool:
        """Return whether there is a candidate and the guard passes it."""
        return candidate is not None and self.guard.passes(candidate.parameters)

    def _stop(self, floor: float, share: float) -> Stop:
        return Stop(floor, lambda: self.budget.spent >= share)


class Stop:
    """A callback of EM that ends runs for which there is no budget or no hope."""

    def __init__(self, floor: float, spent: Callable[[], bool]) -> None:
        self._floor, self._spent = floor, spent
        self._change = math.inf
        self.stopped = False

    def __call__(self, done: Iteration) -> bool:
        """Return whether to stop."""
        hopeless = done.number >= HOPELESS and limit(done.log_likelihood, self._change, done.change) < self._floor
        self._change = done.change
        self.stopped = hopeless or self._spent()
        return self.stopped


def limit(bound: float, before: float, change: float) -> float:
    """Return where a sequence that changed by `before` and then by `change` to `bound` ends, if it goes on like that.

    Aitken's estimate: bound + change r / (1 − r) with r = change / before; inf where changes do not shrink.
    """
    if not 0 < change < before:
        return math.inf if change > 0 else bound
    ratio = change / before
    return bound + change * ratio / (1 - ratio)
