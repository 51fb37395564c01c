"""Settled sums about where means are now, and the squared lengths that they tell: no row is read for it."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.products import outer_rows
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.vector import accumulate, load, multiply, zeros

PANEL_ROWS = (0,) * PANEL


@part
def whitened_trace(n_features, stride, whitener, moment, lanes):
    """Return tr(W S Wᵀ) = Σ_ic W_ic (W S)_ic, tile by tile; `lanes` takes a tile. D³/3 FMA."""
    lanes[:] = 0.0
    i = 0
    while i < n_features:
        last, c = min(i + PANEL, n_features), 0
        while c < last:
            tile = zeros(np.float64, PANEL_ROWS, GROUP)
            for j in range(last):
                tile = outer_rows(tile, whitener, i * stride + j, stride, moment, j * stride + c, 0)
            tile = multiply(tile, load(whitener, i * stride + c, stride, PANEL_ROWS, GROUP))
            accumulate(tile, lanes, 0, GROUP * LANES)
            c += GROUP * LANES
        i += PANEL
    squares = 0.0
    for j in range(lanes.shape[0]):
        squares += lanes[j]
    return squares


def lengths(
    t, parts, whiteners, shifts, sum_w, sum_x, sum_xx, records, record, places, all_w, all_x, all_xx, squares
):  # fmt: skip
    """Add sums about other origins to records of sums about the means, and write Σ γ ‖W_k (x − μ_k)‖² of the former.

    With δ = `shifts`, other origin − mean, (K, D): n, x + n δ and S = xx + (x δᵀ + δ xᵀ) + n δ δᵀ, with what the
    records of so many numbers hold at `places` (D + 1, D + 1), give all_w (K,), all_x (K, D) and all_xx (K, D, D);
    squares (K,) = tr(W_k S W_kᵀ). For a share of the components. K D³ flop.
    """
    n_components, n_features = whiteners.shape[0], whiteners.shape[1]
    width = GROUP * LANES
    stride = (n_features + width - 1) // width * width
    size = (n_features + PANEL - 1) // PANEL * PANEL * stride
    whitener = scratch(size, np.float64)
    moment = scratch(size, np.float64)
    lanes = scratch(PANEL * width, np.float64)
    whitener[:] = 0.0
    moment[:] = 0.0
    for k in range(n_components * t // parts, n_components * (t + 1) // parts):
        n, first = sum_w[k], k * record
        all_w[k] = records[first + places[0, 0]] + n
        for i in range(n_features):
            x, shift = sum_x[k, i], shifts[k, i]
            for c in range(n_features):
                value = sum_xx[k, i, c] + (x * shifts[k, c] + shift * sum_x[k, c]) + n * (shift * shifts[k, c])
                all_xx[k, i, c] = records[first + places[1 + i, 1 + c]] + value
                moment[i * stride + c] = value
                whitener[i * stride + c] = whiteners[k, i, c]
            all_x[k, i] = records[first + places[1 + i, 0]] + (x + n * shift)
        squares[k] = whitened_trace(n_features, stride, whitener, moment, lanes)
