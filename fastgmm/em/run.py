"""★ The loop: expectation, maximise, until the likelihood rests."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.callbacks import Callback, Iteration
from fastgmm.em.convergence import Status, converged
from fastgmm.em.degeneracy import Degeneracy, Repairs
from fastgmm.em.passes import AbstractPasses, passes
from fastgmm.em.state import NO_REPAIRS, RunState
from fastgmm.expectation_task import SKIP_BELOW
from fastgmm.models import MODELS, maximise
from fastgmm.models.prior import Prior
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Settings:
    """How EM is to run."""

    tol: float = 1e-3
    """Least change of the mean log-likelihood that is worth another iteration."""
    max_iter: int = 100
    ridge: Floats | float = 1e-6
    """Added to the variances, in the frame's units: scalar or (D,)."""
    model: str = "VVV"
    algorithm: str = "auto"
    """Which passes to take, see `em.passes`."""
    skip_below: float = SKIP_BELOW
    """Share of a row that may be left out, see `expectation_task.pair_share`."""
    prior: Prior | None = None
    """In the frame's coordinates."""
    equal_weights: bool = False
    on_degenerate: str = "raise"
    """What a collapse leads to, see `em.degeneracy.POLICIES`."""

    @property
    def moments(self) -> str:
        """Form of the second moments that the model needs."""
        return MODELS[self.model].moments

    def maximise(
        self, statistics: SufficientStatistics, before: Parameters | None = None, more: Floats | float = 0.0
    ) -> Parameters:
        """Take an M-step, with more added to the ridge; `before` are the last parameters, which it may start from."""
        return maximise(
            statistics,
            self.model,
            reg_covar=self.ridge + more,
            prior=self.prior,
            equal_weights=self.equal_weights,
            before=before,
        )

    def objective(self, statistics: SufficientStatistics, parameters: Parameters) -> float:
        """Return what EM raises: the mean log-likelihood, with the log-density of a prior."""
        prior = 0.0 if self.prior is None else self.prior.log_density(parameters, self.model)
        return (statistics.log_likelihood + prior) / statistics.weight


@dataclass(frozen=True, eq=False)
class Start:
    """Where a run begins, and what had to be done to get there."""

    parameters: Parameters
    degenerate: tuple[Degeneracy, ...] = ()


@dataclass(frozen=True, eq=False)
class RunResult:
    """How a run ended and what it found, in the coordinates of the rows' frame."""

    parameters: Parameters
    lower_bound: float
    """Objective that the last expectation saw; −inf without an iteration."""
    lower_bounds: tuple[float, ...]
    status: Status
    degenerate: tuple[Degeneracy, ...] = ()
    """Components that collapsed, and what was done."""

    @property
    def n_iter(self) -> int:
        """Complete iterations."""
        return len(self.lower_bounds)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit: `result` holds the best of the complete iterations."""

    def __init__(self, result: RunResult) -> None:
        super().__init__("interrupted")
        self.result = result


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

    def state(
        self, parameters: Parameters, bounds: list[float], degenerate: tuple[Degeneracy, ...], steps: AbstractPasses
    ) -> RunState:
        """Return where the run stands after an iteration that left `bounds` and these passes."""
        repairs = NO_REPAIRS if self._repairs is None else self._repairs.state()
        return RunState(parameters, tuple(bounds), bounds[-1], degenerate, repairs, steps.state())

    def restore(self, state: RunState) -> None:
        """Go on from a state."""
        if self._repairs is not None:
            self._repairs.restore(state.repairs)


def first(statistics: SufficientStatistics, settings: Settings) -> Start:
    """Take the M-step that makes a start."""
    step = MStep(settings)
    return Start(step.take(statistics, None, 0), step.degenerate)


def run(
    rows: AbstractRows,
    start: Parameters,
    settings: Settings,
    team: Team,
    *,
    restart: int = 0,
    began: float = 0.0,
    previous: float = -math.inf,
    callback: Callback | None = None,
    degenerate: tuple[Degeneracy, ...] = (),
    resumed: RunState | None = None,
    record: Callable[[RunState], object] | None = None,
) -> RunResult:
    """Iterate EM from `start`; `previous` is the objective before it, if known (a warm start).

    `record` is told where the run stands after each iteration that is not its last; `resumed` is such a state, to go
    on from instead of `start`.

    Raises
    ------
    DegenerateComponentError
        If a covariance stops being positive definite, and the policy is to raise or cannot help.
    Interrupted
        On Ctrl-C, once an iteration is complete.
    """
    parameters, bounds, status, m_step = start, list[float](), Status.MAX_ITER, MStep(settings, degenerate)
    if resumed is not None:
        parameters, bounds, previous = resumed.parameters, list(resumed.lower_bounds), resumed.previous
        degenerate = resumed.degenerate

    def anew() -> AbstractPasses:
        k = parameters.n_components
        return passes(settings.algorithm, rows, k, team, settings.skip_below, settings.moments)

    steps = anew()
    if resumed is not None and bounds:
        m_step.restore(resumed)
        steps.restore(resumed.passes)
    try:
        while len(bounds) < settings.max_iter:
            statistics = steps.expectation(parameters)
            updated = m_step.take(statistics, parameters, len(bounds) + 1)
            bound = settings.objective(statistics, parameters)
            change = bound - previous
            parameters, previous = updated, bound
            bounds.append(bound)
            degenerate += m_step.degenerate
            seconds = perf_counter() - began
            done = Iteration(
                restart, len(bounds), bound, change, seconds, parameters, steps.evaluated, m_step.degenerate
            )
            if m_step.restarts:
                steps = anew()
            rests = not m_step.restarts and converged(change, settings.tol)
            if record is not None and not rests:
                record(m_step.state(parameters, bounds, degenerate, steps))
            if callback is not None and callback(done) is True:
                status = Status.STOPPED
                break
            if rests:
                status = Status.CONVERGED
                break
    except KeyboardInterrupt:
        if not bounds:
            raise
        result = RunResult(parameters, bounds[-1], tuple(bounds), Status.INTERRUPTED, degenerate)
        raise Interrupted(result) from None
    return RunResult(parameters, bounds[-1] if bounds else -math.inf, tuple(bounds), status, degenerate)
