"""Pivots: what is left of features' variances given those before, which float32 sums must tell from rounding."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.factors import factor_panels
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP, LANES, PANEL

TINY = np.finfo(np.float64).tiny


@part
def take_scatter(sum_w, sum_x, sum_xx, n_features, stride, rows, variances):
    """Write W = S − m mᵀ / n row by row, and its diagonal. O(D²)."""
    count = max(sum_w, TINY)
    for i in range(n_features):
        mean = sum_x[i] / count
        for c in range(n_features):
            rows[i * stride + c] = sum_xx[i, c] - mean * sum_x[c]
        variances[i] = rows[i * stride + i]


def pivots(t, parts, sum_w, sum_x, sum_xx, least):
    """Write the least share of a feature's variance that is left given those before it, for a share of the components.

    Reads sums (K,), (K, D) and (K, D, D) about each component's origin; writes least (K,), 0 where the scatter about
    the mean is not positive definite. K D³/3 flop.
    """
    n_components, n_features = sum_x.shape
    width = GROUP * LANES
    stride = (n_features + width - 1) // width * width
    rows = scratch((n_features + PANEL) * stride, np.float64)
    variances = np.empty(n_features)
    rows[:] = 0.0
    for k in range(n_components * t // parts, n_components * (t + 1) // parts):
        take_scatter(sum_w[k], sum_x[k], sum_xx[k], n_features, stride, rows, variances)
        least[k] = 0.0
        if factor_panels(rows, n_features, stride):
            share = 1.0
            for i in range(n_features):
                root = rows[i * stride + i]
                share = min(share, root * root / variances[i])
            least[k] = share
