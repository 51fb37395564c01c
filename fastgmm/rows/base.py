"""What every kind of rows offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import SKIP_BELOW, ExpectationTask, PackedMixture
from fastgmm.frame import Frame
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask, sweep
from fastgmm.threads import Team

Floats = NDArray[np.float64]
Span = tuple[int, NDArray[Any], Floats]
"""First row, C-contiguous rows (n, D) of float64 or float32, and their weights (n,) or an empty array."""


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

    @abstractmethod
    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Walk the rows in order, in spans of at most `blocks` whole blocks of `block` rows (the last may be short)."""

    @abstractmethod
    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array."""

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
        task = ExpectationTask(PackedMixture(frame or self.frame, parameters), skip_below, given, labels)
        return task.statistics(self.sweep(task, team), self.weight)
