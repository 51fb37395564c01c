"""Loading: a strip of rows, standardised and laid out for the kernels.

A strip is cut into groups of WIDTH rows, the points that a register tile takes at once. Feature d of row p of group g
is ``x[(g * D + d) * WIDTH + p]``, so that a group is contiguous and stays in L1 while every component passes over it.
Responsibilities lie alike: ``joint[(g * K + k) * WIDTH + p]``.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.target import LANES

HEAD = LANES
"""Set by `compile.build`: features before the first panel."""


@part
def scratch(size):
    """Make room for `size` numbers, from the start of a cache line: vectors that straddle lines cost twice."""
    room = np.empty(size + 8)
    first = (64 - room.ctypes.data % 64) % 64 // 8
    return room[first : first + size]


@part
def groups_of(n):
    """Count the groups that n rows fill, the last perhaps in part."""
    return (n + WIDTH - 1) // WIDTH


@part
def load_columns(X, start, n, centre, scale, x):
    """Standardise rows of X group by group, with zero rows up to a whole group.

    x[g, d, p] = (X[start + g WIDTH + p, d] − centre[d]) · scale[d]. Reads and writes n × D numbers.
    """
    n_features = X.shape[1]
    for g in range(groups_of(n)):
        first = g * WIDTH
        size = min(WIDTH, n - first)
        for p in range(size):
            for d in range(n_features):
                value = (np.float64(X[start + first + p, d]) - centre[d]) * scale[d]
                x[(g * n_features + d) * WIDTH + p] = value
        for d in range(n_features):
            for p in range(size, WIDTH):
                x[(g * n_features + d) * WIDTH + p] = 0.0


@part
def load_rows(X, start, n, centre, scale, row_length, rows):
    """Standardise rows of X and keep them as rows: the head padded to LANES with zeros, then the panels. O(n D)."""
    n_features = X.shape[1]
    for p in range(n):
        row = p * row_length
        for d in range(HEAD):
            rows[row + d] = (np.float64(X[start + p, d]) - centre[d]) * scale[d]
        for d in range(HEAD, LANES):
            rows[row + d] = 0.0
        for d in range(HEAD, n_features):
            rows[row + d + LANES - HEAD] = (np.float64(X[start + p, d]) - centre[d]) * scale[d]


@part
def turn_rows(rows, n, n_features, row_length, x):
    """Lay rows that are standardised already out by groups: what `load_columns` does from X. O(n D)."""
    for g in range(groups_of(n)):
        first = g * WIDTH
        size = min(WIDTH, n - first)
        for d in range(n_features):
            place = d if d < HEAD else d + LANES - HEAD
            column = (g * n_features + d) * WIDTH
            for p in range(size):
                x[column + p] = rows[(first + p) * row_length + place]
            for p in range(size, WIDTH):
                x[column + p] = 0.0


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
