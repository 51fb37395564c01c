"""The verb *expectation*: pack parameters for the kernels, unpack their sums into statistics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.packed import AbstractPacked, PackedMixture
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask, NodeArrays
from fastgmm.threads import ALONE, Team

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
class AbstractExpectation(AbstractTask):
    """Statistics of rows under a mixture, or under responsibilities that are given."""

    mixture: AbstractPacked
    skip_below: float = SKIP_BELOW
    """Share of a row that may be dropped; negative: nothing is, not even a responsibility of 0."""
    given: Callable[[int, int], Floats] | None = None
    """Responsibilities (stop − start, K) of the rows start … stop−1, in place of the mixture's."""
    labels: NDArray[np.int32] | None = None
    """Components (N,) of all rows, in place of the mixture's responsibilities."""
    team: Team = ALONE
    """Who works on the components, before the sweep and after it."""

    @property
    def n_components(self) -> int:
        """K."""
        return self.mixture.parameters.means.shape[0]

    @property
    def n_features(self) -> int:
        """D."""
        return self.mixture.parameters.means.shape[1]

    @cached_property
    def block(self) -> int:
        """Rows of a block."""
        from fastgmm.kernels.layout import block_rows

        return block_rows(self.n_features)

    @property
    def offset(self) -> float:
        """What a row's log-likelihood lacks: nothing where there is none."""
        return 0.0 if self.given is not None or self.labels is not None else self.mixture.offset

    def given_span(self, start: int, stop: int) -> tuple[Floats, NDArray[np.int32]]:
        """Return responsibilities (n, K) and labels (n,) that are given for some rows; empty what is not."""
        given = NOTHING if self.given is None else self.given(start, stop)
        return given, UNLABELLED if self.labels is None else self.labels[start:stop]

    @abstractmethod
    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the frame's coordinates."""


NOTHING: Floats = np.empty((0, 0))
NO_OTHERS: tuple[Floats, Floats] = np.empty(0), np.empty(0)
UNLABELLED: NDArray[np.int32] = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, eq=False)
class ExpectationTask(AbstractExpectation):
    """Full second moments of every component."""

    mixture: PackedMixture
    others: tuple[Floats, Floats] | None = None
    """Log-densities (n,) of components that are summed elsewhere, of the rows of one call, less our offset, and where
    their weighted responsibilities are left, (n,)."""

    @property
    def flop_per_row(self) -> float:
        """Densities, outer products, and an exponential worth about 60."""
        return self.n_components * (2.0 * self.n_features * (self.n_features + 1) + 60.0)

    @property
    def node_length(self) -> int:
        """A header and a record for each component."""
        from fastgmm.kernels.layout import HEADER

        return HEADER + self.n_components * self.mixture.shape.record

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return `kernels.expectation` for these rows."""
        from fastgmm.kernels.variants import expectation_kernel

        return expectation_kernel(self.n_features, dtype, self.mixture.real, mode, self.mixture.turned is not None)

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on a span."""
        from fastgmm.kernels.layout import strip_rows

        shape = self.mixture.shape
        bare = self.given is not None or self.labels is not None
        centre, scale, means, log_constants, whiteners = self.mixture.bare_arrays if bare else self.mixture.arrays
        strip = strip_rows(self.n_features, self.n_components, self.mixture.real)
        first_block, *stacks = nodes
        kernel(
            len(stacks[0]), X, weights, *self.given_span(start, start + len(X)), centre, scale, means,
            self.mixture.padded_means, log_constants, whiteners, self.mixture.turning, *(self.others or NO_OTHERS),
            pair_share(self.skip_below, self.n_components), shape.record, shape.row_length, self.block, strip,
            first_block, *stacks,
        )  # fmt: skip

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the frame's coordinates."""
        found, turned = self.summed(sums, weight), self.mixture.turned
        return found if turned is None else turned.leave(found, self.team)

    def summed(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the coordinates in which they were formed."""
        from fastgmm.kernels.layout import HEADER

        shape = self.mixture.shape
        records = sums[HEADER:].reshape(self.n_components, shape.record)
        return SufficientStatistics(
            origins=self.mixture.origins,
            sum_w=records[:, shape.moments[0, 0]].copy(),
            sum_x=records.take(shape.moments[1:, 0], axis=1),
            sum_xx=records.take(shape.moments[1:, 1:], axis=1),
            log_likelihood=float(sums[0]) + weight * self.offset,
            weight=weight,
        )
