"""How far one set of whiteners is from the next: what transported bounds ask of every component."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import load, multiply_add, spread, store, zeros


@part
def difference(whitener, cholesky, n_features, stride, rows, error):
    """Write E = W L − I, both lower triangles, tile by tile; return its largest number. D³/6 FMA."""
    largest = 0.0
    for i in range(n_features):
        for c in range(n_features):
            rows[i * stride + c] = cholesky[i, c]
    for i in range(n_features):
        c = 0
        while c <= i:
            sums = zeros(np.float64, 1, GROUP)
            for j in range(c, i + 1):
                sums = multiply_add(load(rows, j * stride + c, 0, 1, GROUP), spread(whitener[i, j], GROUP), sums)
            store(sums, error, i * stride + c, 0)
            c += GROUP * LANES
        error[i * stride + i] -= 1.0
        for c in range(i + 1):
            largest = max(largest, np.abs(error[i * stride + c]))
    return largest


@part
def square_norm(error, n_features, stride, scale, row):
    """Return ‖EᵀE‖_F of a lower triangle divided by `scale`; `row` takes EᵀE row by row. D³/6 FMA."""
    for i in range(n_features):
        for c in range(i + 1):
            error[i * stride + c] /= scale
    total = 0.0
    for a in range(n_features):
        c = 0
        while c <= a:
            sums = zeros(np.float64, 1, GROUP)
            for i in range(a, n_features):
                sums = multiply_add(
                    load(error, i * stride + c, 0, 1, GROUP), spread(error[i * stride + a], GROUP), sums
                )
            store(sums, row, c, 0)
            c += GROUP * LANES
        for c in range(a):
            total += 2.0 * row[c] * row[c]
        total += row[a] * row[a]
    return np.sqrt(total)


def growth(t, parts, whiteners, choleskys, norms):
    """Write upper bounds of ‖W_k L_k − I‖, the square root of ‖EᵀE‖_F, for a share of the components.

    Reads lower triangles W and L (K, D, D); writes norms (K,). Within a factor √D of the norm. K D³ flop.
    """
    n_components, n_features = whiteners.shape[0], whiteners.shape[1]
    width = GROUP * LANES
    stride = (n_features + width - 1) // width * width
    error = scratch(n_features * stride, np.float64)
    rows = scratch(n_features * stride, np.float64)
    error[:] = 0.0
    for k in range(n_components * t // parts, n_components * (t + 1) // parts):
        largest = difference(whiteners[k], choleskys[k], n_features, stride, rows, error)
        norms[k] = 0.0
        if largest > 0.0:
            norms[k] = largest * np.sqrt(square_norm(error, n_features, stride, largest, rows))
