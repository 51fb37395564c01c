"""The verb *expectation*: pack parameters for the kernels, unpack their sums into statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import Frame
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask, NodeArrays

if TYPE_CHECKING:
    from fastgmm.kernels.layout import Layout

Floats = NDArray[np.float64]

SKIP_BELOW = 2.0**-53
"""Share of a row that may be left out of the sums: at this size less than a rounding of the row."""


def pair_share(skip_below: float, n_components: int) -> float:
    """Return the responsibility up to which a pair is left out, so that a row loses at most `skip_below` in all.

    What is below a rounding of the row may go whatever was asked for. Bounds rule out no other pairs than those which
    would be left out once they were computed.
    """
    return max(skip_below / n_components, min(skip_below, SKIP_BELOW))


@dataclass(frozen=True, eq=False)
class PackedMixture:
    """A mixture as density kernels read it. Log-densities come out in the frame's units, without `offset`."""

    frame: Frame
    parameters: Parameters
    """In the frame's coordinates."""
    real: Any = np.float64
    """The numbers that kernels are to compute with, see `precision`."""

    @cached_property
    def offset(self) -> float:
        """What is to be added to every log-density: the frame's volume, and what would cost float32 digits."""
        return self.frame.log_volume + self._base

    @cached_property
    def _base(self) -> float:
        return 0.0 if self.real is np.float64 else float(self.parameters.log_constants.max())

    @cached_property
    def shape(self) -> Layout:
        """How parameters and sums are laid out."""
        from fastgmm.kernels.layout import lanes_of, layout

        return layout(self.parameters.n_features, lanes_of(self.real))

    @cached_property
    def log_constants(self) -> NDArray[Any]:
        """Logarithms of the weighted densities at the means, less what `offset` adds, (K,)."""
        return (self.parameters.log_constants - self._base).astype(self.real)

    @cached_property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """centre, scale, means, log_constants, whiteners: all flat."""
        p = self.parameters
        whiteners = p.whiteners.reshape(p.n_components, -1)[:, self.shape.whitener_order]
        return (
            *self.frame.padded,
            p.means.astype(self.real).ravel(),
            self.log_constants,
            whiteners.astype(self.real, copy=False).ravel(),
        )

    @cached_property
    def origins(self) -> Floats:
        """Means (K, D) as the kernels have them, about which they sum."""
        return self.parameters.means.astype(self.real).astype(np.float64)

    @cached_property
    def padded_means(self) -> NDArray[Any]:
        """Means laid out like the kernels' rows: the head padded to a panel, the end to whole registers."""
        means = self.parameters.means
        rows = np.zeros((len(means), self.shape.row_length), dtype=self.real)
        rows[:, self.shape.places] = means
        return rows.ravel()

    @cached_property
    def columns(self) -> NDArray[Any]:
        """Whiteners by columns, rows and columns laid out like the kernels' rows, zeros included."""
        from fastgmm.kernels.target import PANEL

        count, d = self.parameters.means.shape
        head, length = self.shape.head, self.shape.row_length
        columns = np.zeros((count, length, length), dtype=self.real)
        turned = self.parameters.whiteners.swapaxes(1, 2)
        end = PANEL + d - head
        columns[:, :head, :head] = turned[:, :head, :head]
        columns[:, :head, PANEL:end] = turned[:, :head, head:]
        columns[:, PANEL:end, PANEL:end] = turned[:, head:, head:]
        return columns.ravel()


@dataclass(frozen=True, eq=False)
class ExpectationTask(AbstractTask):
    """Statistics of rows under a mixture, or under responsibilities that are given."""

    mixture: PackedMixture
    skip_below: float = SKIP_BELOW
    """Share of a row that may be dropped; negative: nothing is, not even a responsibility of 0."""
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
        from fastgmm.kernels.layout import HEADER

        return HEADER + self.n_components * self.mixture.shape.record

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return `kernels.expectation` for these rows."""
        from fastgmm.kernels.variants import expectation_kernel

        return expectation_kernel(self.n_features, dtype, self.mixture.real, mode)

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on a span."""
        from fastgmm.kernels.layout import strip_rows

        shape = self.mixture.shape
        centre, scale, means, log_constants, whiteners = self.mixture.arrays
        stop = start + len(X)
        given = np.empty((0, 0)) if self.given is None else self.given(start, stop)
        labels = np.empty(0, dtype=np.int32) if self.labels is None else self.labels[start:stop]
        strip = strip_rows(self.n_features, self.n_components)
        first_block, *stacks = nodes
        kernel(
            X, weights, given, labels, centre, scale, means, self.mixture.padded_means, log_constants, whiteners,
            pair_share(self.skip_below, self.n_components), shape.record, shape.row_length, self.block, strip,
            first_block, *stacks,
        )  # fmt: skip

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the frame's coordinates."""
        from fastgmm.kernels.layout import HEADER

        shape = self.mixture.shape
        offset = 0.0 if self.given is not None or self.labels is not None else self.mixture.offset
        records = sums[HEADER:].reshape(self.n_components, shape.record)
        moments = records[:, shape.moments]
        return SufficientStatistics(
            origins=self.mixture.origins,
            sum_w=np.ascontiguousarray(moments[:, 0, 0]),
            sum_x=np.ascontiguousarray(moments[:, 1:, 0]),
            sum_xx=np.ascontiguousarray(moments[:, 1:, 1:]),
            log_likelihood=float(sums[0]) + weight * offset,
            weight=weight,
        )
