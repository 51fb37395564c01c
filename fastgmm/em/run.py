"""★ The loop: expectation, maximise, until the likelihood rests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.callbacks import Callback, Iteration
from fastgmm.em.convergence import Status, converged
from fastgmm.em.passes import passes
from fastgmm.expectation_task import SKIP_BELOW
from fastgmm.models import maximise
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team


@dataclass(frozen=True, eq=False)
class Settings:
    """How EM is to run."""

    tol: float = 1e-3
    """Least change of the mean log-likelihood that is worth another iteration."""
    max_iter: int = 100
    ridge: NDArray[np.float64] | float = 1e-6
    """Added to the variances, in the frame's units: scalar or (D,)."""
    model: str = "VVV"
    algorithm: str = "auto"
    """Which passes to take, see `em.passes`."""
    skip_below: float = SKIP_BELOW
    """Share of a row that may be left out, see `expectation_task.pair_share`."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """How a run ended and what it found, in the coordinates of the rows' frame."""

    parameters: Parameters
    lower_bound: float
    """Mean log-likelihood that the last expectation saw; −inf without an iteration."""
    lower_bounds: tuple[float, ...]
    status: Status

    @property
    def n_iter(self) -> int:
        """Complete iterations."""
        return len(self.lower_bounds)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit: `result` holds the best of the complete iterations."""

    def __init__(self, result: RunResult) -> None:
        super().__init__("interrupted")
        self.result = result


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
) -> RunResult:
    """Iterate EM from `start`; `previous` is the mean log-likelihood before it, if known (a warm start).

    Raises
    ------
    DegenerateComponentError
        If a covariance stops being positive definite.
    Interrupted
        On Ctrl-C, once an iteration is complete.
    """
    parameters, bounds, status = start, list[float](), Status.MAX_ITER
    steps = passes(settings.algorithm, rows, start.n_components, team, settings.skip_below)
    try:
        while len(bounds) < settings.max_iter:
            statistics = steps.expectation(parameters)
            updated = maximise(statistics, settings.model, reg_covar=settings.ridge)
            updated.inverse_factors  # noqa: B018 - a degenerate covariance ends the iteration that made it
            bound = statistics.log_likelihood / statistics.weight
            change = bound - previous
            parameters, previous = updated, bound
            bounds.append(bound)
            done = Iteration(restart, len(bounds), bound, change, perf_counter() - began, parameters, steps.evaluated)
            if callback is not None and callback(done) is True:
                status = Status.STOPPED
                break
            if converged(change, settings.tol):
                status = Status.CONVERGED
                break
    except KeyboardInterrupt:
        if not bounds:
            raise
        raise Interrupted(RunResult(parameters, bounds[-1], tuple(bounds), Status.INTERRUPTED)) from None
    return RunResult(parameters, bounds[-1] if bounds else -math.inf, tuple(bounds), status)
