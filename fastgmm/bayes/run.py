"""Variational Bayes for the loop of EM: a pass, an update, until the lower bound rests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.bayes.bound import lower_bound
from fastgmm.bayes.posterior import Posterior
from fastgmm.bayes.prior import Prior
from fastgmm.bayes.update import update
from fastgmm.em import callbacks
from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.history import History
from fastgmm.em.run import AbstractSettings, Start
from fastgmm.em.state import Arrays, RunState
from fastgmm.em.walk import AbstractWalk
from fastgmm.rows.base import AbstractRows, Trust
from fastgmm.threads import Team


@dataclass(frozen=True, eq=False)
class Settings(AbstractSettings):
    """How variational Bayes is to run; prior and ridge in the coordinates of the rows' frame."""

    prior: Prior
    tol: float
    """Least change of the lower bound, a total over the rows, that is worth another iteration."""
    max_iter: int
    ridge: NDArray[np.float64]
    """Added to the variances, (D,)."""

    def walk(self, rows: AbstractRows, begun: RunState, team: Team, restart: int) -> PosteriorWalk:
        """Return the passes of a run from a posterior."""
        return PosteriorWalk(rows, begun, self, team)


@dataclass(frozen=True, eq=False)
class Iteration(callbacks.Iteration):
    """One complete iteration; `change` is the lower bound's, `log_likelihood` is of the expected densities."""

    lower_bound: float = field(kw_only=True)
    """After the update: a total over the rows."""


def start_at(posterior: Posterior) -> Start:
    """Return a start for `em.run`: expected parameters, and the posterior that they are of."""
    return Start(posterior.expected, more=posterior.arrays())


class PosteriorWalk(AbstractWalk):
    """The passes of one run, and the updates of the posterior from them."""

    def __init__(self, rows: AbstractRows, begun: RunState, settings: Settings, team: Team) -> None:
        self._rows, self._settings, self._team = rows, settings, team
        self._posterior = Posterior.of(begun.more, settings.prior.form, settings.prior.kind)
        self.updated = self._posterior.expected
        # The bound is a total whose change is compared with `tol`, and the entropy in it is a difference of such
        # totals: float32 lanes would hide the change from 1e5 rows on.
        self._trust = Trust(narrow=False)
        if "pooled" in begun.passes:
            self._trust.pooled = bool(begun.passes["pooled"])
        if len(begun.history):
            self.bound = begun.history.lower_bound[-1]
        self.jumps = [False] * len(begun.history)
        self._mean = self.bound

    def step(self, iteration: int) -> bool:
        """Take a pass and an update."""
        settings, before = self._settings, self._posterior.expected
        statistics = self._rows.expectation(before, self._team, moments=before.form, trust=self._trust)
        updated = update(statistics, settings.prior, settings.ridge)
        updated.expected.inverse_factors  # noqa: B018 - a degenerate covariance ends the iteration that made it
        self.bound = lower_bound(statistics, before, updated, self._rows.frame.log_volume)
        self._posterior, self.updated = updated, updated.expected
        self._mean = statistics.log_likelihood / statistics.weight
        return True

    def go_on(self, *, plain: bool) -> None:
        """Take the next pass from where the update went."""

    def state(self, history: History, degenerate: tuple[Degeneracy, ...], begun: RunState) -> RunState:
        """Return where a run that was `begun` so stands."""
        passes = {"pooled": np.array(int(self._trust.pooled))}
        return replace(begun, parameters=self.updated, history=history.copied(), passes=passes, more=self.more)

    @property
    def more(self) -> Arrays:
        """The posterior."""
        return self._posterior.arrays()

    def iteration(self, restart: int, number: int, change: float, seconds: float) -> Iteration:
        """Return what callbacks are told of the last step."""
        return Iteration(restart, number, self._mean, change, seconds, self.updated, lower_bound=self.bound)
