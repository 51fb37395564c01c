"""How much a search has read: pairs of rows and components, in units of one pass over all rows and all components."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastgmm.assignment_task import AssignmentTask
from fastgmm.expectation_task import AbstractExpectation
from fastgmm.rows.base import AbstractRows, Floats, Span
from fastgmm.sweep import AbstractTask
from fastgmm.threads import Team


class Meter:
    """Counts what passes over some rows, over samples of them, and over parts of the mixture cost together.

    Parameters
    ----------
    n_rows, n_components : int
        What one pass covers: an iteration of EM or of k-means over n rows with k centres counts n k / (N K) passes.
    """

    def __init__(self, n_rows: int, n_components: int) -> None:
        self._n_rows, self._n_components = n_rows, n_components
        self.passes = 0.0
        """Pairs of rows and components / N K."""
        self.sweeps = 0.0
        """Rows / N, whatever the number of components."""

    def count(self, n_rows: int, n_components: int) -> None:
        """Count a sweep over `n_rows` with `n_components`."""
        self.sweeps += n_rows / self._n_rows
        self.passes += n_rows / self._n_rows * (n_components / self._n_components)

    def counted(self, rows: AbstractRows) -> CountedRows:
        """Return the same rows, which tell this meter when they are swept or taken."""
        return CountedRows(rows, self)


class CountedRows(AbstractRows):
    """Rows that tell a meter of every sweep. Taking rows counts too: one component for each row."""

    def __init__(self, rows: AbstractRows, meter: Meter) -> None:
        self._rows, self.meter = rows, meter
        self.n_rows, self.n_features, self.dtype = rows.n_rows, rows.n_features, rows.dtype
        self.low, self.high, self.weight, self.ordinary = rows.low, rows.high, rows.weight, rows.ordinary
        self.frame = rows.frame

    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Walk the rows."""
        return self._rows.spans(block, blocks)

    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array."""
        self.meter.count(len(indices), 1)
        return self._rows.take(indices)

    def sweep(self, task: AbstractTask, team: Team) -> Floats:
        """Sum a task over all rows, and count it."""
        if isinstance(task, AbstractExpectation):
            self.meter.count(self.n_rows, task.n_components)
        elif isinstance(task, AssignmentTask):
            self.meter.count(self.n_rows, len(task.centres))
        return self._rows.sweep(task, team)
