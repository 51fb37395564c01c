"""Components in the lanes: factors, densities and coordinates of all components of a mixture, a vector of them at once.

Of a component on its own, roots, quotients and logarithms wait for each other: D = 2, K = 9, Zen 5: 5000 cycles for
densities, a third of an iteration on 272 rows, and here 600. Fields lie as (fields, pad): shares, means and covariances
of K components, with lanes up to whole vectors that hold a standard normal density.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.listed import above
from fastgmm.kernels.target import LANES
from fastgmm.kernels.vector import (
    divide,
    exp,
    larger,
    load,
    log,
    multiply,
    multiply_add,
    smaller,
    spread,
    sqrt,
    store,
    subtract,
)

RIDGE = 1e-10
"""Added to the variances (of standardised features), so that a component on a line comes to rest and can be refused."""

HALF_LOG = 0.9189385332046727
"""log(2π) / 2."""

NOTHING = 1e-300
"""Share of a component that has none: its density is nothing, and its logarithm a number."""

FAR = 300.0
"""Largest logarithm of a factor's diagonal that coordinates may have."""

ALL = 2**LANES - 1


@part
def padded(k_count):
    """Return a number of lanes of whole vectors."""
    return (k_count + LANES - 1) // LANES * LANES


@part
def lay_across(point, matrices, ridge, k_count, n_features, fields):
    """Write shares, means and the lower triangles of covariances (K, D, D) + ridge as fields (1 + D + D², pad)."""
    pad, size = padded(k_count), n_features * n_features
    begin = (1 + n_features) * pad
    for k in range(k_count):
        fields[k] = max(point[k], NOTHING)
    for i in range(n_features):
        for k in range(k_count):
            fields[(1 + i) * pad + k] = point[k_count + k * n_features + i]
        for j in range(i + 1):
            at, more = begin + (i * n_features + j) * pad, ridge if i == j else 0.0
            for k in range(k_count):
                fields[at + k] = matrices[k * size + i * n_features + j] + more
    for k in range(k_count, pad):
        fields[k] = 1.0
        for i in range(n_features):
            fields[(1 + i) * pad + k] = 0.0
            for j in range(i + 1):
                fields[begin + (i * n_features + j) * pad + k] = 1.0 if i == j else 0.0


@part
def factor_across(fields, first, pad, n_features, lower):
    """Write L (D, D, LANES), L Lᵀ = Σ, of the components from `first` on; return whether all are positive definite."""
    for i in range(n_features):
        for j in range(i + 1):
            rest = load(fields, (1 + n_features + i * n_features + j) * pad + first, 0, 1, 1)
            for c in range(j):
                one = load(lower, (i * n_features + c) * LANES, 0, 1, 1)
                rest = subtract(rest, multiply(one, load(lower, (j * n_features + c) * LANES, 0, 1, 1)))
            if i > j:
                rest = divide(rest, load(lower, (j * n_features + j) * LANES, 0, 1, 1))
            elif above(rest, 0.0) == ALL:
                rest = sqrt(rest)
            else:
                return False
            store(rest, lower, (i * n_features + j) * LANES, 0)
    return True


@part
def invert_across(lower, n_features, whitener):
    """Write the lower triangle of W = L⁻¹, (D, D, LANES)."""
    for j in range(n_features):
        for i in range(j, n_features):
            rest = spread(1.0 if i == j else 0.0, 1)
            for c in range(j, i):
                one = load(lower, (i * n_features + c) * LANES, 0, 1, 1)
                rest = subtract(rest, multiply(one, load(whitener, (c * n_features + j) * LANES, 0, 1, 1)))
            diagonal = load(lower, (i * n_features + i) * LANES, 0, 1, 1)
            store(divide(rest, diagonal), whitener, (i * n_features + j) * LANES, 0)


@part
def coefficients(fields, k_count, n_features, room, result):
    """Write log-joint densities as coefficients (F, pad) of 1, x and the products of the lower triangle.

    Returns whether all covariances are positive definite. `room` is of (2 D² + D) LANES numbers.
    """
    pad, size = padded(k_count), n_features * n_features * LANES
    lower, whitener, white = room[:size], room[size : 2 * size], room[2 * size :]
    first = 0
    while first < pad:
        if not factor_across(fields, first, pad, n_features, lower):
            return False
        invert_across(lower, n_features, whitener)
        constant = subtract(log(load(fields, first, 0, 1, 1)), spread(HALF_LOG * n_features, 1))
        for i in range(n_features):
            y = spread(0.0, 1)
            for j in range(i + 1):
                mean = load(fields, (1 + j) * pad + first, 0, 1, 1)
                y = multiply_add(load(whitener, (i * n_features + j) * LANES, 0, 1, 1), mean, y)
            store(y, white, i * LANES, 0)
            constant = subtract(constant, log(load(lower, (i * n_features + i) * LANES, 0, 1, 1)))
            constant = multiply_add(multiply(y, y), spread(-0.5, 1), constant)
        store(constant, result, first, 0)
        f = 1 + n_features
        for i in range(n_features):
            linear = spread(0.0, 1)
            for c in range(i, n_features):
                y = load(white, c * LANES, 0, 1, 1)
                linear = multiply_add(load(whitener, (c * n_features + i) * LANES, 0, 1, 1), y, linear)
            store(linear, result, (1 + i) * pad + first, 0)
            for j in range(i + 1):
                precision = spread(0.0, 1)
                for c in range(i, n_features):
                    one = load(whitener, (c * n_features + i) * LANES, 0, 1, 1)
                    precision = multiply_add(one, load(whitener, (c * n_features + j) * LANES, 0, 1, 1), precision)
                store(multiply(precision, spread(-1.0 if i != j else -0.5, 1)), result, f * pad + first, 0)
                f += 1
        first += LANES
    return True


@part
def to_coordinates(fields, k_count, n_features, lower, result):
    """Write log shares, means, and Cholesky factors with logarithms on their diagonals, (F, pad).

    Returns whether all covariances are positive definite.
    """
    pad, first = padded(k_count), 0
    while first < pad:
        if not factor_across(fields, first, pad, n_features, lower):
            return False
        store(log(load(fields, first, 0, 1, 1)), result, first, 0)
        f = 1 + n_features
        for i in range(n_features):
            store(load(fields, (1 + i) * pad + first, 0, 1, 1), result, (1 + i) * pad + first, 0)
            for j in range(i + 1):
                entry = load(lower, (i * n_features + j) * LANES, 0, 1, 1)
                if i == j:
                    entry = log(entry)
                store(entry, result, f * pad + first, 0)
                f += 1
        first += LANES
    return True


@part
def from_coordinates(vector, k_count, n_features, lower, point):
    """Write the moments that have these coordinates, shares summing to 1; spoils the coordinates."""
    pad, size = padded(k_count), n_features * n_features
    to = k_count * (1 + n_features)
    top, first = -np.inf, 0
    for k in range(k_count):
        top = max(top, vector[k])
    while first < pad:
        store(exp(subtract(load(vector, first, 0, 1, 1), spread(top, 1))), vector, first, 0)
        f = 1 + n_features
        for i in range(n_features):
            for j in range(i + 1):
                entry = load(vector, f * pad + first, 0, 1, 1)
                if i == j:
                    entry = exp(larger(smaller(entry, spread(FAR, 1)), spread(-FAR, 1)))
                store(entry, lower, (i * n_features + j) * LANES, 0)
                f += 1
        f = 1 + n_features
        for i in range(n_features):
            for j in range(i + 1):
                value = spread(0.0, 1)
                for c in range(j + 1):
                    one = load(lower, (i * n_features + c) * LANES, 0, 1, 1)
                    value = multiply_add(one, load(lower, (j * n_features + c) * LANES, 0, 1, 1), value)
                store(value, vector, f * pad + first, 0)
                f += 1
        first += LANES
    sums = 0.0
    for k in range(k_count):
        sums += vector[k]
    for k in range(k_count):
        point[k] = vector[k] / sums
        f = 1 + n_features
        for i in range(n_features):
            point[k_count + k * n_features + i] = vector[(1 + i) * pad + k]
            for j in range(i + 1):
                at = to + k * size
                point[at + i * n_features + j] = point[at + j * n_features + i] = vector[f * pad + k]
                f += 1
