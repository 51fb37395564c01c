"""Random starts: responsibilities drawn for every row, or rows drawn as means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import Frame
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
    """Return K different rows of positive weight as centres (K, D), and the frame that they are in."""
    frame = rows.frame.isotropic()
    chosen = rng.choice(rows.n_rows, n_components, replace=False)
    X, weights = rows.take(chosen)
    while weights.size and not weights.all():
        chosen[weights == 0] = rng.choice(rows.n_rows, int((weights == 0).sum()))
        X, weights = rows.take(chosen)
    return frame, frame.rows(X)
