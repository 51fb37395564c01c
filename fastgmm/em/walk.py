"""A walk: where a run's passes are taken. Steps of EM, with proposals between them that may be refused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.acceleration import acceleration
from fastgmm.em.callbacks import Iteration
from fastgmm.em.degeneracy import Degeneracy, Repairs, RepairState, collapsed, spread
from fastgmm.em.history import History
from fastgmm.em.passes import AbstractPasses, passes
from fastgmm.em.state import NO_REPAIRS, Arrays, RunState, arrays_of, parameters_of
from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import ALONE, Team

if TYPE_CHECKING:
    from fastgmm.em.run import Settings

Floats = NDArray[np.float64]


class MStep:
    """The M-steps of one run, under its policy for components that collapse."""

    def __init__(self, settings: Settings, before: tuple[Degeneracy, ...] = (), team: Team = ALONE) -> None:
        self._settings, self._team = settings, team
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
        found.factor(self._team)  # a degenerate covariance ends the iteration that made it
        return found

    def attempt(self, statistics: SufficientStatistics, before: Parameters) -> Parameters | None:
        """Return the next parameters, or None where a component collapses: a proposal is not worth a repair."""
        self.restarts, self.degenerate = False, ()
        try:
            found = self._settings.maximise(statistics, before)
            found.factor(self._team)
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


class AbstractWalk(ABC):
    """The passes of one run, one after the other, and the steps from them."""

    bound: float = float("-inf")
    """The objective that the last pass saw, or led to."""
    updated: Parameters
    """Where the last step goes from there."""
    jumped: bool = False
    """Whether the last pass was taken from a proposal, and not from where EM had gone."""
    restarted: bool = False
    """Whether the last step changed the components."""
    degenerate: tuple[Degeneracy, ...] = ()
    """What the last step did about collapses."""
    evaluated: float = 1.0
    """Share of the pairs of rows and components that the last pass computed."""
    refusals: int = 0
    """Passes from proposals that were refused."""
    jumps: list[bool]
    """Of each iteration, whether its pass was taken from a proposal."""

    @abstractmethod
    def step(self, iteration: int) -> bool:
        """Take a pass and a step; False where the pass refuses a proposal, and a plain step is next."""

    @abstractmethod
    def go_on(self, *, plain: bool) -> None:
        """Choose where the next pass is taken."""

    @abstractmethod
    def state(self, history: History, degenerate: tuple[Degeneracy, ...], begun: RunState) -> RunState:
        """Return where a run that was `begun` so stands, between two iterations."""

    @property
    def found(self) -> tuple[Parameters, float]:
        """What the run gives: the last step, and the objective."""
        return self.updated, self.bound

    @property
    def more(self) -> Arrays:
        """What it gives besides."""
        return {}

    def iteration(self, restart: int, number: int, change: float, seconds: float) -> Iteration:
        """Return what callbacks are told of the last step."""
        return Iteration(
            restart, number, self.bound, change, seconds, self.updated, self.evaluated, self.degenerate
        )  # fmt: skip


class Walk(AbstractWalk):
    """The passes of a run of EM, and its M-steps."""

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
        self._m_step = MStep(settings, degenerate, team)
        self._chain = restart << 16
        self._passes = self._fresh(start)
        self._faster = acceleration(settings.acceleration, settings.model, settings.ridge)
        self._at = start
        self.updated = start
        self.jumps = []
        self._best = start, float("-inf")

    def _fresh(self, start: Parameters) -> AbstractPasses:
        s = self._settings
        self._chain += 1
        seed = s.seed + (self._chain << 31)
        return passes(
            s.algorithm, self._rows, start.n_components, self._team, s.skip_below, s.moments, s.assignment, seed
        )

    @property
    def evaluated(self) -> float:  # type: ignore[override]
        """Share of the pairs of rows and components that the last pass computed."""
        return self._passes.evaluated

    @property
    def degenerate(self) -> tuple[Degeneracy, ...]:  # type: ignore[override]
        """What the last M-step did about collapses."""
        return self._m_step.degenerate

    @property
    def restarted(self) -> bool:  # type: ignore[override]
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
                self.refusals += 1
                return False
        else:
            found = self._m_step.take(statistics, self._at, iteration)
        self.bound, self.updated = bound, found
        self.jumps.append(self.jumped)
        if bound > self._best[1]:
            self._best = self._at, bound
        return True

    def state(self, history: History, degenerate: tuple[Degeneracy, ...], begun: RunState) -> RunState:
        """Return where a run that was `begun` so stands, between two iterations."""
        return replace(
            begun,
            parameters=self.updated,
            history=history.copied(),
            degenerate=degenerate,
            repairs=self._m_step.state(),
            passes=self._passes.state(),
            more=self._more(),
        )

    def _more(self) -> Arrays:
        """Return what is known of proposals and draws, if there are any."""
        more: Arrays = {}
        if self._faster is not None:
            more = {f"faster.{name}": array for name, array in self._faster.state().items()}
            more |= {"refusals": np.array(self.refusals), "jumps": np.array(self.jumps, dtype=np.int64)}
            if self.jumped:
                more |= arrays_of(self._at, "at")
        if self._drawn:
            at, bound = self._best
            more |= {"chain": np.array(self._chain), "best.bound": np.array(bound), **arrays_of(at, "best")}
        return more

    def restore(self, state: RunState) -> None:
        """Go on from the parameters of a state, with which the walk was made."""
        self.jumps = [False] * len(state.history)
        if len(state.history):
            self.bound, more, form = state.history.lower_bound[-1], state.more, state.parameters.form
            if self._drawn:
                self._chain = int(more["chain"]) - 1  # a component that came anew began another chain
                self._passes = self._fresh(state.parameters)
                self._best = parameters_of(more, "best", form), float(more["best.bound"])
            self._m_step.restore(state.repairs)
            self._passes.restore(state.passes)
            if self._faster is not None:
                own = {name.removeprefix("faster."): a for name, a in more.items() if name.startswith("faster.")}
                self._faster.restore(own, form)
                self.refusals, self.jumps = int(more["refusals"]), [bool(jump) for jump in more["jumps"]]
                if "at.means" in more:
                    self._at, self.jumped = parameters_of(more, "at", form), True

    @property
    def _drawn(self) -> bool:
        return self._settings.assignment == "stochastic"

    @property
    def found(self) -> tuple[Parameters, float]:
        """What the run gives: the last step, and the objective before it; of draws, the best that a pass saw."""
        return self._best if self._drawn else (self.updated, self.bound)

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
