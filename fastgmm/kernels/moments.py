"""Moments with features in the lanes, for more than GRAM_LIMIT features: rows without a share are left out.

A record holds Σγ in its first number, Σγz from LANES on, then the lower triangle of Σγzzᵀ by panels (`layout`).
"""

from __future__ import annotations

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import CHUNK, CHUNK_NUMBERS, WIDTH
from fastgmm.kernels.target import LANES
from fastgmm.kernels.vector import (
    above,
    add,
    load,
    lowest,
    multiply,
    multiply_add,
    outer,
    spread,
    sqrt,
    store,
    subtract,
    total,
    zeros,
)

HEAD, HEAD_ROWS = LANES, (0,) * LANES
"""Set by `compile.build`: features before the first panel, as a number and as the length of a tuple."""

PANEL_ROWS = (0,) * LANES
SINGLE, PAIR, TRIPLE = (0,), (0, 0), (0, 0, 0)
"""Sizes of tiles: a tuple's length is part of its type, so Numba compiles a part for each size from one text."""

EVERY_LANE = (1 << LANES) - 1


@part
def list_rows(joint, k, n, n_components, active, shares):
    """List the rows whose share of component k is not 0, in order, and their shares; return how many."""
    count = 0
    for p in range(0, n, LANES):
        first = (p // WIDTH * n_components + k) * WIDTH + p % WIDTH
        mask = above(load(joint, first, 0, 1, 1), 0.0)
        if mask == EVERY_LANE:
            for lane in range(LANES):
                active[count + lane] = p + lane
                shares[count + lane] = joint[first + lane]
            count += LANES
        else:
            while mask != 0:
                lane = lowest(mask)
                active[count] = p + lane
                shares[count] = joint[first + lane]
                count += 1
                mask &= mask - 1
    for lane in range(LANES):
        shares[count + lane] = 0.0
    return count


@part
def take_roots(shares, begin, size):
    """Replace some shares by their square roots; return their sum. The list ends in zeros up to a whole vector."""
    sums = zeros(1, 1)
    for j in range(begin, begin + size, LANES):
        values = load(shares, j, 0, 1, 1)
        sums = add(sums, values)
        store(sqrt(values), shares, j, 0)
    return total(sums)


@part
def scale_rows(rows, row_length, d, mean, m, active, roots, begin, size, z, record, entry, width):
    """Write z_j = √γ_j (row_j − μ) for some vectors of features from d on, and add Σ √γ_j z_j to the record."""
    centre = load(mean, m + d, 0, 1, width)
    sums = load(record, entry + d, 0, 1, width)
    for j in range(size):
        root = spread(roots[begin + j], width)
        scaled = multiply(subtract(load(rows, active[begin + j] * row_length + d, 0, 1, width), centre), root)
        store(scaled, z, j * row_length + d, 0)
        sums = multiply_add(scaled, root, sums)
    store(sums, record, entry + d, 0)


@part
def add_outer(z, size, row_length, first, c, record, entry, length, height, width):
    """Add Σ_j z_j[first:] z_j[c:]ᵀ, a tile of height × width, to the record's rows of `length` from `entry` on."""
    tile = load(record, entry + c, length, height, width)
    for j in range(size):
        tile = outer(tile, z, j * row_length + first, z, j * row_length + c)
    store(tile, record, entry + c, length)


@part
def add_triangle(z, size, row_length, record, entry):
    """Add Σ_j z_j z_jᵀ, tile by tile: the head's rows, then each panel's up to its own end. D²/2 FMA for each j."""
    add_outer(z, size, row_length, 0, 0, record, entry, LANES, HEAD_ROWS, SINGLE)
    entry += HEAD * LANES
    for first in range(LANES, row_length, LANES):
        length = first + LANES
        c = 0
        while c + 3 * LANES <= length:
            add_outer(z, size, row_length, first, c, record, entry, length, PANEL_ROWS, TRIPLE)
            c += 3 * LANES
        if length - c == 2 * LANES:
            add_outer(z, size, row_length, first, c, record, entry, length, PANEL_ROWS, PAIR)
        elif length - c == LANES:
            add_outer(z, size, row_length, first, c, record, entry, length, PANEL_ROWS, SINGLE)
        entry += LANES * length


@part
def add_moments(joint, k, n, n_components, rows, row_length, means, active, shares, z, record, entry):
    """Add component k's moments over a strip of n rows to the record from `entry` on.

    record += Σ_p γ_p (1, z_p, lower triangle of z_p z_pᵀ), z = row − μ_k, by way of √γ z, so that one scratch row
    serves both sides. As many rows at a time as stay in L1.
    """
    chunk = max(min(CHUNK_NUMBERS // row_length, CHUNK) // LANES, 1) * LANES
    count = list_rows(joint, k, n, n_components, active, shares)
    m = k * row_length
    for begin in range(0, count, chunk):
        size = min(chunk, count - begin)
        record[entry] += take_roots(shares, begin, size)
        place = entry + LANES
        d = 0
        while d + 2 * LANES <= row_length:
            scale_rows(rows, row_length, d, means, m, active, shares, begin, size, z, record, place, PAIR)
            d += 2 * LANES
        if d < row_length:
            scale_rows(rows, row_length, d, means, m, active, shares, begin, size, z, record, place, SINGLE)
        add_triangle(z, size, row_length, record, place + row_length)
