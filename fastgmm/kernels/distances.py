"""A round of k-means++: candidates drawn, and how near all rows are if one of them becomes a centre."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.target import GROUP
from fastgmm.kernels.vector import load, multiply_add, smaller, spread, store, subtract, total, zeros

NEIGHBOURS = 16 * WIDTH
"""Columns that all points are taken past before the next; a draw asks so many together first."""


@part
def drawn(uniform, nearest, weights, shares):
    """Draw a column with probability ∝ w · nearest, of which `shares` are the sums over NEIGHBOURS.

    What rounding leaves over falls to the last column that has a probability. One pass over shares and NEIGHBOURS.
    """
    left = 0.0
    for c in range(shares.shape[0]):
        left += shares[c]
    left *= uniform
    chunk = 0
    for c in range(shares.shape[0]):
        if shares[c] > 0:
            chunk = c
            if left < shares[c]:
                break
            left -= shares[c]
    chosen = 0
    for p in range(chunk * NEIGHBOURS, min((chunk + 1) * NEIGHBOURS, nearest.shape[0])):
        mass = weights[p] * nearest[p]
        if mass > 0:
            chosen = p
            if left < mass:
                break
            left -= mass
    return chosen


def distances(t, parts, x, stride, n_features, uniforms, nearest, weights, shares, chosen, result, masses):
    """Draw columns, and write how near all are if one is added: min(nearest[p], Σ_d (x[d, p] − x[d, chosen[j]])²).

    For each of J uniforms by itself, and all columns p < stride, a multiple of WIDTH. The differences are squared, not
    expanded: equal rows are at distance 0, and a far outlier does not blur the rest. Reads x (D, stride), uniforms (J,)
    in [0, 1), nearest and weights (stride,), and shares (C,), Σ w · nearest over NEIGHBOURS columns, of which one is
    positive; writes chosen (J,), result (J, stride), x and result flat, and of each result what shares are of
    `nearest`, masses (J, C). 3 J · stride · D flop.
    """
    n_points = uniforms.shape[0]
    mine = range(n_points * t // parts, n_points * (t + 1) // parts)
    for j in mine:
        chosen[j] = drawn(uniforms[j], nearest, weights, shares)
    for first in range(0, stride, NEIGHBOURS):
        for j in mine:
            mass = zeros(np.float64, 1, GROUP)
            for p in range(first, min(first + NEIGHBOURS, stride), WIDTH):
                squared = zeros(np.float64, 1, GROUP)
                for d in range(n_features):
                    gap = subtract(load(x, d * stride + p, 0, 1, GROUP), spread(x[d * stride + chosen[j]], GROUP))
                    squared = multiply_add(gap, gap, squared)
                squared = smaller(squared, load(nearest, p, 0, 1, GROUP))
                mass = multiply_add(squared, load(weights, p, 0, 1, GROUP), mass)
                store(squared, result, j * stride + p, 0)
            masses[j, first // NEIGHBOURS] = total(mass)
