"""Squared distances of a few points from many: what k-means++ asks for in every round."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.target import GROUP
from fastgmm.kernels.vector import load, multiply_add, spread, store, subtract, zeros


def distances(t, parts, x, stride, n_features, points, result):
    """result[j, p] = Σ_d (x[d, p] − points[j, d])² for all columns p < stride, a multiple of WIDTH.

    The differences are squared, not expanded: equal rows are at distance 0, and a far outlier does not blur the rest.
    Reads x (D, stride) and points (J, D), flat; writes result (J, stride), flat. 2 J · stride · D flop.
    """
    n_points = points.shape[0] // n_features
    for j in range(n_points * t // parts, n_points * (t + 1) // parts):
        for p in range(0, stride, WIDTH):
            squared = zeros(np.float64, 1, GROUP)
            for d in range(n_features):
                gap = subtract(load(x, d * stride + p, 0, 1, GROUP), spread(points[j * n_features + d], GROUP))
                squared = multiply_add(gap, gap, squared)
            store(squared, result, j * stride + p, 0)
