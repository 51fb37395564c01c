"""Statistics of rows that are labelled on the way: scored and summed up while a span of them is at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import AbstractExpectation
from fastgmm.packed import AbstractPacked
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask, NodeArrays

Floats = NDArray[np.float64]

PIECE_NUMBERS = 1 << 18
"""Responsibilities that are held at a time, by each thread, where labels are drawn from them."""


@dataclass(frozen=True, eq=False)
class LabellingTask(AbstractTask):
    """A task's sums, with each row given to its most probable component, or to one that is drawn."""

    inner: AbstractExpectation
    mixture: AbstractPacked
    """That densities are of, see `packed.packed_for_scoring`."""
    key: tuple[int, int] | None = None
    """Of the draws; None: each row goes to its most probable component."""
    log_likelihoods: Floats = field(default_factory=lambda: np.empty(0))
    """Of all rows times their weights, less the mixture's offset: written where labels are drawn."""

    @property
    def block(self) -> int:
        """Rows of a block."""
        return self.inner.block

    @property
    def flop_per_row(self) -> float:
        """Densities are computed before, and not by the inner task."""
        return self.inner.flop_per_row

    @property
    def node_length(self) -> int:
        """Numbers that the inner task sums."""
        return self.inner.node_length

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return both kernels, as one that is called with the scoring one's arguments first."""
        from fastgmm.kernels.variants import score_kernel

        summing = self.inner.kernel(dtype, mode)
        scoring = score_kernel(self.inner.n_features, dtype, mode, self.mixture.form)
        return _Pair(scoring, summing)

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Label a span, then sum it up."""
        assert isinstance(kernel, _Pair)
        parts = len(nodes[1])
        labels = (
            self._best(kernel.scoring, X, parts) if self.key is None else self._drawn(kernel.scoring, start, X, parts)
        )
        if self.key is not None and weights.size:
            mine = self.log_likelihoods[start : start + len(X)]
            mine[...] = np.where(weights > 0, mine * weights, 0.0)
        replace(self.inner, labels=labels).call(kernel.summing, 0, X, weights, nodes)

    def _score(self, kernel: Callable[..., None], X: NDArray[Any], parts: int, *results: NDArray[Any]) -> None:
        from fastgmm.kernels.layout import strip_rows

        kernel(
            parts, X, *self.mixture.score_arrays, strip_rows(self.inner.n_features, self.inner.n_components), *results
        )

    def _best(self, kernel: Callable[..., None], X: NDArray[Any], parts: int) -> NDArray[np.int32]:
        labels = np.empty(len(X), dtype=np.int64)
        self._score(kernel, X, parts, np.empty(0), np.empty((0, 0)), np.empty((0, 0)), labels)
        return labels.astype(np.int32)

    def _drawn(self, kernel: Callable[..., None], start: int, X: NDArray[Any], parts: int) -> NDArray[np.int32]:
        """Draw a component for each row from its responsibilities, with the row's own number."""
        labels = np.empty(len(X), dtype=np.int32)
        k, nothing = self.inner.n_components, np.empty((0, 0))
        size = max(PIECE_NUMBERS // k, 4) // 4 * 4
        for at in range(0, len(X), size):
            piece = X[at : at + size]
            shares = np.empty((len(piece), k))
            mine = self.log_likelihoods[start + at : start + at + len(piece)]
            self._score(kernel, piece, parts, mine, shares, nothing, np.empty(0, dtype=np.int64))
            ends = np.cumsum(shares, axis=1)
            numbers = uniforms(self.key or (0, 0), start + at, len(piece)) * ends[:, -1]
            labels[at : at + len(piece)] = np.minimum((ends <= numbers[:, None]).sum(axis=1), k - 1)
        return labels

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep; they tell no likelihood."""
        return self.inner.statistics(sums, weight)


@dataclass(frozen=True)
class _Pair:
    scoring: Callable[..., None]
    summing: Callable[..., None]

    def __call__(self, *arguments: Any) -> None:
        self.summing(*arguments)


def uniforms(key: tuple[int, int], start: int, count: int) -> Floats:
    """Return numbers in [0, 1) of the rows `start` …, a multiple of 4: the same however rows are cut.

    Philox is counter-based and gives four numbers a count.
    """
    stream = np.random.Philox(key=np.array(key, dtype=np.uint64))
    stream.advance(start // 4)
    return np.random.Generator(stream).random(count)
