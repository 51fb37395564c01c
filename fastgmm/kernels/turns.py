"""Turns: lower triangles times matrices, all components in one call; what mixtures and sums cost on their way."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.products import outer_rows
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.vector import load, store, zeros

SINGLE = (0,)


@part
def copy_row(row, count, rows, at):
    """Copy the first numbers of a row, by whole vectors: one by one Numba asks of each place whether it is negative."""
    c = 0
    while c + LANES <= count:
        store(load(row, c, 0, 1, SINGLE), rows, at + c, 0)
        c += LANES
    while c < count:
        rows[at + c] = row[c]
        c += 1


@part
def take_matrix(matrix, lower, n_features, stride, rows):
    """Lay a matrix out in rows of whole tiles, of a lower triangle its lower half; the rest stays as it is. O(D²)."""
    for i in range(n_features):
        copy_row(matrix[i], i + 1 if lower else n_features, rows, i * stride)


@part
def multiply_rows(left, right, left_lower, right_lower, whole, n_features, stride, rows):
    """Write a product A B tile by tile, its lower half or the `whole`, without what is 0 or of no account.

    A may be a lower triangle, and B one, or else the transpose of one if A is none. D³/6 FMA for two lower triangles,
    D³/2 for one and a whole matrix, D³/3 for half of the product of a matrix and a transpose.
    """
    i = 0
    while i < n_features:
        end, c = min(i + PANEL, n_features), 0
        while c < (n_features if whole else end):
            tile = zeros(np.float64, PANEL, GROUP)
            for j in range(c if right_lower else 0, end if left_lower else min(c + GROUP * LANES, n_features)):
                tile = outer_rows(tile, left, i * stride + j, stride, right, j * stride + c, 0)
            store(tile, rows, i * stride + c, stride)
            c += GROUP * LANES
        i += PANEL


@part
def give_matrix(rows, symmetric, n_features, stride, result):
    """Write the lower half of a matrix, and above it zeros, or what makes it symmetric. O(D²)."""
    for i in range(n_features):
        copy_row(rows[i * stride :], i + 1, result[i], 0)
        if symmetric:
            for c in range(i):
                result[c, i] = rows[i * stride + c]
        else:
            result[i, i + 1 :] = 0.0


def turns(t, parts, lefts, rights, lower, twice, results):
    """Write L A for lower triangles, or `twice`, for symmetric A, L A Lᵀ, for a share of the components.

    Reads L (1 or K, D, D) and A (1 or K, D, D), of both their lower triangles if `lower`. Writes results (K, D, D).
    """
    n_components, n_features = results.shape[0], results.shape[1]
    width = GROUP * LANES
    stride = (n_features + width - 1) // width * width
    size = (n_features + PANEL) * stride
    left, right, rows = scratch(size, np.float64), scratch(size, np.float64), scratch(size, np.float64)
    back = scratch(size, np.float64)
    left[:] = 0.0
    right[:] = 0.0
    rows[:] = 0.0
    back[:] = 0.0
    first = n_components * t // parts
    for k in range(first, n_components * (t + 1) // parts):
        if k == first or lefts.shape[0] > 1:
            take_matrix(lefts[k % lefts.shape[0]], 1, n_features, stride, left)
            if twice:
                for i in range(n_features):
                    for c in range(i + 1):
                        back[c * stride + i] = left[i * stride + c]
        take_matrix(rights[k % rights.shape[0]], lower, n_features, stride, right)
        multiply_rows(left, right, True, lower, not lower, n_features, stride, rows)
        if twice:
            multiply_rows(rows, back, False, False, False, n_features, stride, right)
        give_matrix(right if twice else rows, twice, n_features, stride, results[k])
