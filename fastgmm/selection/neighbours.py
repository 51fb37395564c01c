"""Rows in an order in which neighbours lie together, so that few components concern a group of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def neighbours(rows: Floats, size: int) -> NDArray[np.intp]:
    """Return an order of rows (N, D) in which groups of `size` are the leaves of a k-d tree.

    Rows are cut across the feature that varies most, at the whole number of groups next to half of them.

    References
    ----------
    Bentley, J. L. (1975). Multidimensional binary search trees used for associative searching. Communications of the
    ACM 18, 509-517.
    """
    deviations = rows.std(axis=0)
    scaled = rows / np.where(deviations > 0.0, deviations, 1.0)

    def cut(some: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        if len(some) <= size:
            return [some]
        feature = scaled[some].var(axis=0).argmax()
        some = some[np.argsort(scaled[some, feature], kind="stable")]
        half = size * max(1, round(len(some) / size / 2))
        return cut(some[:half]) + cut(some[half:])

    return np.concatenate(cut(np.arange(len(rows))))
