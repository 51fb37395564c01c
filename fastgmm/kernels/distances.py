"""Squared distances of a few points from many: what k-means++ asks for in every round."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.target import GROUP
from fastgmm.kernels.vector import load, multiply_add, smaller, spread, store, subtract, total, zeros

NEIGHBOURS = 16 * WIDTH
"""Columns that all points are taken past before the next."""


def distances(t, parts, x, stride, n_features, points, nearest, weights, result, masses):
    """Write how near columns are if a point is added, result[j, p] = min(nearest[p], Σ_d (x[d, p] − points[j, d])²).

    For each of J points by itself, and all columns p < stride, a multiple of WIDTH; masses[j] = Σ_p w_p result[j, p].
    The differences are squared, not expanded: equal rows are at distance 0, and a far outlier does not blur the rest.
    Reads x (D, stride), points (J, D), nearest and weights (stride,), writes result (J, stride), all flat, and
    masses (J,). 2 J · stride · D flop.
    """
    n_points = points.shape[0] // n_features
    mine = range(n_points * t // parts, n_points * (t + 1) // parts)
    for j in mine:
        masses[j] = 0.0
    for first in range(0, stride, NEIGHBOURS):
        for j in mine:
            mass = zeros(np.float64, 1, GROUP)
            for p in range(first, min(first + NEIGHBOURS, stride), WIDTH):
                squared = zeros(np.float64, 1, GROUP)
                for d in range(n_features):
                    gap = subtract(load(x, d * stride + p, 0, 1, GROUP), spread(points[j * n_features + d], GROUP))
                    squared = multiply_add(gap, gap, squared)
                squared = smaller(squared, load(nearest, p, 0, 1, GROUP))
                mass = multiply_add(squared, load(weights, p, 0, 1, GROUP), mass)
                store(squared, result, j * stride + p, 0)
            masses[j] += total(mass)
