"""How parameters and statistics lie in the flat arrays that kernels read and write.

Features are taken as a *head* of 1 … LANES features and then *panels* of LANES: no feature is padding, and only the
head's size is a compile-time constant, so LANES variants of a kernel serve every number of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fastgmm.kernels.target import GROUP, LANES

GRAM_LIMIT = 8
"""Up to here moments are summed with points in the lanes (`vector.gram`), beyond with features in the lanes."""

HEADER = 8
"""Numbers in front of a node's records (a cache line): the log-likelihood, or the k-means inertia, is the first."""

WIDTH = GROUP * LANES
"""Rows of a group: the points that a register tile takes at once."""

STEP = 2 * WIDTH
"""Strips and blocks are multiples of it."""

CHUNK = 48
"""Rows of one component whose moments are added at once, at most: a multiple of LANES."""

CHUNK_NUMBERS = 3072
"""What these rows may take of L1: 24 KiB of 32 or 48."""

STRIP_NUMBERS = 65536
"""float64 numbers of a strip's rows and densities: half a mebibyte, for an L2 of 512 KiB and more.

d16k32 / d64k32, Zen 5: 32768 … 1.06 / 1.08 of the time of 65536, 131072 … 1.02 / 0.99.
"""


def block_rows(n_features: int) -> int:
    """Rows of a block, the unit of summation. Depends on the number of features alone; so do the bits of a sum.

    d64k32 / d128k16, Zen 5: blocks of a quarter as many rows take 1.15 / 1.08 of the time, for merging their sums.
    """
    return min(max(64 * 32 // n_features, 4), 64) * STEP


def strip_rows(n_features: int, n_components: int) -> int:
    """Rows that a kernel takes through its three phases at once, so that they stay in the L2 cache."""
    rows = min(STRIP_NUMBERS // (2 * n_features + n_components), block_rows(n_features), 8 * STEP)
    return max(rows // STEP, 1) * STEP


@dataclass(frozen=True)
class Layout:
    """Index arrays between (K, D, D) matrices and a kernel's flat ones."""

    n_features: int
    head: int
    """Features before the first panel, 1 … LANES."""
    row_length: int
    """Length of a row in row-major scratch: the head padded to LANES, then the panels."""
    whitener_order: NDArray[np.intp]
    """Flat indices into a (D, D) lower whitener, in the order in which the density kernel reads."""
    record: int
    """Numbers in a component's record of moments."""
    moments: NDArray[np.intp]
    """(D+1, D+1) indices into a record: the symmetric second-moment matrix of (1, x)."""

    @property
    def gram(self) -> bool:
        """Whether moments are summed by `vector.gram`."""
        return self.n_features <= GRAM_LIMIT


@lru_cache(maxsize=256)
def layout(n_features: int) -> Layout:
    """Lay out mixtures of `n_features`."""
    head = (n_features - 1) % LANES + 1
    record, moments = (_gram_record if n_features <= GRAM_LIMIT else _panel_record)(n_features, head)
    return Layout(
        n_features=n_features,
        head=head,
        row_length=LANES + n_features - head,
        whitener_order=_whitener_order(n_features, head),
        record=record,
        moments=moments,
    )


def _whitener_order(n_features: int, head: int) -> NDArray[np.intp]:
    """Order of a packed whitener: the head's triangle, then each panel's rectangle and triangle, all by columns."""
    order = [r * n_features + c for c in range(head) for r in range(c, head)]
    for first in range(head, n_features, LANES):
        rows = range(first, first + LANES)
        order += [r * n_features + c for c in range(first) for r in rows]
        order += [r * n_features + c for c in rows for r in range(c, first + LANES)]
    return np.array(order, dtype=np.intp)


def _gram_record(n_features: int, head: int) -> tuple[int, NDArray[np.intp]]:
    """Lower triangle of the moments of (1, x), row by row."""
    rows, columns = np.indices((n_features + 1, n_features + 1))
    high, low = np.maximum(rows, columns), np.minimum(rows, columns)
    return (n_features + 1) * (n_features + 2) // 2, high * (high + 1) // 2 + low


def _panel_record(n_features: int, head: int) -> tuple[int, NDArray[np.intp]]:
    """Σγ in LANES numbers, Σγz as a padded row, then for the head and each panel its rows up to its own end."""
    place = np.arange(n_features)
    place[head:] += LANES - head  # a feature's place in a padded row
    moments = np.zeros((n_features + 1, n_features + 1), dtype=np.intp)
    moments[0, 1:] = moments[1:, 0] = LANES + place
    start = 2 * LANES + n_features - head
    for first, last in [(0, head), *((d, d + LANES) for d in range(head, n_features, LANES))]:
        width = place[last - 1] // LANES * LANES + LANES
        for r in range(first, last):
            moments[1 + r, 1 : r + 2] = moments[1 : r + 2, 1 + r] = start + place[: r + 1]
            start += width
    return int(start), moments
