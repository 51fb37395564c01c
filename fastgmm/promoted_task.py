"""The first verb in two precisions: most components in float32, those that it does not resolve in float64.

Each row is read by three kernels. The densities of the promoted components are computed in float64; the others' pass
takes the logarithm of their sum as that of one component more, and tells its share of the row; what is left is to
split that among the promoted, and to sum up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import AbstractExpectation, ExpectationTask, pair_share
from fastgmm.frame import Frame
from fastgmm.packed import PackedMixture
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import NodeArrays
from fastgmm.turned import Turned

Floats = NDArray[np.float64]

NO_WEIGHTS: Floats = np.empty(0)

ROOM = 8 << 20
"""Bytes that a span's densities may take."""


@dataclass(frozen=True)
class Kernels:
    """What a promoted task calls on a span."""

    scoring: Callable[..., None]
    narrow: Callable[..., None]
    wide: Callable[..., None]

    def __call__(self, *arguments: Any) -> None:
        """Kernels are called by the tasks that they belong to."""
        raise TypeError("these kernels are called one by one, by `PromotedTask.call`.")


@dataclass(frozen=True, eq=False, kw_only=True)
class PromotedTask(AbstractExpectation):
    """Full second moments, of some components from sums in float64."""

    mixture: PackedMixture
    """All components, for what does not depend on the numbers."""
    promoted: NDArray[np.bool_]
    """Which components are computed in float64, (K,)."""
    narrow: ExpectationTask
    wide: ExpectationTask

    @classmethod
    def of(
        cls, frame: Frame, parameters: Parameters, promoted: NDArray[np.bool_], turned: Turned | None, skip_below: float
    ) -> PromotedTask:
        """Make the task from parameters in the frame's coordinates; the others may be computed `turned`."""
        few, many = parameters.part(promoted), parameters.part(~promoted)
        narrow = PackedMixture(frame, many, np.float32, None if turned is None else turned.part(~promoted))
        share = skip_below * many.n_components / parameters.n_components
        return cls(
            mixture=PackedMixture(frame, parameters, np.float32, turned),
            skip_below=skip_below,
            promoted=promoted,
            narrow=ExpectationTask(narrow, share),
            wide=ExpectationTask(PackedMixture(frame, few)),
        )

    @property
    def flop_per_row(self) -> float:
        """float64 takes twice the time."""
        return self.narrow.flop_per_row + 2 * self.wide.flop_per_row

    @property
    def blocks_per_span(self) -> int:
        """As many as there is room for."""
        row = 8 * (self.wide.n_components + 3)
        return min(super().blocks_per_span, max(1, ROOM // (row * self.block)))

    @property
    def node_length(self) -> int:
        """A header and records of each kind."""
        return self.narrow.node_length + self.wide.node_length

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return the three kernels."""
        from fastgmm.kernels.variants import score_kernel

        scoring = score_kernel(self.n_features, dtype, mode, self.wide.mixture.form)
        return Kernels(scoring, self.narrow.kernel(dtype, mode), self.wide.kernel(dtype, mode))

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernels on a span."""
        from fastgmm.kernels.layout import strip_rows

        assert isinstance(kernel, Kernels)
        first_block, sums, levels, depths = nodes
        few, parts, depth = self.wide.n_components, *sums.shape[:2]
        others, theirs, given = np.empty(len(X)), np.empty(len(X)), np.empty((len(X), few))
        kernel.scoring(
            parts, X, *self.wide.mixture.score_arrays, strip_rows(self.n_features, few), others, given,
            np.empty((0, 0)), np.empty(0, dtype=np.int64),
        )  # fmt: skip
        others += self.wide.offset - self.narrow.offset
        ours = np.empty((parts, depth, self.narrow.node_length))
        narrow = replace(self.narrow, others=(others, theirs))
        narrow.call(kernel.narrow, start, X, weights, (first_block, ours, levels, depths))
        given *= theirs[:, None]
        least = pair_share(self.skip_below, self.n_components) * (weights if weights.size else 1.0)
        given[given <= np.reshape(least, (-1, 1))] = 0.0
        more = np.empty((parts, depth, self.wide.node_length))
        wide = replace(self.wide, given=lambda start, stop: given)
        wide.call(kernel.wide, start, X, NO_WEIGHTS, (first_block, more, levels, depths))
        for t, size in enumerate(depths):
            sums[t, :size] = np.concatenate([ours[t, :size], more[t, :size]], axis=1)
            sums[t, :size, 1] += more[t, :size, 1]

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the frame's coordinates."""
        ours = self.narrow.statistics(sums[: self.narrow.node_length], weight)
        more = self.wide.statistics(sums[self.narrow.node_length :], 0.0)

        def joined(name: str) -> Floats:
            some = getattr(ours, name)
            whole = np.empty((len(self.promoted), *some.shape[1:]))
            whole[~self.promoted], whole[self.promoted] = some, getattr(more, name)
            return whole

        return SufficientStatistics(
            origins=joined("origins"),
            sum_w=joined("sum_w"),
            sum_x=joined("sum_x"),
            sum_xx=joined("sum_xx"),
            log_likelihood=ours.log_likelihood,
            weight=weight,
        )
