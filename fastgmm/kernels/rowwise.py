"""Densities row by row, with features in the lanes: for rows that come from all over a strip.

`density` has rows in the lanes: it multiplies by no zeros, but rows that do not lie together must be turned first, and
fill whole groups. Turning and filling, d64k32 / d32k32 / d16k128 took 1.1 / 1.2 / 1.4 of the time.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import inner_part, part
from fastgmm.kernels.listed import listed_row
from fastgmm.kernels.moments import PAIR, SINGLE, TRIPLE
from fastgmm.kernels.products import outer_rows, row_squares, store_row_sums
from fastgmm.kernels.target import LANES, PANEL
from fastgmm.kernels.vector import load, store, subtract, zeros

REAL = np.float64
"""Set by `compile.build`: the numbers that are computed with."""


@part
def centre_rows(rows, row_length, means, m, listed, i, size, z):
    """Write some listed rows less a mean, row by row."""
    d = 0
    while d < row_length:
        centre = load(means, m + d, 0, 1, SINGLE)
        for p in range(size):
            store(subtract(listed_row(rows, listed, i + p, row_length, d, SINGLE), centre), z, p * row_length + d, 0)
        d += LANES


@inner_part
def add_squares(z, at, row_length, columns, w, first, sums, width):
    """Add to the sums of PANEL rows the squares of some vectors of W z, from place `first` on; zeros are left out."""
    tile = zeros(REAL, PANEL, width)
    c = 0
    while c < first + LANES:
        tile = outer_rows(tile, z, at + c, row_length, columns, w + c * row_length + first, 0)
        c += 1
    while c < min(first + 2 * LANES, first + len(width) * LANES):
        tile = outer_rows(tile, z, at + c, row_length, columns, w + c * row_length + first, 1)
        c += 1
    while c < first + len(width) * LANES:
        tile = outer_rows(tile, z, at + c, row_length, columns, w + c * row_length + first, 2)
        c += 1
    return row_squares(sums, tile)


@part
def rows_distance(z, at, row_length, columns, w, near, i):
    """Write ‖W z‖² of PANEL centred rows; `columns` are those of W by padded place, (row_length, row_length)."""
    sums, first = zeros(REAL, PANEL, SINGLE), 0
    while first < row_length:
        left = (row_length - first) // LANES
        if left == 1:
            sums = add_squares(z, at, row_length, columns, w, first, sums, SINGLE)
            first += LANES
        elif left == 2 or left == 4:
            sums = add_squares(z, at, row_length, columns, w, first, sums, PAIR)
            first += 2 * LANES
        else:
            sums = add_squares(z, at, row_length, columns, w, first, sums, TRIPLE)
            first += 3 * LANES
    store_row_sums(sums, near, i)
