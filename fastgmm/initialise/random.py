"""Random starts: responsibilities drawn for every row, or rows drawn as means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.frame import Frame
from fastgmm.initialise.distinct import distinct
from fastgmm.rows.base import AbstractRows

Floats = NDArray[np.float64]


class RandomResponsibilities:
    """Uniform responsibilities (N, K), each row normalised; any run of rows can be drawn by itself.

    Philox is counter-based: row i's numbers are the same however the rows are cut, and no N × K array is kept.
    """

    def __init__(self, n_components: int, rng: np.random.RandomState) -> None:
        self._n_components = n_components
        self._key = int(rng.randint(1 << 31))

    def __call__(self, start: int, stop: int) -> Floats:
        """Return the responsibilities of rows start … stop−1; `start` is a multiple of 4."""
        stream = np.random.Philox(key=self._key)
        stream.advance(start // 4 * self._n_components)
        shares = np.random.Generator(stream).random((stop - start, self._n_components))
        return shares / shares.sum(axis=1, keepdims=True)


def drawn_rows(rows: AbstractRows, n_components: int, rng: np.random.RandomState) -> tuple[Frame, Floats]:
    """Return K different rows of positive weight as centres (K, D), and the frame that they are in.

    Raises
    ------
    DataError
        If fewer rows have a positive weight.
    """
    frame = rows.frame.isotropic()
    size = n_components
    while True:
        X, weights = rows.take(distinct(rows.n_rows, size, rng))
        if weights.size:
            X = X[weights > 0]
        if len(X) >= n_components:
            return frame, frame.rows(X[:n_components])
        if size == rows.n_rows:
            raise DataError(
                f"Only {len(X)} rows of X have a positive weight, but n_components = {n_components}. "
                f"Use n_components <= {len(X)}."
            )
        size = min(2 * size, rows.n_rows)
