"""The verb *expectation*: pack parameters for the kernels, unpack their sums into statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import Frame
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask, NodeArrays

Floats = NDArray[np.float64]

SKIP_BELOW = 2.0**-53
"""Responsibilities up to this share of a row are left out of the sums: together less than a rounding of the row."""


@dataclass(frozen=True, eq=False)
class PackedMixture:
    """A mixture as density kernels read it. Log-densities come out in the frame's units, without `frame.log_volume`."""

    frame: Frame
    parameters: Parameters
    """In the frame's coordinates."""

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """centre, scale, means, log_constants, whiteners: all flat."""
        from fastgmm.kernels.layout import layout

        p = self.parameters
        order = layout(p.n_features).whitener_order
        whiteners = p.whiteners.reshape(p.n_components, -1)[:, order]
        return (
            self.frame.centre,
            self.frame.scale,
            p.means.ravel(),
            p.log_constants,
            np.ascontiguousarray(whiteners).ravel(),
        )

    @cached_property
    def padded_means(self) -> Floats:
        """Means laid out like the kernels' rows: the head padded to whole registers."""
        from fastgmm.kernels.layout import layout

        means = self.parameters.means
        shape = layout(self.parameters.n_features)
        rows = np.zeros((len(means), shape.row_length))
        rows[:, : shape.head] = means[:, : shape.head]
        if shape.head < shape.n_features:
            rows[:, shape.row_length - (shape.n_features - shape.head) :] = means[:, shape.head :]
        return rows.ravel()


@dataclass(frozen=True, eq=False)
class ExpectationTask(AbstractTask):
    """Statistics of rows under a mixture, or under responsibilities that are given."""

    mixture: PackedMixture
    skip_below: float = SKIP_BELOW
    given: Callable[[int, int], Floats] | None = None
    """Responsibilities (stop − start, K) of the rows start … stop−1, in place of the mixture's."""
    labels: NDArray[np.int32] | None = None
    """Components (N,) of all rows, in place of the mixture's responsibilities."""

    @property
    def n_components(self) -> int:
        """K."""
        return self.mixture.parameters.n_components

    @property
    def n_features(self) -> int:
        """D."""
        return self.mixture.parameters.n_features

    @property
    def flop_per_row(self) -> float:
        """Densities, outer products, and an exponential worth about 60."""
        return self.n_components * (2.0 * self.n_features * (self.n_features + 1) + 60.0)

    @property
    def block(self) -> int:
        """Rows of a block."""
        from fastgmm.kernels.layout import block_rows

        return block_rows(self.n_features)

    @property
    def node_length(self) -> int:
        """A header and a record for each component."""
        from fastgmm.kernels.layout import HEADER, layout

        return HEADER + self.n_components * layout(self.n_features).record

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return `kernels.expectation` for these rows."""
        from fastgmm.kernels.variants import expectation_kernel

        return expectation_kernel(self.n_features, dtype, mode)

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on a span."""
        from fastgmm.kernels.layout import layout, strip_rows

        shape = layout(self.n_features)
        centre, scale, means, log_constants, whiteners = self.mixture.arrays
        stop = start + len(X)
        given = np.empty((0, 0)) if self.given is None else self.given(start, stop)
        labels = np.empty(0, dtype=np.int32) if self.labels is None else self.labels[start:stop]
        strip = strip_rows(self.n_features, self.n_components)
        first_block, *stacks = nodes
        kernel(
            X, weights, given, labels, centre, scale, means, self.mixture.padded_means, log_constants, whiteners,
            self.skip_below, shape.record, shape.row_length, self.block, strip, first_block,
            *stacks,
        )  # fmt: skip

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the frame's coordinates."""
        from fastgmm.kernels.layout import HEADER, layout

        shape = layout(self.n_features)
        volume = 0.0 if self.given is not None or self.labels is not None else self.mixture.frame.log_volume
        records = sums[HEADER:].reshape(self.n_components, shape.record)
        moments = records[:, shape.moments]
        return SufficientStatistics(
            origins=self.mixture.parameters.means,
            sum_w=np.ascontiguousarray(moments[:, 0, 0]),
            sum_x=np.ascontiguousarray(moments[:, 1:, 0]),
            sum_xx=np.ascontiguousarray(moments[:, 1:, 1:]),
            log_likelihood=float(sums[0]) + weight * volume,
            weight=weight,
        )
