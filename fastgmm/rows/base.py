"""What every kind of rows offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.bounded_task import BoundedTask
from fastgmm.diagonal_task import DiagonalTask, PooledTask, SphericalTask, pooled
from fastgmm.errors import DataError
from fastgmm.expectation_task import SKIP_BELOW, AbstractExpectation, ExpectationTask
from fastgmm.frame import Frame
from fastgmm.packed import PackedDiagonal, PackedMixture, turnable
from fastgmm.parameters import Parameters
from fastgmm.precision import DOUBTS, Mask, arithmetic, planned, told, untold
from fastgmm.promoted_task import PromotedTask
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask, sweep
from fastgmm.threads import ALONE, Team

Floats = NDArray[np.float64]
Span = tuple[int, NDArray[Any], Floats]
"""First row, C-contiguous rows (n, D) of float64 or float32, and their weights (n,) or an empty array."""

WITHIN = 2.0**20
"""Largest coordinate in the frame that float32 lanes are trusted with: a fit's own frame keeps them below 2."""


MIDDLE_ROWS = 4096
"""Rows whose mean is taken for a point near all of them."""

FAR = 2.0**10
"""Largest second moment about that point, in a feature's scatters, that is as good as one about the mean."""


@dataclass
class Trust:
    """Which short cuts passes take over some rows; each is given up for good when sums show that it loses digits."""

    narrow: bool = True
    """float32 arithmetic for float32 rows."""
    pooled: bool = True
    """Pooled second moments as the difference of all rows' and those of the components' means."""
    doubts: NDArray[np.int64] | None = None
    """Passes whose sums in float32 did not tell a component's shape, (K,). The next has its shape from float64, so that
    once says little."""
    retaken: Mask | None = None
    """Components that the pass at hand is taken again for, (K,)."""

    def doubtful(self, n_components: int) -> Mask | None:
        """Return which components are to be computed in float64."""
        if self.doubts is None or len(self.doubts) != n_components:
            self.doubts = self.retaken = None
            return None
        found = self.doubts >= DOUBTS
        return found if self.retaken is None else found | self.retaken

    def doubt(self, untold: Mask) -> None:
        """Have the pass taken again with these components in float64."""
        before = np.zeros(len(untold), dtype=np.int64) if self.doubts is None else self.doubts
        self.doubts = before + untold
        self.retaken = untold if self.retaken is None else untold | self.retaken


class AbstractRows(ABC):
    """N rows of D numbers, each finite, with or without weights; re-iterable."""

    n_rows: int
    n_features: int
    dtype: np.dtype[Any]
    """Of the spans: float64 or float32."""
    frame: Frame
    """Where kernels should compute."""
    low: Floats
    high: Floats
    """Least and greatest value of each feature, (D,)."""
    weight: float
    """Sum of the rows' weights."""
    _whole: tuple[Frame, SufficientStatistics] | None = None
    counted: bool = True
    """Whether `n_rows` is known: it may not be where rows are only to be scored."""
    ordinary: bool = True
    """Whether weights are none or of a size that float32 holds with its square."""
    costly: bool = False
    """Whether to read the rows takes long beside what is done with them, so that several runs should share a pass."""
    swept: int = 0
    """Sweeps over all rows so far."""

    @abstractmethod
    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Walk the rows in order, in spans of at most `blocks` whole blocks of `block` rows (the last may be short).

        What a span gives is valid until the next. Take them by `walk`.
        """

    @abstractmethod
    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array."""

    def held(self) -> tuple[NDArray[Any], Floats] | None:
        """Return all rows as kernels read them, and their weights or an empty array, if they lie in memory so."""
        return None

    def sweep(self, task: AbstractTask, team: Team) -> Floats:
        """Sum a task over all rows."""
        self.swept += 1
        with self.walk(task.block, task.blocks_per_span) as spans:
            return sweep(spans, self.n_rows, task, team)

    def weighed_by(self, weights: Floats) -> AbstractRows:
        """Return the same rows with these weights (N,), which were checked."""
        raise DataError(f"{type(self).__name__} take weights when they are made, not as sample_weight.")

    @contextmanager
    def walk(self, block: int, blocks: int) -> Iterator[Iterator[Span]]:
        """Give `spans`, and end them in any case: a reader's thread and files with them."""
        spans = self.spans(block, blocks)
        try:
            yield spans
        finally:
            close = getattr(spans, "close", None)
            if close is not None:
                close()

    def expectation(
        self,
        parameters: Parameters,
        team: Team,
        *,
        moments: str = "full",
        given: Callable[[int, int], Floats] | None = None,
        labels: NDArray[np.int32] | None = None,
        skip_below: float = SKIP_BELOW,
        frame: Frame | None = None,
        trust: Trust | None = None,
    ) -> SufficientStatistics:
        """Return the statistics of all rows, with second moments of the form `moments`.

        Parameters and statistics are in the coordinates of `frame`, or ours. `trust` tells, and learns, which short
        cuts these rows allow.
        """
        options: dict[str, Any] = {"given": given, "labels": labels, "skip_below": skip_below}
        return self.taken(parameters, team, moments, trust or Trust(), frame, **options)[0]

    def taken(
        self,
        parameters: Parameters,
        team: Team,
        moments: str,
        trust: Trust,
        frame: Frame | None = None,
        **options: Any,
    ) -> tuple[SufficientStatistics, Floats]:
        """Take a pass, again where its short cuts lost digits; return statistics, and the sums they are made of."""
        trust.retaken = None
        while True:
            task = self.task(parameters, moments, trust, frame, team=team, **options)
            statistics, sums = self.summed(task, team)
            if not self.distrusts(trust, task, statistics, sums, team):
                return statistics.reduced(moments), sums

    def task(
        self, parameters: Parameters, moments: str, trust: Trust, frame: Frame | None = None, **options: Any
    ) -> AbstractExpectation:
        """Return the cheapest task whose sums tell the second moments asked for."""
        fixed = options.get("given") is not None or options.get("labels") is not None
        if moments in ("diag", "spherical") and parameters.form in ("diag", "spherical"):
            packed = self.packed(parameters, frame, narrow=trust.narrow)
            diagonal = PackedDiagonal(packed.frame, parameters, packed.real)
            if moments == "diag" or parameters.form == "diag" or fixed:
                return DiagonalTask(diagonal, **options)
            return SphericalTask(diagonal, **options)
        if moments == "tied" and trust.pooled and turnable(parameters):
            return PooledTask(PackedDiagonal(frame or self.frame, parameters), **options)
        if fixed:
            doubtful = trust.doubtful(parameters.n_components)
            narrow = trust.narrow and (doubtful is None or not doubtful.any())
            return ExpectationTask(self.packed(parameters, frame, narrow=narrow), **options)
        return self._planned(parameters, trust, frame or self.frame, **options)

    def _planned(self, parameters: Parameters, trust: Trust, frame: Frame, **options: Any) -> AbstractExpectation:
        """Return the task in the arithmetic, or the two, that resolve the components."""
        if not (trust.narrow and self._narrow(frame)):
            return ExpectationTask(PackedMixture(frame, parameters), **options)
        plan = planned(parameters, trust.doubtful(parameters.n_components), options.get("team", ALONE))
        if plan.wide:
            return ExpectationTask(PackedMixture(frame, parameters), **options)
        if not plan.promoted.any():
            return ExpectationTask(PackedMixture(frame, parameters, np.float32, plan.turned), **options)
        skip_below = options.get("skip_below", SKIP_BELOW)
        return PromotedTask.of(frame, parameters, plan.promoted, plan.turned, skip_below)

    def summed(self, task: AbstractExpectation, team: Team) -> tuple[SufficientStatistics, Floats]:
        """Return a task's statistics of all rows, and the sums that they were unpacked from."""
        sums = self.sweep(task, team)
        statistics = task.statistics(sums, self.weight)
        if isinstance(task, PooledTask):
            statistics = pooled(statistics, self.whole(task.mixture.frame, team))
        return statistics, sums

    def distrusts(
        self, trust: Trust, task: AbstractExpectation, statistics: SufficientStatistics, sums: Floats, team: Team
    ) -> bool:
        """Return whether a pass must be taken again without its short cut, of which `trust` then knows."""
        if isinstance(task, PooledTask):
            trust.pooled = told(statistics, self.whole(task.mixture.frame, team))
            return not trust.pooled
        if task.mixture.real is not np.float32:
            return False
        found = self._untold(task, statistics, sums, team)
        if not found.any():
            return False
        if isinstance(task, BoundedTask) or statistics.form != "full":
            trust.narrow = False
        else:
            trust.doubt(found)
        return True

    def _untold(self, task: AbstractExpectation, statistics: SufficientStatistics, sums: Floats, team: Team) -> Mask:
        """Return of which components float32 sums do not tell the shape, as it is where they were formed."""
        if isinstance(task, PromotedTask):
            found = np.zeros(task.n_components, dtype=np.bool_)
            found[~task.promoted] = untold(task.narrow.summed(sums[: task.narrow.node_length], self.weight))
            return found
        if isinstance(task, ExpectationTask) and task.mixture.turned is not None:
            return untold(task.summed(sums, self.weight), team)
        return untold(statistics, team)

    def whole(self, frame: Frame, team: Team) -> SufficientStatistics:
        """Return the statistics of all rows as one component, about a point near their mean; formed once a frame.

        Where some rows did not tell such a point, a second pass is taken about the mean.
        """
        if self._whole is None or self._whole[0] is not frame:
            found = self._about(frame.rows(self.middle()), frame, team)
            if (np.diagonal(found.sum_xx[0]) > FAR * np.diagonal(found.scatters[0])).any():
                found = self._about(found.origins + found.sum_x / found.sum_w[:, None], frame, team)
            self._whole = frame, found
        return self._whole[1]

    def _about(self, point: Floats, frame: Frame, team: Team) -> SufficientStatistics:
        """Return the statistics of all rows as one component about a point (1, D) of the frame."""
        one = Parameters(np.ones(1), point, np.ones(1), "spherical")
        task = ExpectationTask(PackedMixture(frame, one), given=lambda start, stop: np.ones((stop - start, 1)))
        return task.statistics(self.sweep(task, team), self.weight)

    def middle(self) -> Floats:
        """Return the weighted mean of some rows, (1, D): a point near all that count."""
        some = np.linspace(0, self.n_rows - 1, min(self.n_rows, MIDDLE_ROWS)).astype(np.intp)
        X, weights = self.take(some)
        if not weights.any():
            return X.mean(axis=0, keepdims=True)
        shares = weights / weights.max()
        return (X * (shares / shares.sum())[:, None]).sum(axis=0, keepdims=True)

    def in_frame(self, frame: Frame) -> AbstractRows:
        """Return the same rows, for kernels to compute with in another frame."""
        rows = copy(self)
        rows.frame = frame
        return rows

    def packed(self, parameters: Parameters, frame: Frame | None = None, *, narrow: bool = True) -> PackedMixture:
        """Pack a mixture for a pass that computes all alike, in the arithmetic that resolves it on these rows."""
        frame = frame or self.frame
        real = arithmetic(parameters, self.dtype) if narrow and self._narrow(frame) else np.float64
        return PackedMixture(frame, parameters, real)

    def _narrow(self, frame: Frame) -> bool:
        """Whether rows and weights are of a size that float32 holds, with its square."""
        if self.dtype != np.float32 or not self.ordinary:
            return False
        return bool(np.abs(frame.rows(np.stack([self.low, self.high]))).max() <= WITHIN)
