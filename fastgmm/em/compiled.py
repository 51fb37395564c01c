"""Iterations that are compiled: many of them in one call, for rows that are few and steps that are plain EM.

From Python an iteration costs 0.1 ms beyond its pass. Compiled, it calls the same kernels, so that the bits are the
same. What may be compiled is decided in one place, `compiled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.passes import may_pay
from fastgmm.expectation_task import ExpectationTask, pair_share
from fastgmm.models.moments import added
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows, Trust
from fastgmm.rows.repeated import Repeated, repeated
from fastgmm.triangles import KERNEL

if TYPE_CHECKING:
    from fastgmm.em.run import Settings
    from fastgmm.threads import Team


def compiled(rows: AbstractRows, start: Parameters, settings: Settings, team: Team) -> Iterations | None:
    """Return what iterates from `start` in compiled calls, for a run that nobody watches; None where Python must.

    They are for soft EM of VVV, stopped by small changes, without prior, repairs and acceleration, over few float64
    rows that lie in memory.
    """
    plain = (
        settings.model == "VVV"
        and settings.prior is None
        and not settings.equal_weights
        and settings.on_degenerate == "raise"
        and settings.acceleration is None
        and settings.assignment == "soft"
        and settings.convergence == "change"
        and (settings.algorithm == "dense" or (settings.algorithm == "auto" and not may_pay(rows, start.n_components)))
    )
    if not plain or settings.max_iter < 1 or rows.n_features > KERNEL or rows.dtype != np.float64:
        return None
    task = rows.task(start, settings.moments, Trust(), skip_below=settings.skip_below)
    if not isinstance(task, ExpectationTask):
        return None
    passes = repeated(rows, task, team)
    return None if passes is None else Iterations(rows, task, passes, settings)


class Iterations:
    """Where compiled iterations stand, and the memory that they work in."""

    def __init__(self, rows: AbstractRows, task: ExpectationTask, passes: Repeated, settings: Settings) -> None:
        from fastgmm.kernels.variants import iterate_kernel

        start, (k, d) = task.mixture.parameters, task.mixture.parameters.means.shape
        self._kernel, self._passes = iterate_kernel(), passes
        self._parameters = start.weights.copy(), start.means.copy(), start.covariances.copy()
        self._ended = np.zeros(2, dtype=np.int64)
        self._bounds = np.empty(0)
        ridge = np.ascontiguousarray(np.broadcast_to(settings.ridge, (d,)), dtype=np.float64)
        sums = np.empty(k), np.empty((k, d)), np.empty((k, d, d))
        self._arguments = (
            _addresses(passes), *passes.rows, *task.given_span(0, 0), *_layout(task), rows.weight,
            rows.weight * task.offset, added(rows.weight), ridge, float(settings.tol), *self._parameters,
            *_factors(task, self._parameters[1]), *sums, *passes.stacks, self._ended,
        )  # fmt: skip

    def advance(self, most: int, previous: float) -> None:
        """Iterate `most` times, or as often as a call may last, or until converged or degenerate."""
        self._ended[0], self._bounds = 0, np.empty(min(most, self._passes.turns))
        with self._passes.team.limit():
            self._kernel(1, *self._arguments, previous, self._bounds)

    def taken(self) -> list[float]:
        """Return the objectives of the complete iterations since this was last asked."""
        found = self._bounds[: self._ended[0]].tolist()
        self._ended[0] = 0
        return found

    @property
    def rest(self) -> bool:
        """Whether the last iteration changed little."""
        from fastgmm.kernels.iterate import RESTS

        return bool(self._ended[1] == RESTS)

    @property
    def over(self) -> bool:
        """Whether there are no more: they converged, or a covariance is degenerate, as `parameters` tells."""
        from fastgmm.kernels.iterate import RUNNING

        return bool(self._ended[1] != RUNNING)

    @property
    def parameters(self) -> Parameters:
        """Those of the last M-step, in the frame's coordinates.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        weights, means, covariances = self._parameters
        found = Parameters(weights.copy(), means.copy(), covariances.copy())
        found.inverse_factors  # noqa: B018 - a degenerate covariance ends the iteration that made it
        return found


def _addresses(passes: Repeated) -> NDArray[np.int64]:
    """Return where the machine code is that `kernels.iterate` calls."""
    from fastgmm.kernels.variants import factors_kernel, log_constants_kernel, m_step_kernel

    steps = m_step_kernel(), factors_kernel(), log_constants_kernel()
    return np.array([*passes.addresses, *(step.address for step in steps)])


def _layout(task: ExpectationTask) -> tuple[Any, ...]:
    """Return how rows, parameters and sums lie."""
    from fastgmm.kernels.layout import strip_rows

    shape = task.mixture.shape
    share = pair_share(task.skip_below, task.n_components)
    sizes = shape.record, shape.row_length, task.block, strip_rows(task.n_features, task.n_components)
    return *task.mixture.frame.padded, share, *sizes, shape.places, shape.whitener_order, shape.moments


def _factors(task: ExpectationTask, means: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Return what is made of parameters: of the first ones it is there, where a pass is to read it."""
    start, shape = task.mixture.parameters, task.mixture.shape
    k = start.n_components
    packed = np.zeros(k * shape.row_length), np.empty(k * len(shape.whitener_order))
    factors = np.empty_like(start.covariances), start.inverse_factors.copy(), start.log_constants.copy()
    return *factors, means.ravel(), factors[1].ravel(), *packed, np.empty(k, dtype=np.bool_)
