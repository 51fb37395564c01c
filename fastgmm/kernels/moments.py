"""Moments with features in the lanes, for more than GRAM_LIMIT features: rows without a share are left out.

A record holds Σγ in its first number, Σγz from HEADER on, then the lower triangle of Σγzzᵀ (`layout`). It is of
float64, and a chunk of rows is summed in registers before it is added, so sums in float32 are short.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import inner_part, part
from fastgmm.kernels.layout import CHUNK, CHUNK_BYTES, HEADER, WIDTH
from fastgmm.kernels.listed import above, chosen, list_lanes, listed_row, pack_lanes
from fastgmm.kernels.products import outer, rotations
from fastgmm.kernels.target import LANES, PANEL
from fastgmm.kernels.vector import (
    accumulate,
    add,
    column,
    load,
    multiply,
    multiply_add,
    sqrt,
    store,
    subtract,
    total,
    zeros,
)

REAL = np.float64
"""Set by `compile.build`: the numbers that are computed with."""

HEAD, ROTATIONS = PANEL, LANES // 2 + 1
"""Set by `compile.build`: features before the first panel, and by how many lanes a vector is turned, 0 included."""

PANEL_ROWS = (0,) * PANEL
SINGLE, PAIR, TRIPLE = (0,), (0, 0), (0, 0, 0)
"""Sizes of tiles: a tuple's length is part of its type, so Numba compiles a part for each size from one text."""


@part
def list_rows(joint, k, n, n_components, active, shares):
    """List the rows whose share of component k is not 0, in order, and their shares; return how many.

    One cycle a row, whatever their number.
    """
    count = p = 0
    while p < n:
        here = load(joint, (p // WIDTH * n_components + k) * WIDTH + p % WIDTH, 0, 1, 1)
        mask = above(here, REAL(0.0))
        list_lanes(REAL, p, mask, active, count)
        pack_lanes(here, mask, shares, count)
        count += chosen(mask)
        p += LANES
    store(zeros(REAL, 1, 1), shares, count, 0)
    return count


@part
def take_roots(shares, begin, size):
    """Replace some shares by their square roots; return their sum. The list ends in zeros up to a whole vector."""
    sums, j = zeros(REAL, 1, 1), begin
    while j < begin + size:
        values = load(shares, j, 0, 1, 1)
        sums = add(sums, values)
        store(sqrt(values), shares, j, 0)
        j += LANES
    return total(sums)


@inner_part
def scale_row(rows, row_length, d, centre, active, roots, i, z, at, sums, width):
    """Write √γ (row − μ) for some vectors of features of a listed row; return `sums` with √γ times it added."""
    root = column(sums, roots, i)
    scaled = multiply(subtract(listed_row(rows, active, i, row_length, d, width), centre), root)
    store(scaled, z, at, 0)
    return multiply_add(scaled, root, sums)


@part
def scale_rows(rows, row_length, d, mean, m, active, roots, begin, size, z, record, entry, width):
    """Write z_j = √γ_j (row_j − μ) for some vectors of features from d on, and add Σ √γ_j z_j to the record.

    Two running sums, since one would wait for itself.
    """
    centre = load(mean, m + d, 0, 1, width)
    even, odd = zeros(REAL, 1, width), zeros(REAL, 1, width)
    j = 0
    while j + 1 < size:
        at = j * row_length + d
        even = scale_row(rows, row_length, d, centre, active, roots, begin + j, z, at, even, width)
        odd = scale_row(rows, row_length, d, centre, active, roots, begin + j + 1, z, at + row_length, odd, width)
        j += 2
    if j < size:
        at = j * row_length + d
        even = scale_row(rows, row_length, d, centre, active, roots, begin + j, z, at, even, width)
    accumulate(add(even, odd), record, entry + d, 0)


@part
def add_outer(z, size, row_length, first, c, record, entry, length, height, width):
    """Add Σ_j z_j[first:] z_j[c:]ᵀ, a tile of height × width, to the record's rows of `length` from `entry` on."""
    tile = zeros(REAL, height, width)
    for j in range(size):
        tile = outer(tile, z, j * row_length + first, z, j * row_length + c)
    accumulate(tile, record, entry + c, length)


@part
def add_products(z, size, row_length, d, record, entry, width):
    """Add Σ_j of the products within some vectors of features from d on, by rotations."""
    tile = zeros(REAL, ROTATIONS, width)
    for j in range(size):
        tile = rotations(tile, z, j * row_length + d)
    accumulate(tile, record, entry + d * ROTATIONS, len(width) * LANES)


@part
def add_triangle(z, size, n_features, row_length, record, entry):
    """Add Σ_j z_j z_jᵀ: products within each vector of features, then each panel with the vectors before its own.

    D²/2 FMA for each j. Rotations take LANES / 2 + 1 of them for what a square tile takes LANES.
    """
    d = 0
    while d + 2 * LANES <= row_length:
        add_products(z, size, row_length, d, record, entry, PAIR)
        d += 2 * LANES
    if d < row_length:
        add_products(z, size, row_length, d, record, entry, SINGLE)
    entry += ROTATIONS * row_length
    first = LANES
    while first < n_features + PANEL - HEAD:
        length = first // LANES * LANES
        c = 0
        while c + 3 * LANES <= length:
            add_outer(z, size, row_length, first, c, record, entry, length, PANEL_ROWS, TRIPLE)
            c += 3 * LANES
        if length - c == 2 * LANES:
            add_outer(z, size, row_length, first, c, record, entry, length, PANEL_ROWS, PAIR)
        elif length - c == LANES:
            add_outer(z, size, row_length, first, c, record, entry, length, PANEL_ROWS, SINGLE)
        entry += PANEL * length
        first += PANEL


@part
def add_listed(k, active, shares, count, n_features, rows, row_length, means, z, record, entry):
    """Add component k's moments over listed rows to the record from `entry` on; `shares` are used up.

    record += Σ_j γ_j (1, z_j, lower triangle of z_j z_jᵀ), z = row − μ_k, by way of √γ z, so that one scratch row
    serves both sides. As many rows at a time as stay in L1.
    """
    most = max(min(CHUNK_BYTES // (z.itemsize * row_length), CHUNK) // LANES, 1) * LANES
    chunks = max((count + most - 1) // most, 1)  # of equal size, so that none is short
    chunk = (count + chunks * LANES - 1) // (chunks * LANES) * LANES
    m, begin = k * row_length, 0
    while begin < count:
        size = min(chunk, count - begin)
        record[entry] += take_roots(shares, begin, size)
        place = entry + HEADER
        d = 0
        while d + 2 * LANES <= row_length:
            scale_rows(rows, row_length, d, means, m, active, shares, begin, size, z, record, place, PAIR)
            d += 2 * LANES
        if d < row_length:
            scale_rows(rows, row_length, d, means, m, active, shares, begin, size, z, record, place, SINGLE)
        add_triangle(z, size, n_features, row_length, record, place + row_length)
        begin += chunk


@part
def add_moments(joint, k, n, n_components, n_features, rows, row_length, means, active, shares, z, record, entry):
    """Add component k's moments over a strip of n rows to the record from `entry` on; return how many had a share."""
    count = list_rows(joint, k, n, n_components, active, shares)
    add_listed(k, active, shares, count, n_features, rows, row_length, means, z, record, entry)
    return count
