"""Rows in an array or a memory map, of any layout and dtype that holds numbers."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import Frame
from fastgmm.rows.base import AbstractRows, Floats, Span
from fastgmm.validation import sum_of_weights, survey

CHUNK_BYTES = 4 << 20
"""Rows that are not float64 or float32 in C order are converted this many bytes at a time."""

LARGE = 2.0**50
"""Weights from here on, and below its inverse, are not rounded to float32."""


def is_ordinary(least: float, greatest: float) -> bool:
    """Return whether weights between these have a size that float32 holds with its square."""
    return greatest < LARGE and least > 1 / LARGE


class ArrayRows(AbstractRows):
    """The rows of an array (N, D) that `validation.check_rows` has passed, and of their weights (N,) if any."""

    def __init__(self, X: NDArray[Any], sample_weight: Floats | None = None) -> None:
        self._array = X
        self.n_rows, self.n_features = X.shape
        self.dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
        self._weigh(sample_weight)
        self.low, self.high = survey(X)
        self.frame = Frame.around(self.low, self.high)

    def _weigh(self, weights: Floats | None) -> None:
        self._weights = np.empty(0) if weights is None else weights
        self.weight = float(self.n_rows) if weights is None else sum_of_weights(weights)
        positive = self._weights[self._weights > 0]
        self.ordinary = not positive.size or is_ordinary(float(positive.min()), float(positive.max()))
        self._whole = None

    def weighed_by(self, weights: Floats) -> ArrayRows:
        """Return the same rows with these weights."""
        rows = copy(self)
        rows._weigh(weights)
        return rows

    @property
    def _direct(self) -> bool:
        """Whether kernels can read the array as it lies."""
        array = self._array
        return array.flags.c_contiguous and array.flags.aligned and array.dtype == self.dtype

    def held(self) -> tuple[NDArray[Any], Floats] | None:
        """Return the array, if kernels can read it as it lies, and the weights."""
        return (np.asarray(self._array), self._weights) if self._direct else None

    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Walk the rows; only spans that kernels cannot read as they lie are copied."""
        direct = self._direct
        if not direct:
            blocks = min(blocks, max(1, CHUNK_BYTES // (8 * self.n_features * block)))
        size = block * blocks
        for start in range(0, self.n_rows, size):
            stop = min(start + size, self.n_rows)
            rows = self._array[start:stop]
            if not direct:
                rows = np.require(rows, dtype=self.dtype, requirements=["C", "A"])
            yield start, np.asarray(rows), self._weights[start:stop] if self._weights.size else self._weights

    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array."""
        weights = self._weights[indices] if self._weights.size else self._weights
        return np.ascontiguousarray(self._array[indices], dtype=np.float64), weights
