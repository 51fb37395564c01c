"""Columns: rows whose features lie apart, as Arrow stores them, turned into rows where they are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TURNED = 2048
"""Rows whose columns are turned into rows at once, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Columns:
    """A matrix (n, D) as D arrays (n,), which nobody will change: they may be read while others are fetched."""

    features: tuple[NDArray[Any], ...]
    dtype: np.dtype[Any]
    """Of the rows: float32 if that is what all columns are, else float64."""

    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """(n, D)."""
        return len(self), len(self.features)

    def __len__(self) -> int:
        return len(self.features[0])

    def astype(self, dtype: Any, copy: bool = False) -> Columns:
        """Return the same columns, for rows of another dtype."""
        del copy
        return Columns(self.features, np.dtype(dtype))

    def into(self, X: NDArray[Any], start: int) -> None:
        """Fill X (m, D) with the rows start … start+m−1."""
        for low in range(0, len(X), TURNED):
            piece = X[low : low + TURNED]
            for d, feature in enumerate(self.features):
                piece[:, d] = feature[start + low : start + low + len(piece)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all rows, in an array of its own."""
        X = np.empty(self.shape, dtype=self.dtype if dtype is None else dtype)
        self.into(X, 0)
        return X
