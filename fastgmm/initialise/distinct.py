"""Drawing different row numbers from many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PERMUTED = 1 << 20
"""Up to so many rows their numbers are permuted whole, as scikit-learn does: 8 bytes and 28 ns a row."""


def distinct(n_rows: int, size: int, rng: np.random.RandomState, permuted: int = PERMUTED) -> NDArray[np.intp]:
    """Draw `size` different numbers below `n_rows`, every ordered choice with the same probability.

    From more than `permuted` rows few are drawn one after the other, and those that were drawn before are left out.
    """
    if n_rows <= permuted or 4 * size > n_rows:
        return np.asarray(rng.choice(n_rows, size, replace=False), dtype=np.intp)
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < size:
        drawn = np.concatenate([drawn, rng.randint(0, n_rows, size=size, dtype=np.int64)])
        drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    return drawn[:size].astype(np.intp)
