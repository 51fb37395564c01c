"""The verb *expectation* for diagonal and spherical covariances, and for one that all components share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import AbstractExpectation, pair_share
from fastgmm.packed import PackedDiagonal
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import NodeArrays

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DiagonalTask(AbstractExpectation):
    """Second moments' diagonals."""

    mixture: PackedDiagonal

    @property
    def flop_per_row(self) -> float:
        """Densities and moments, an exponential worth about 60, and the turning."""
        d = self.n_features
        return self.n_components * (8.0 * d + 60.0) + 2.0 * d * d * self.mixture.turned

    @property
    def _length(self) -> int:
        from fastgmm.kernels.layout import few_whole

        return few_whole(self.n_features)

    @property
    def _record(self) -> int:
        return 1 + (1 if self.mixture.turned else 2) * self._length

    @property
    def _kind(self) -> str:
        """The kernel's."""
        return self.mixture.form

    @property
    def _scales(self) -> NDArray[Any]:
        """What differences are multiplied by, flat."""
        return self.mixture.score_arrays[-1]

    @property
    def node_length(self) -> int:
        """A header and a record for each component."""
        from fastgmm.kernels.layout import HEADER

        return HEADER + self.n_components * self._record

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return `kernels.diagonal` for these rows."""
        from fastgmm.kernels.variants import diagonal_kernel

        return diagonal_kernel(self._kind, dtype, self.mixture.real, mode)

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on a span."""
        from fastgmm.kernels.layout import diagonal_strip_rows

        centre, scale, panels, means, log_constants, _ = self.mixture.score_arrays
        first_block, *stacks = nodes
        kernel(
            len(stacks[0]), X, weights, *self.given_span(start, start + len(X)), centre, scale, panels, means,
            self._scales, log_constants, pair_share(self.skip_below, self.n_components), self._length, self._record,
            self.block, diagonal_strip_rows(self.n_features, self.n_components), first_block, *stacks,
        )  # fmt: skip

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the frame's coordinates; turned, first moments are turned back."""
        from fastgmm.kernels.layout import HEADER

        k, d = self.mixture.parameters.means.shape
        records = sums[HEADER:].reshape(k, self._record)
        first = records[:, 1 : 1 + d]
        if self.mixture.turned:
            first, squares = first @ self.mixture.parameters.factors.T, np.zeros((k, d))
        else:
            squares = records[:, 1 + self._length :][:, :d]
        return SufficientStatistics(
            origins=self.mixture.origins,
            sum_w=records[:, 0].copy(),
            sum_x=np.ascontiguousarray(first),
            sum_xx=np.ascontiguousarray(squares),
            log_likelihood=float(sums[0]) + weight * self.offset,
            weight=weight,
            form="diag",
        )


@dataclass(frozen=True, eq=False)
class SphericalTask(DiagonalTask):
    """Traces of second moments, of spherical components: from distances, which densities are made of. Of no labels."""

    @property
    def _record(self) -> int:
        return 2 + self._length

    @property
    def _kind(self) -> str:
        return "spherical"

    @property
    def _scales(self) -> NDArray[Any]:
        return self._precisions

    @cached_property
    def _precisions(self) -> NDArray[Any]:
        """What squared distances are multiplied by, (K,)."""
        return (self.mixture.parameters.inverse_factors**2).astype(self.mixture.real)

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, in the frame's coordinates."""
        from fastgmm.kernels.layout import HEADER

        d = self.n_features
        records = sums[HEADER:].reshape(self.n_components, self._record)
        return SufficientStatistics(
            origins=self.mixture.origins,
            sum_w=records[:, 0].copy(),
            sum_x=records[:, 1 : 1 + d].copy(),
            sum_xx=records[:, -1] / self._precisions / d,
            log_likelihood=float(sums[0]) + weight * self.offset,
            weight=weight,
            form="spherical",
        )


@dataclass(frozen=True, eq=False)
class PooledTask(DiagonalTask):
    """First moments, which `pooled` completes by what is known of all rows."""


def pooled(statistics: SufficientStatistics, whole: SufficientStatistics) -> SufficientStatistics:
    """Return statistics with pooled second moments, from first moments and the statistics of all rows as one.

    Every row's responsibilities sum to 1, so the second moments of all components about one point are the whole's:
    no pass needs to form them again.
    """
    mean = whole.origins + whole.sum_x / whole.sum_w[:, None]
    origins = np.repeat(mean, statistics.n_components, axis=0)
    sum_x = statistics.sum_x + statistics.sum_w[:, None] * (statistics.origins - origins)
    about = SufficientStatistics(
        origins, statistics.sum_w, sum_x, whole.recentre(mean).sum_xx[0], statistics.log_likelihood, statistics.weight,
        "tied",
    )  # fmt: skip
    return about.recentre(statistics.origins)
