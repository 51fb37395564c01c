"""A walk: where a run's passes are taken. Steps of EM, with proposals between them that may be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.acceleration import acceleration
from fastgmm.em.degeneracy import Degeneracy, Repairs, RepairState, collapsed, spread
from fastgmm.em.history import History
from fastgmm.em.passes import AbstractPasses, passes
from fastgmm.em.state import NO_REPAIRS, RunState
from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

if TYPE_CHECKING:
    from fastgmm.em.run import Settings

Floats = NDArray[np.float64]


class MStep:
    """The M-steps of one run, under its policy for components that collapse."""

    def __init__(self, settings: Settings, before: tuple[Degeneracy, ...] = ()) -> None:
        self._settings = settings
        policy = settings.on_degenerate
        self._repairs = None if policy == "raise" else Repairs(policy, settings.model, before)
        self.restarts = False
        """Whether the last step changed the components, so that what was known of the old ones is void."""
        self.degenerate: tuple[Degeneracy, ...] = ()
        """What the last step did."""

    def take(self, statistics: SufficientStatistics, before: Parameters | None, iteration: int) -> Parameters:
        """Return the next parameters; `DegenerateComponentError` if a covariance is not positive definite."""
        if self._repairs is None:
            found = self._settings.maximise(statistics, before)
        else:

            def step(part: SufficientStatistics, more: Floats | float, whole: bool) -> Parameters:
                return self._settings.maximise(part, before if whole else None, more)

            found, self.restarts = self._repairs.maximise(statistics, step, iteration)
            self.degenerate = self._repairs.found
            if self._settings.equal_weights:  # those of a pair that shares a weight are not
                found = replace(found, weights=np.full(found.n_components, 1 / found.n_components))
        found.inverse_factors  # noqa: B018 - a degenerate covariance ends the iteration that made it
        return found

    def attempt(self, statistics: SufficientStatistics, before: Parameters) -> Parameters | None:
        """Return the next parameters, or None where a component collapses: a proposal is not worth a repair."""
        self.restarts, self.degenerate = False, ()
        try:
            found = self._settings.maximise(statistics, before)
            found.inverse_factors  # noqa: B018
        except DegenerateComponentError:
            return None
        if self._repairs is not None and collapsed(found, spread(statistics)).any():
            return None
        return found

    def state(self) -> RepairState:
        """Return what the repairs to come depend on."""
        return NO_REPAIRS if self._repairs is None else self._repairs.state()

    def restore(self, state: RepairState) -> None:
        """Go on from a state."""
        if self._repairs is not None:
            self._repairs.restore(state)


class Walk:
    """The passes of one run, one after the other, and the steps from them."""

    def __init__(
        self,
        rows: AbstractRows,
        start: Parameters,
        settings: Settings,
        team: Team,
        degenerate: tuple[Degeneracy, ...] = (),
        restart: int = 0,
    ) -> None:
        self._rows, self._settings, self._team = rows, settings, team
        self._m_step = MStep(settings, degenerate)
        self._chain = restart << 16
        self._passes = self._fresh(start)
        self._faster = acceleration(settings.acceleration, settings.model, settings.ridge)
        self._at = start
        self.jumped = False
        """Whether the last pass was taken from a proposal, and not from where EM had gone."""
        self.bound = float("-inf")
        """The objective that the last pass saw."""
        self.updated = start
        """Where EM goes from there."""
        self._best = start, float("-inf")

    def _fresh(self, start: Parameters) -> AbstractPasses:
        s = self._settings
        self._chain += 1
        seed = s.seed + (self._chain << 31)
        return passes(
            s.algorithm, self._rows, start.n_components, self._team, s.skip_below, s.moments, s.assignment, seed
        )

    @property
    def evaluated(self) -> float:
        """Share of the pairs of rows and components that the last pass computed."""
        return self._passes.evaluated

    @property
    def degenerate(self) -> tuple[Degeneracy, ...]:
        """What the last M-step did about collapses."""
        return self._m_step.degenerate

    @property
    def restarted(self) -> bool:
        """Whether the last M-step changed the components."""
        return self._m_step.restarts

    def step(self, iteration: int) -> bool:
        """Take a pass and an M-step; False where the pass refuses a proposal, and a plain step is next."""
        statistics = self._passes.expectation(self._at)
        bound = self._settings.objective(statistics, self._at)
        if self.jumped:
            found = self._m_step.attempt(statistics, self._at) if bound >= self.bound else None
            if found is None:
                assert self._faster is not None
                self._faster.refused()
                self._at, self.jumped = self.updated, False
                return False
        else:
            found = self._m_step.take(statistics, self._at, iteration)
        self.bound, self.updated = bound, found
        if bound > self._best[1]:
            self._best = self._at, bound
        return True

    def state(self, history: History, degenerate: tuple[Degeneracy, ...], begun: RunState) -> RunState:
        """Return where a run that was `begun` so stands, between two iterations without a proposal."""
        return replace(
            begun,
            parameters=self.updated,
            history=history.copied(),
            degenerate=degenerate,
            repairs=self._m_step.state(),
            passes=self._passes.state(),
        )

    def restore(self, state: RunState) -> None:
        """Go on from the parameters of a state, with which the walk was made."""
        if len(state.history):
            self.bound = state.history.lower_bound[-1]
            self._m_step.restore(state.repairs)
            self._passes.restore(state.passes)

    @property
    def found(self) -> tuple[Parameters, float]:
        """What the run gives: the last step, and the objective before it; of draws, the best that a pass saw."""
        return self._best if self._settings.assignment == "stochastic" else (self.updated, self.bound)

    def go_on(self, *, plain: bool) -> None:
        """Choose where the next pass is taken."""
        proposal = None
        if self.restarted:
            self._passes = self._fresh(self.updated)
        if self._faster is not None:
            if self.restarted:
                self._faster.reset()
            else:
                proposal = self._faster.propose(self._at, self.updated, self.jumped)
        self._at, self.jumped = (self.updated, False) if plain or proposal is None else (proposal, True)
