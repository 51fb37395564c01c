"""★ The loop of variational Bayes: a pass, an update, until the lower bound rests."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fastgmm.bayes.bound import lower_bound
from fastgmm.bayes.posterior import Posterior
from fastgmm.bayes.prior import Prior
from fastgmm.bayes.update import update
from fastgmm.em import callbacks
from fastgmm.em.convergence import Status, converged
from fastgmm.em.history import History
from fastgmm.em.run import Interrupted, RunResult
from fastgmm.rows.base import AbstractRows, Trust
from fastgmm.threads import Team


@dataclass(frozen=True, eq=False)
class Settings:
    """How variational Bayes is to run; prior and ridge in the coordinates of the rows' frame."""

    prior: Prior
    tol: float
    """Least change of the lower bound, a total over the rows, that is worth another iteration."""
    max_iter: int
    ridge: NDArray[np.float64]
    """Added to the variances, (D,)."""


@dataclass(frozen=True, eq=False)
class Iteration(callbacks.Iteration):
    """One complete iteration; `change` is the lower bound's, `log_likelihood` is of the expected densities."""

    lower_bound: float = field(kw_only=True)
    """After the update: a total over the rows."""


@dataclass(frozen=True, eq=False)
class PosteriorResult(RunResult):
    """How a run ended and what it found, in the coordinates of the rows' frame; `parameters` are the expected ones."""

    posterior: Posterior = field(kw_only=True)


class PosteriorInterrupted(Interrupted):
    """Ctrl-C during a fit: `result` holds the best of the complete iterations."""

    result: PosteriorResult

    def __init__(self, result: PosteriorResult) -> None:
        super().__init__(result)


def run(
    rows: AbstractRows,
    start: Posterior,
    settings: Settings,
    team: Team,
    *,
    restart: int = 0,
    began: float = 0.0,
    previous: float = -math.inf,
    callback: callbacks.Callback | None = None,
    passed: int = 0,
) -> PosteriorResult:
    """Iterate from `start`; `previous` is the lower bound before it, if known (a warm start).

    `passed` are passes that were spent on the start.

    Raises
    ------
    DegenerateComponentError
        If a covariance stops being positive definite.
    PosteriorInterrupted
        On Ctrl-C, once an iteration is complete.
    """
    posterior, history, status, swept = start, History(), Status.MAX_ITER, rows.swept - passed
    # The bound is a total whose change is compared with `tol`, and the entropy in it is a difference of such totals:
    # float32 lanes would hide the change from 1e5 rows on.
    moments, trust = posterior.expected.form, Trust(narrow=False)
    try:
        while len(history) < settings.max_iter:
            statistics = rows.expectation(posterior.expected, team, moments=moments, trust=trust)
            updated = update(statistics, settings.prior, settings.ridge)
            updated.expected.inverse_factors  # noqa: B018 - a degenerate covariance ends the iteration that made it
            bound = lower_bound(statistics, posterior.expected, updated, rows.frame.log_volume)
            change = bound - previous
            posterior, previous = updated, bound
            history.add(bound, perf_counter() - began, rows.swept - swept)
            mean = statistics.log_likelihood / statistics.weight
            done = Iteration(
                restart, len(history), mean, change, history.seconds[-1], posterior.expected, lower_bound=bound
            )
            if callback is not None and callback(done) is True:
                status = Status.STOPPED
                break
            if converged(change, settings.tol):
                status = Status.CONVERGED
                break
    except KeyboardInterrupt:
        if not len(history):
            raise
        raise PosteriorInterrupted(_result(posterior, history, Status.INTERRUPTED)) from None
    return _result(posterior, history, status)


def _result(posterior: Posterior, history: History, status: Status) -> PosteriorResult:
    bounds = tuple(history.lower_bound)
    last = bounds[-1] if bounds else -math.inf
    return PosteriorResult(posterior.expected, last, bounds, status, history=history, posterior=posterior)


def best_run(
    rows: AbstractRows,
    starts: list[Callable[[], Posterior]],
    settings: Settings,
    team: Team,
    callback: callbacks.Callback | None = None,
    previous: float = -math.inf,
    ended: Callable[[int, RunResult], object] | None = None,
) -> PosteriorResult:
    """Run from each start and return the run with the largest lower bound, the first of equals.

    `ended` is told each run's number and result.
    On Ctrl-C `PosteriorInterrupted` carries the best run so far, the interrupted one included.
    """
    began = perf_counter()
    best: PosteriorResult | None = None
    for number, start in enumerate(starts):
        swept = rows.swept
        try:
            made = start()
            found = run(
                rows,
                made,
                settings,
                team,
                restart=number,
                began=began,
                callback=callback,
                previous=previous,
                passed=rows.swept - swept,
            )
        except PosteriorInterrupted as stop:
            raise PosteriorInterrupted(_better(best, stop.result)) from None
        except KeyboardInterrupt:
            if best is None:
                raise
            raise PosteriorInterrupted(best) from None
        if ended is not None:
            ended(number, found)
        best = _better(best, found)
        if found.status is Status.STOPPED:
            break
    assert best is not None  # there is a start at least
    return best


def _better(first: PosteriorResult | None, second: PosteriorResult) -> PosteriorResult:
    return second if first is None or second.lower_bound > first.lower_bound else first
