"""Factors of covariances: Cholesky's, and their inverses, all components in one call.

Rows of triangles are padded to whole tiles, so that every row operation is a loop over tiles. K = 32, microseconds for
D = 4 / 16 / 64: LAPACK and a blocked inverse in NumPy 40 / 140 / 1150, plain loops 5 / 33 / 970, this 6 / 25 / 390.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.products import outer
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.turns import copy_row, give_matrix
from fastgmm.kernels.vector import load, multiply, multiply_add, spread, store, subtract, total, zeros


@part
def scale_tiles(rows, at, begin, end, factor):
    """Multiply a row, from the tile of place `begin` on, by a factor."""
    c = begin // (GROUP * LANES) * (GROUP * LANES)
    while c < end:
        store(multiply(load(rows, at + c, 0, 1, GROUP), spread(factor, GROUP)), rows, at + c, 0)
        c += GROUP * LANES


@part
def add_tiles(rows, at, others, place, begin, end, factor):
    """Add a row times a factor to another, from the tile of place `begin` on."""
    c = begin // (GROUP * LANES) * (GROUP * LANES)
    while c < end:
        sums = multiply_add(
            load(others, place + c, 0, 1, GROUP), spread(factor, GROUP), load(rows, at + c, 0, 1, GROUP)
        )
        store(sums, rows, at + c, 0)
        c += GROUP * LANES


@part
def factor_panels(rows, n_features, stride):
    """Turn Σ into U, Uᵀ U = Σ, PANEL rows at a time; return whether it is positive definite. D³/6 FMA.

    What is left of the diagonal is of no account. K = 16, D = 128, Zen 5: 0.28 ms; a row at a time 0.6.
    """
    first = 0
    while first < n_features:
        last, c = min(first + PANEL, n_features), first // (GROUP * LANES) * (GROUP * LANES)
        while first > 0 and c < n_features:
            tile = zeros(np.float64, PANEL, GROUP)
            for j in range(first):
                tile = outer(tile, rows, j * stride + first, rows, j * stride + c)
            place = first * stride + c
            store(subtract(load(rows, place, stride, PANEL, GROUP), tile), rows, place, stride)
            c += GROUP * LANES
        for i in range(first, last):
            pivot = rows[i * stride + i]
            if not 0.0 < pivot < np.inf:
                return False
            root = np.sqrt(pivot)
            scale_tiles(rows, i * stride, i, n_features, 1.0 / root)
            rows[i * stride + i] = root
            for r in range(i + 1, last):
                add_tiles(rows, r * stride, rows, i * stride, r, n_features, -rows[i * stride + r])
        first += PANEL
    return True


@part
def invert_panels(upper, n_features, stride, rows):
    """Write W = L⁻¹, L = Uᵀ, PANEL rows at a time: W_i = (e_i − Σ_{j<i} L_ij W_j) / L_ii. D³/6 FMA."""
    first = 0
    while first < n_features:
        last, c = min(first + PANEL, n_features), 0
        while c < last:
            tile = zeros(np.float64, PANEL, GROUP)
            for j in range(c, first):
                tile = outer(tile, upper, j * stride + first, rows, j * stride + c)
            store(tile, rows, first * stride + c, stride)
            c += GROUP * LANES
        for i in range(first, last):
            scale, c = 1.0 / upper[i * stride + i], 0
            while c < last:
                sums = load(rows, i * stride + c, 0, 1, GROUP)
                for j in range(max(first, c), i):
                    sums = multiply_add(
                        load(rows, j * stride + c, 0, 1, GROUP), spread(upper[j * stride + i], GROUP), sums
                    )
                store(multiply(sums, spread(-scale, GROUP)), rows, i * stride + c, 0)
                c += GROUP * LANES
            rows[i * stride + i] = scale
        first += PANEL


@part
def finite(n_features, stride, rows):
    """Return whether all numbers of a lower triangle are. O(D²)."""
    sums, i = zeros(np.float64, 1, GROUP), 0
    while i < n_features:
        c = 0
        while c <= i:
            sums = multiply_add(load(rows, i * stride + c, 0, 1, GROUP), spread(0.0, GROUP), sums)
            c += GROUP * LANES
        i += 1
    return total(sums) == 0.0


def factors(t, parts, covariances, choleskys, whiteners, definite):
    """Write L, L Lᵀ = Σ_k, W = L⁻¹, and whether Σ_k is positive definite and W finite, for a share of the components.

    Reads the upper triangles of covariances (K, D, D); writes choleskys and whiteners (K, D, D), zeros above their
    diagonals included, and definite (K,). What a covariance that is not positive definite leaves is of no account.
    K D³ flop.
    """
    n_components, n_features = covariances.shape[0], covariances.shape[1]
    width = GROUP * LANES
    stride = (n_features + width - 1) // width * width
    upper = scratch((n_features + PANEL) * stride, np.float64)
    rows = scratch((n_features + PANEL) * stride, np.float64)
    upper[:] = 0.0
    rows[:] = 0.0
    for k in range(n_components * t // parts, n_components * (t + 1) // parts):
        for i in range(n_features):
            copy_row(covariances[k, i, i:], n_features - i, upper, i * stride + i)
        definite[k] = factor_panels(upper, n_features, stride)
        if definite[k]:
            invert_panels(upper, n_features, stride, rows)
            definite[k] = finite(n_features, stride, rows)
            give_matrix(rows, 0, n_features, stride, whiteners[k])
            for i in range(n_features):
                for c in range(i + 1):
                    choleskys[k, i, c] = upper[c * stride + i]
                choleskys[k, i, i + 1 :] = 0.0


def log_constants(t, parts, weights, choleskys, constants):
    """Write log π_k − D/2 log 2π − Σ_d log L_dd for a share of the components; −inf for weight 0.

    Reads weights (K,) and choleskys (K, D, D), writes constants (K,). K (D + 1) logarithms.
    """
    n_components, n_features = choleskys.shape[0], choleskys.shape[1]
    for k in range(n_components * t // parts, n_components * (t + 1) // parts):
        volume = 0.0
        for d in range(n_features):
            volume += np.log(choleskys[k, d, d])
        constants[k] = np.log(weights[k]) - 0.5 * n_features * np.log(2.0 * np.pi) - volume
