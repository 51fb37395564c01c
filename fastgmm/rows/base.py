"""What every kind of rows offers."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import SKIP_BELOW, ExpectationTask, PackedMixture
from fastgmm.frame import Frame
from fastgmm.parameters import Parameters
from fastgmm.precision import arithmetic, trusted
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask, sweep
from fastgmm.threads import Team

Floats = NDArray[np.float64]
Span = tuple[int, NDArray[Any], Floats]
"""First row, C-contiguous rows (n, D) of float64 or float32, and their weights (n,) or an empty array."""

WITHIN = 2.0**20
"""Largest coordinate in the frame that float32 lanes are trusted with: a fit's own frame keeps them below 2."""


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
    ordinary: bool = True
    """Whether weights are none or of a size that float32 holds with its square."""

    @abstractmethod
    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Walk the rows in order, in spans of at most `blocks` whole blocks of `block` rows (the last may be short)."""

    @abstractmethod
    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array."""

    def in_frame(self, frame: Frame) -> Self:
        """Return the same rows, to be computed with in another frame."""
        other = copy.copy(self)
        other.frame = frame
        return other

    def sweep(self, task: AbstractTask, team: Team) -> Floats:
        """Sum a task over all rows."""
        return sweep(self.spans(task.block, task.blocks_per_span), self.n_rows, task, team)

    def expectation(
        self,
        parameters: Parameters,
        team: Team,
        *,
        given: Callable[[int, int], Floats] | None = None,
        labels: NDArray[np.int32] | None = None,
        skip_below: float = SKIP_BELOW,
        frame: Frame | None = None,
    ) -> SufficientStatistics:
        """Return the statistics of all rows; parameters and statistics are in the coordinates of `frame`, or ours."""
        mixture = self.packed(parameters, frame)
        statistics, _ = self.summed(ExpectationTask(mixture, skip_below, given, labels), team)
        if mixture.real is np.float32 and not trusted(statistics):
            task = ExpectationTask(replace(mixture, real=np.float64), skip_below, given, labels)
            statistics, _ = self.summed(task, team)
        return statistics

    def summed(self, task: ExpectationTask, team: Team) -> tuple[SufficientStatistics, Floats]:
        """Return a task's statistics of all rows, and the sums that they were unpacked from."""
        sums = self.sweep(task, team)
        return task.statistics(sums, self.weight), sums

    def packed(self, parameters: Parameters, frame: Frame | None = None) -> PackedMixture:
        """Pack a mixture for a pass over these rows, in the arithmetic that resolves it on them."""
        frame = frame or self.frame
        real = arithmetic(parameters, self.dtype)
        if real is np.float32 and not (self.ordinary and self._within(frame)):
            real = np.float64
        return PackedMixture(frame, parameters, real)

    def _within(self, frame: Frame) -> bool:
        return bool(np.abs(frame.rows(np.stack([self.low, self.high]))).max() <= WITHIN)
