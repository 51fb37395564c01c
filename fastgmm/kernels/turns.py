"""Turns: lower triangles times matrices, all components in one call; what mixtures and sums cost on their way."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.products import outer_rows
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.vector import store, zeros


@part
def take_matrix(matrix, lower, n_features, stride, rows):
    """Lay a matrix out in rows of whole tiles, of a lower triangle its lower half. O(D²)."""
    for i in range(n_features):
        end = i + 1 if lower else n_features
        for c in range(end):
            rows[i * stride + c] = matrix[i, c]
        for c in range(end, n_features):
            rows[i * stride + c] = 0.0


@part
def multiply_rows(left, right, lower, n_features, stride, rows):
    """Write L A for a lower triangle L, tile by tile, without the zeros; A may be one too. D³/2 FMA, or D³/6."""
    i = 0
    while i < n_features:
        end, c = min(i + PANEL, n_features), 0
        while c < (end if lower else n_features):
            tile = zeros(np.float64, PANEL, GROUP)
            for j in range(c if lower else 0, end):
                tile = outer_rows(tile, left, i * stride + j, stride, right, j * stride + c, 0)
            store(tile, rows, i * stride + c, stride)
            c += GROUP * LANES
        i += PANEL


def turns(t, parts, lefts, rights, lower, twice, results):
    """Write L A, or `twice`, for symmetric A, L A Lᵀ, for a share of the components.

    Reads L (1 or K, D, D) and A (1 or K, D, D), of both their lower triangles if `lower`. Writes results (K, D, D).
    """
    n_components, n_features = results.shape[0], results.shape[1]
    width = GROUP * LANES
    stride = (n_features + width - 1) // width * width
    size = (n_features + PANEL) * stride
    left, right, rows = scratch(size, np.float64), scratch(size, np.float64), scratch(size, np.float64)
    left[:] = 0.0
    right[:] = 0.0
    rows[:] = 0.0
    first = n_components * t // parts
    for k in range(first, n_components * (t + 1) // parts):
        if k == first or lefts.shape[0] > 1:
            take_matrix(lefts[k % lefts.shape[0]], 1, n_features, stride, left)
        take_matrix(rights[k % rights.shape[0]], lower, n_features, stride, right)
        multiply_rows(left, right, lower, n_features, stride, rows)
        if twice:
            for i in range(n_features):
                for c in range(n_features):
                    right[c * stride + i] = rows[i * stride + c]
            multiply_rows(left, right, 0, n_features, stride, rows)
        for i in range(n_features):
            end = i + 1 if lower or twice else n_features
            for c in range(end):
                results[k, i, c] = rows[i * stride + c]
            for c in range(end, n_features):
                results[k, i, c] = 0.0
        if twice:  # what rounding leaves of its symmetry is taken away
            for i in range(n_features):
                for c in range(i):
                    value = 0.5 * (results[k, i, c] + rows[c * stride + i])
                    results[k, i, c] = value
                    results[k, c, i] = value
