"""Loading: a strip of rows, standardised and laid out for the kernels.

A strip is cut into groups of WIDTH rows, the points that a register tile takes at once. Feature d of row p of group g
is ``x[(g * D + d) * WIDTH + p]``, so that a group is contiguous and stays in L1 while every component passes over it.
Responsibilities lie alike: ``joint[(g * K + k) * WIDTH + p]``.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import allocating_part, inner_part, part
from fastgmm.kernels.layout import AHEAD, WIDTH
from fastgmm.kernels.listed import standardise, take_panel, turned_rows
from fastgmm.kernels.products import outer_rows
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.vector import narrow, prefetch, room, store, zeros

REAL, HEAD = np.float64, PANEL
"""Set by `compile.build`: the numbers that are computed with, and features before the first panel."""


@allocating_part
def scratch(size, real):
    """Make room for `size` numbers, from the start of a cache line: vectors that straddle lines cost twice."""
    return room(size, real)


@part
def groups_of(n):
    """Count the groups that n rows fill, the last perhaps in part."""
    return (n + WIDTH - 1) // WIDTH


@part
def load_columns(X, start, n, centre, scale, order, x):
    """Standardise rows of X group by group, with zero rows up to a whole group.

    x[g, d, p] = (X[start + g WIDTH + p, d] − centre[d]) · scale[d]. Reads and writes n × D numbers. PANEL features are
    taken at once: the last of them may belong to the next row, and are written over by the next group, but they must
    exist, as must `centre` and `scale` for them. `order` counts rows from 0.
    """
    # D = 8, Zen 5: 25 cycles a row without registers, 4 with them.
    n_features = X.shape[1]
    for g in range(groups_of(n)):
        first = g * WIDTH
        size = min(WIDTH, n - first)
        if size == WIDTH and (start + first + WIDTH) * n_features + PANEL <= X.size:
            for v in range(GROUP):
                d = 0
                while d < n_features:
                    tile = turned_rows(REAL, X, order, first + v * LANES, n_features, start * n_features + d)
                    store(standardise(tile, centre, scale, d), x, (g * n_features + d) * WIDTH + v * LANES, WIDTH)
                    d += PANEL
            continue
        for p in range(size):
            for d in range(n_features):
                value = (np.float64(X[start + first + p, d]) - centre[d]) * scale[d]
                x[(g * n_features + d) * WIDTH + p] = value
        for d in range(n_features):
            for p in range(size, WIDTH):
                x[(g * n_features + d) * WIDTH + p] = 0.0


@inner_part
def take_row(X, source, centre, scale, rows, row):
    """Standardise the numbers of X from `source` on into the room of a row: the head, then the panels. O(D)."""
    n_features, d = X.shape[1], HEAD
    take_panel(X, source, centre, scale, 0, rows, row)
    while d < n_features:
        take_panel(X, source + d, centre, scale, d, rows, row + d + PANEL - HEAD)
        d += PANEL


@part
def load_rows(X, start, n, centre, scale, row_length, rows):
    """Standardise rows of X and keep them as rows: the head in the room of a panel, then the panels. O(n D).

    Zeros fill the rows of the last group. What is behind the head, and behind the last panel, is of no account, but
    finite: `rows` were zeros when they were made.
    """
    # One loop over the head's features and one over the others, in Python: 420 cycles a row at D = 32, for 34 here.
    n_features = X.shape[1]
    for p in range(n):
        take_row(X, (start + p) * n_features, centre, scale, rows, p * row_length)
    rows[n * row_length : groups_of(n) * WIDTH * row_length] = 0.0


@part
def load_turned(X, start, n, centre, scale, turn, row_length, z, rows):
    """Standardise rows of X, multiply them by a triangle, y = T x, in float64, and round once. D²/2 FMA a row.

    T lies by columns, rows and columns laid out like a row. AHEAD rows of `z`, which were zeros, are scratch. All else
    as in `load_rows`.
    """
    n_features, p = X.shape[1], 0
    while p < n:
        size = min(AHEAD, n - p)
        prefetch(X, (start + p + size) * n_features, AHEAD * n_features)
        for q in range(size):
            if n_features < PANEL:  # what a panel reads beyond the last row may not exist
                for d in range(n_features):
                    z[q * row_length + d] = (np.float64(X[start + p + q, d]) - centre[d]) * scale[d]
            else:
                take_row(X, (start + p + q) * n_features, centre, scale, z, q * row_length)
        q = 0
        while q < size:
            first = 0
            while first < row_length:
                tile = zeros(np.float64, PANEL, 2)
                for c in range(first + 2 * PANEL):
                    tile = outer_rows(tile, z, q * row_length + c, row_length, turn, c * row_length + first, 0)
                store(narrow(tile), rows, (p + q) * row_length + first, row_length)
                first += 2 * PANEL
            q += PANEL
        p += AHEAD
    rows[n * row_length : groups_of(n) * WIDTH * row_length] = 0.0


@part
def turn_rows(rows, n, n_features, row_length, order, x):
    """Lay rows that are standardised already out by groups: what `load_columns` does from X. O(n D).

    A head of fewer than PANEL features writes beyond itself; the panels after it, or the next group, write over that.
    """
    for g in range(groups_of(n)):
        turn_group(rows, order, g * WIDTH, n_features, row_length, x, g * n_features * WIDTH)


@part
def turn_group(rows, listed, i, n_features, row_length, x, at):
    """Lay WIDTH listed rows out as a group's columns, from x[at] on. O(D) a row."""
    for v in range(GROUP):
        d = place = 0
        while d < n_features + PANEL - HEAD:
            tile = turned_rows(REAL, rows, listed, i + v * LANES, row_length, d)
            store(tile, x, at + place * WIDTH + v * LANES, WIDTH)
            place = HEAD + d
            d += PANEL


@part
def load_weights(sample_weight, start, n, row_weights):
    """Weights of a strip's rows: 1 where none are given, 0 for the padding."""
    for p in range(n):
        row_weights[p] = sample_weight[start + p] if sample_weight.size > 0 else 1.0
    for p in range(n, groups_of(n) * WIDTH):
        row_weights[p] = 0.0


@part
def clear_padding(joint, n, n_components):
    """Write 0 for the rows that fill a strip's last group."""
    for p in range(n, groups_of(n) * WIDTH):
        for k in range(n_components):
            joint[(p // WIDTH * n_components + k) * WIDTH + p % WIDTH] = 0.0


@part
def take_others(others, start, n, n_components, joint):
    """Write what is known of the log-density of each row's other components as the column behind these."""
    for p in range(n):
        joint[(p // WIDTH * (n_components + 1) + n_components) * WIDTH + p % WIDTH] = others[start + p]
    for p in range(n, groups_of(n) * WIDTH):
        joint[(p // WIDTH * (n_components + 1) + n_components) * WIDTH + p % WIDTH] = -np.inf


@part
def give_others(joint, start, n, n_components, given):
    """Write the weighted responsibility of the other components, all together."""
    for p in range(n):
        given[start + p] = joint[(p // WIDTH * (n_components + 1) + n_components) * WIDTH + p % WIDTH]


@part
def take_given(given, given_labels, start, n, n_components, row_weights, joint):
    """Fill a strip's responsibilities from given ones (rows, K), or from labels, times the rows' weights."""
    for p in range(n):
        first = (p // WIDTH * n_components) * WIDTH + p % WIDTH
        for k in range(n_components):
            if given.size > 0:
                share = given[start + p, k]
            else:
                share = 1.0 if given_labels[start + p] == k else 0.0
            joint[first + k * WIDTH] = share * row_weights[p]
    clear_padding(joint, n, n_components)
