"""How parameters and statistics lie in the flat arrays that kernels read and write.

Features are taken as a *head* of 1 … PANEL features and then *panels* of PANEL: no feature is padding, and only the
head's size is a compile-time constant, so PANEL variants of a kernel serve every number of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.kernels.target import FEW, GROUP, LANES, PANEL

GRAM_LIMIT = 8
"""Up to here moments are summed with points in the lanes (`vector.gram`), beyond with features in the lanes."""

HEADER = 8
"""Numbers in front of a node's records (a cache line): the log-likelihood, or the k-means inertia, is the first,
and a count of pairs of rows and components the second."""

WIDTH = GROUP * LANES
"""Rows of a group: the points that a register tile takes at once. For float32 lanes twice as many."""

AHEAD = 48
"""Rows that are stored before they are used: what was just stored as a vector cannot be loaded by numbers yet."""

STEP = 48
"""Strips and blocks are multiples of it, on all processors; it is one of every group."""

CHUNK = 96
"""Rows of one component whose moments are added at once, at most: a multiple of the lanes."""

CHUNK_BYTES = 16 << 10
"""What these rows may take of L1, of 32 KiB or 48: they are read several times, what else passes is read once.

Moments alone on a Xeon, D = 32 / 64 / 128, beside 16 KiB: 8 … 1.03 / 1.01 / 1.13 of the time, 24 … 1.10 / 1.02 / 1.02,
32 … 1.10 / 1.05 / 1.00: writing rows that leave L1 takes twice as long, adding to the record oftener gives some back.
"""

STRIP_NUMBERS = 65536
"""float64 numbers of a strip's rows and densities: half a mebibyte, for an L2 of 512 KiB and more.

d16k32 / d64k32, Zen 5: 32768 … 1.06 / 1.08 of the time of 65536, 131072 … 1.02 / 0.99.
"""

STRIP_STEPS = 8, 24
"""Most steps of a strip of float64 and of float32 rows.

d8k16 in float32, Zen 5: 8 … 1.09 of the time of 24, 16 … 1.02, 32 … 1.00; float64 the same up to 16, 1.05 with 24.
"""


def block_rows(n_features: int) -> int:
    """Rows of a block, the unit of summation. Depends on the number of features alone; so do the bits of a sum.

    d64k32 / d128k16, Zen 5: blocks of a quarter as many rows take 1.15 / 1.08 of the time, for merging their sums.
    """
    return min(max(64 * 64 // n_features, 4), 64) * STEP


def few_whole(n_features: int) -> int:
    """Round up to FEW: features that `diagonal` sums at once."""
    return -(-n_features // FEW) * FEW


DIAGONAL_NUMBERS = 12288
"""As STRIP_NUMBERS, for the diagonal pass, which goes over a strip's rows once a component.

d16k32 / d64k32, Zen 5: strips of 48 rows 1.26 / 1.00 of the time, 96 … 1.11 / 1.01, 240 … 1 / 1.09, 384 … 1.12 / 1.10.
"""


def diagonal_strip_rows(n_features: int, n_components: int) -> int:
    """Rows of a strip of the diagonal pass."""
    rows = min(DIAGONAL_NUMBERS // (n_features + n_components), block_rows(n_features), 8 * STEP)
    return max(rows // STEP, 1) * STEP


def lanes_of(real: Any) -> int:
    """Numbers of a type, ``np.float64`` or ``np.float32``, in a vector."""
    return LANES * 8 // np.dtype(real).itemsize


def strip_rows(n_features: int, n_components: int, real: Any = np.float64) -> int:
    """Rows that a kernel takes through its three phases at once, so that they stay in the L2 cache."""
    single = np.dtype(real).itemsize == 4
    numbers = STRIP_NUMBERS * (1 + single) // (2 * n_features + n_components)
    rows = min(numbers, block_rows(n_features), STRIP_STEPS[single] * STEP)
    return max(rows // STEP, 1) * STEP


@dataclass(frozen=True)
class Layout:
    """Index arrays between (K, D, D) matrices and a kernel's flat ones."""

    n_features: int
    head: int
    """Features before the first panel, 1 … LANES."""
    row_length: int
    """Length of a row in row-major scratch: the head padded to PANEL, then the panels, padded to whole vectors."""
    places: NDArray[np.intp]
    """A feature's place in such a row, (D,)."""
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
def layout(n_features: int, lanes: int = LANES) -> Layout:
    """Lay out mixtures of `n_features`, for vectors of so many lanes."""
    head = (n_features - 1) % PANEL + 1
    if n_features <= GRAM_LIMIT:
        record, moments = _gram_record(n_features)
    else:
        record, moments = _panel_record(n_features, head, lanes)
    return Layout(
        n_features=n_features,
        head=head,
        row_length=_whole(PANEL + n_features - head, lanes),
        places=_places(n_features, head),
        whitener_order=_whitener_order(n_features, head),
        record=record,
        moments=moments,
    )


def _places(n_features: int, head: int) -> NDArray[np.intp]:
    places = np.arange(n_features)
    places[head:] += PANEL - head
    return places


def _whole(length: int, lanes: int) -> int:
    """Round up to whole vectors."""
    return -(-length // lanes) * lanes


def _whitener_order(n_features: int, head: int) -> NDArray[np.intp]:
    """Order of a packed whitener: the head's triangle, then each panel's rectangle and triangle, all by columns."""
    order = [r * n_features + c for c in range(head) for r in range(c, head)]
    for first in range(head, n_features, PANEL):
        rows = range(first, first + PANEL)
        order += [r * n_features + c for c in range(first) for r in rows]
        order += [r * n_features + c for c in rows for r in range(c, first + PANEL)]
    return np.array(order, dtype=np.intp)


def _gram_record(n_features: int) -> tuple[int, NDArray[np.intp]]:
    """Lower triangle of the moments of (1, x), row by row."""
    rows, columns = np.indices((n_features + 1, n_features + 1))
    high, low = np.maximum(rows, columns), np.minimum(rows, columns)
    return (n_features + 1) * (n_features + 2) // 2, high * (high + 1) // 2 + low


def _panel_record(n_features: int, head: int, lanes: int) -> tuple[int, NDArray[np.intp]]:
    """Σγ in HEADER numbers, Σγz as a padded row, the products within vectors, and those of panels with vectors before.

    A vector's products with itself turned by s lanes are its entries (l, l + s mod lanes), s = 0 … lanes / 2. They are
    summed for two vectors at once, so that of a pair lie side by side.
    """
    place = _places(n_features, head)
    length = _whole(PANEL + n_features - head, lanes)
    turns = lanes // 2 + 1
    moments = np.zeros((n_features + 1, n_features + 1), dtype=np.intp)
    moments[0, 1:] = moments[1:, 0] = HEADER + place
    within, start = HEADER + length, HEADER + length + turns * length
    for r, at in enumerate(place):
        vector = at // lanes
        first = vector // 2 * 2
        side_by_side = min(length // lanes - first, 2) * lanes
        for c in range(r + 1):
            if place[c] // lanes == vector:
                by = at - place[c]
                s, lane = (by, place[c] % lanes) if by < turns else (lanes - by, at % lanes)
                entry = within + first * lanes * turns + s * side_by_side + vector % 2 * lanes + lane
            else:
                entry = start + at % PANEL * vector * lanes + place[c]
            moments[1 + r, 1 + c] = moments[1 + c, 1 + r] = entry
        if at % PANEL == PANEL - 1:
            start += PANEL * vector * lanes
    return int(start), moments
