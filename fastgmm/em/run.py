"""★ The loop: expectation, maximise, until the likelihood rests."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.callbacks import Callback
from fastgmm.em.compiled import Iterations, compiled
from fastgmm.em.convergence import Status, convergence_test
from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.history import History
from fastgmm.em.state import Arrays, RunState
from fastgmm.em.walk import AbstractWalk, MStep, Walk
from fastgmm.expectation_task import SKIP_BELOW
from fastgmm.models import MODELS, maximise
from fastgmm.models.prior import Prior
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

Floats = NDArray[np.float64]


class AbstractSettings(ABC):
    """How a run is to go."""

    tol: float
    """Least change of the objective that is worth another iteration."""
    max_iter: int
    algorithm: str = "dense"
    assignment: str = "soft"
    convergence: str = "change"
    seed: int = 0

    def seeded(self, seed: int) -> Self:
        """Return the same with another seed; runs that draw nothing have none."""
        return self

    @abstractmethod
    def walk(self, rows: AbstractRows, begun: RunState, team: Team, restart: int) -> AbstractWalk:
        """Return the passes of a run from where it begins, or goes on."""


@dataclass(frozen=True, eq=False)
class Settings(AbstractSettings):
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
    acceleration: str | None = None
    """One of `em.acceleration.ACCELERATIONS`."""
    assignment: str = "soft"
    """One of `em.passes.ASSIGNMENTS`."""
    convergence: str = "change"
    """One of `em.convergence.CONVERGENCE`."""
    seed: int = 0
    """Below 2³¹: of the draws, where labels are drawn."""

    def seeded(self, seed: int) -> Self:
        """Return the same with another seed."""
        return replace(self, seed=seed)

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

    def walk(self, rows: AbstractRows, begun: RunState, team: Team, restart: int) -> AbstractWalk:
        """Return the passes of a run from where it begins, or goes on."""
        walk = Walk(rows, begun.parameters, self, team, begun.degenerate, restart)
        walk.restore(begun)
        return walk

    def objective(self, statistics: SufficientStatistics, parameters: Parameters) -> float:
        """Return what EM raises: the mean log-likelihood, with the log-density of a prior."""
        prior = 0.0 if self.prior is None else self.prior.log_density(parameters, self.model)
        return (statistics.log_likelihood + prior) / statistics.weight


@dataclass(frozen=True, eq=False)
class Start:
    """Where a run begins, and what had to be done to get there."""

    parameters: Parameters
    degenerate: tuple[Degeneracy, ...] = ()
    more: Arrays = field(default_factory=dict)
    """See `em.state.RunState.more`."""


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
    history: History = field(default_factory=History)
    more: Arrays = field(default_factory=dict)
    """What was found besides: of variational Bayes, the posterior's arrays."""

    @property
    def n_iter(self) -> int:
        """Complete iterations."""
        return len(self.lower_bounds)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit: `result` holds the best of the complete iterations."""

    def __init__(self, result: RunResult) -> None:
        super().__init__("interrupted")
        self.result = result


def first(statistics: SufficientStatistics, settings: Settings) -> Start:
    """Take the M-step that makes a start."""
    step = MStep(settings)
    return Start(step.take(statistics, None, 0), step.degenerate)


def run(
    rows: AbstractRows,
    start: Parameters,
    settings: AbstractSettings,
    team: Team,
    *,
    restart: int = 0,
    began: float = 0.0,
    previous: float = -math.inf,
    callback: Callback | None = None,
    degenerate: tuple[Degeneracy, ...] = (),
    passed: int = 0,
    resumed: RunState | None = None,
    record: Callable[[RunState], object] | None = None,
) -> RunResult:
    """Iterate EM from `start`; `previous` is the objective before it, if known (a warm start).

    `passed` are passes that were spent on the start. `record` is told where the run stands after each iteration that is
    not its last; `resumed` is such a state, to go on from.

    Raises
    ------
    DegenerateComponentError
        If a covariance stops being positive definite, and the policy is to raise or cannot help.
    Interrupted
        On Ctrl-C, once an iteration is complete.
    """
    begun = resumed or RunState(start, previous, degenerate, passed)
    if callback is None and record is None and isinstance(settings, Settings):
        iterations = compiled(rows, begun.parameters, settings, team)
        if iterations is not None:
            return _run_compiled(iterations, rows, begun, settings.max_iter, began)
    walk, history = settings.walk(rows, begun, team, restart), begun.history.copied()
    degenerate = begun.degenerate
    swept = rows.swept - (history.passes[-1] if len(history) else begun.passed)
    began -= history.seconds[-1] if len(history) else 0.0
    chain = settings.assignment == "stochastic"  # which never rests
    test = convergence_test(settings.convergence, 0.0 if chain else settings.tol, begun.previous)
    for bound, jumped in zip(history.lower_bound, walk.jumps, strict=True):
        test.rests(bound, jumped)
    status = Status.DRAWN if chain else Status.MAX_ITER
    try:
        with team.limit():
            for _ in range(settings.max_iter - len(history) - walk.refusals):
                if not walk.step(len(history) + 1):
                    continue  # a proposal was refused: nothing but a pass is spent
                bound, change = walk.bound, test.change(walk.bound)
                degenerate += walk.degenerate
                seconds = perf_counter() - began
                history.add(bound, seconds, rows.swept - swept, walk.evaluated)
                done = walk.iteration(restart, len(history), change, seconds)
                rests = test.rests(bound, walk.jumped) and not walk.restarted
                if not rests:
                    walk.go_on(plain=test.doubts)
                    if record is not None:
                        record(walk.state(history, degenerate, begun))
                if callback is not None and callback(done) is True:
                    status = Status.STOPPED
                    break
                if rests:
                    status = Status.CONVERGED
                    break
    except KeyboardInterrupt:
        if not len(history):
            raise
        raise Interrupted(_result(walk, history, Status.INTERRUPTED, degenerate)) from None
    return _result(walk, history, status, degenerate)


def _run_compiled(
    iterations: Iterations, rows: AbstractRows, begun: RunState, max_iter: int, began: float
) -> RunResult:
    """Iterate as `run` does, with many iterations in a call: the same bits, and errors."""
    history, status = begun.history.copied(), Status.MAX_ITER
    began -= history.seconds[-1] if len(history) else 0.0
    bound = history.lower_bound[-1] if len(history) else begun.previous
    since = perf_counter() - began

    def take_note() -> None:
        bounds = iterations.taken()
        rows.swept += len(bounds)
        passes = history.passes[-1] if len(history) else begun.passed
        history.extend(bounds, since, perf_counter() - began, passes)

    def result() -> RunResult:
        last = history.lower_bound[-1] if len(history) else -math.inf
        return RunResult(iterations.parameters, last, tuple(history.lower_bound), status, begun.degenerate, history)

    try:
        while len(history) < max_iter and not iterations.over:
            iterations.advance(max_iter - len(history), bound)
            take_note()
            if len(history):
                since, bound = history.seconds[-1], history.lower_bound[-1]
        status = Status.CONVERGED if iterations.rest else status
    except KeyboardInterrupt:
        take_note()
        if not len(history):
            raise
        status = Status.INTERRUPTED
        raise Interrupted(result()) from None
    return result()


def _result(walk: AbstractWalk, history: History, status: Status, degenerate: tuple[Degeneracy, ...]) -> RunResult:
    parameters, bound = walk.found
    return RunResult(parameters, bound, tuple(history.lower_bound), status, degenerate, history, walk.more)
