"""Responsibilities and moments of few rows, with rows in the lanes: log-densities as polynomials of the rows.

Rows come as monomials, in groups of WIDTH. A group is left out of a component to which none of its rows belongs to a
share of 2⁻⁵³: if neighbours lie together, that is two pairs of five (Old Faithful, K = 9).
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.listed import above
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import (
    add,
    divide,
    exp,
    larger,
    load,
    log,
    multiply,
    multiply_add,
    spread,
    store,
    subtract,
    total,
    zeros,
)

NEGLIGIBLE = -36.75
"""Logarithm of 2⁻⁵³."""


@part
def densities(values, stride, factors, pad, k_count, f_count, joints, tops):
    """Write log-joint densities (K, stride), three components at a time, and each row's largest. N K F FMA."""
    i = 0
    while i < stride:
        top, k = spread(-np.inf, GROUP), 0
        while k + 2 < k_count:
            one, two, three = spread(factors[k], GROUP), spread(factors[k + 1], GROUP), spread(factors[k + 2], GROUP)
            for f in range(1, f_count):
                x, at = load(values, (f - 1) * stride + i, 0, 1, GROUP), f * pad + k
                one = multiply_add(x, spread(factors[at], GROUP), one)
                two = multiply_add(x, spread(factors[at + 1], GROUP), two)
                three = multiply_add(x, spread(factors[at + 2], GROUP), three)
            store(one, joints, k * stride + i, 0)
            store(two, joints, (k + 1) * stride + i, 0)
            store(three, joints, (k + 2) * stride + i, 0)
            top = larger(top, larger(one, larger(two, three)))
            k += 3
        while k < k_count:
            one = spread(factors[k], GROUP)
            for f in range(1, f_count):
                x = load(values, (f - 1) * stride + i, 0, 1, GROUP)
                one = multiply_add(x, spread(factors[f * pad + k], GROUP), one)
            store(one, joints, k * stride + i, 0)
            top = larger(top, one)
            k += 1
        store(top, tops, i, 0)
        i += WIDTH


@part
def list_groups(stride, joints, tops, k_count, listed, counts):
    """Write which groups concern each component, (K, groups), and how many, (K,)."""
    groups = stride // WIDTH
    for k in range(k_count):
        count, i = k * groups, 0
        while i < stride:
            closest = subtract(load(joints, k * stride + i, 0, 1, 1), load(tops, i, 0, 1, 1))
            v = LANES
            while v < WIDTH:
                other = subtract(load(joints, k * stride + i + v, 0, 1, 1), load(tops, i + v, 0, 1, 1))
                closest = larger(closest, other)
                v += LANES
            listed[count] = i
            count += 1 if above(closest, NEGLIGIBLE) != 0 else 0
            i += WIDTH
        counts[k] = count - k * groups


@part
def responsibilities(values, weights, stride, factors, pad, k_count, f_count, joints, tops, sums, listed, counts):
    """Write joint densities (K, stride) of the listed groups, divided by each row's largest.

    Writes to `sums` (stride,) what makes weighted responsibilities of them, and returns the mean log-likelihood. `tops`
    is room. N K F FMA, and as many exponentials as there are rows listed.
    """
    densities(values, stride, factors, pad, k_count, f_count, joints, tops)
    list_groups(stride, joints, tops, k_count, listed, counts)
    i, groups, value = 0, stride // WIDTH, zeros(np.float64, 1, GROUP)
    while i < stride:
        store(zeros(np.float64, 1, GROUP), sums, i, 0)
        i += WIDTH
    for k in range(k_count):  # not group by group: an exponential alone, and a sum, wait for themselves
        for p in range(k * groups, k * groups + counts[k]):
            i = listed[p]
            tile = exp(subtract(load(joints, k * stride + i, 0, 1, GROUP), load(tops, i, 0, 1, GROUP)))
            store(tile, joints, k * stride + i, 0)
            store(add(load(sums, i, 0, 1, GROUP), tile), sums, i, 0)
    i = 0
    while i < stride:
        density, weight = load(sums, i, 0, 1, GROUP), load(weights, i, 0, 1, GROUP)
        value = multiply_add(weight, add(log(density), load(tops, i, 0, 1, GROUP)), value)
        store(divide(weight, density), sums, i, 0)
        i += WIDTH
    return total(value)


@part
def sum_products(values, stride, joints, shares, listed, counts, k_count, f_count, sums):
    """Write Σ_n γ_kn and Σ_n γ_kn v_fn of the listed groups, (K, F), γ = joints · shares. N K F FMA."""
    groups = stride // WIDTH
    for k in range(k_count):
        first, stop = k * groups, k * groups + counts[k]
        one, two, three = zeros(np.float64, 1, GROUP), zeros(np.float64, 1, GROUP), zeros(np.float64, 1, GROUP)
        for p in range(first, stop):
            i = listed[p]
            share = multiply(load(joints, k * stride + i, 0, 1, GROUP), load(shares, i, 0, 1, GROUP))
            store(share, joints, k * stride + i, 0)
            one = add(one, share)
            two = multiply_add(share, load(values, i, 0, 1, GROUP), two)
            three = multiply_add(share, load(values, stride + i, 0, 1, GROUP), three)
        sums[k * f_count] = total(one)
        sums[k * f_count + 1] = total(two)
        sums[k * f_count + 2] = total(three)
        f = 3
        while f + 2 < f_count:
            one, two, three = zeros(np.float64, 1, GROUP), zeros(np.float64, 1, GROUP), zeros(np.float64, 1, GROUP)
            for p in range(first, stop):
                i = listed[p]
                share = load(joints, k * stride + i, 0, 1, GROUP)
                one = multiply_add(share, load(values, (f - 1) * stride + i, 0, 1, GROUP), one)
                two = multiply_add(share, load(values, f * stride + i, 0, 1, GROUP), two)
                three = multiply_add(share, load(values, (f + 1) * stride + i, 0, 1, GROUP), three)
            sums[k * f_count + f] = total(one)
            sums[k * f_count + f + 1] = total(two)
            sums[k * f_count + f + 2] = total(three)
            f += 3
        while f < f_count:
            one = zeros(np.float64, 1, GROUP)
            for p in range(first, stop):
                i = listed[p]
                share = load(joints, k * stride + i, 0, 1, GROUP)
                one = multiply_add(share, load(values, (f - 1) * stride + i, 0, 1, GROUP), one)
            sums[k * f_count + f] = total(one)
            f += 1


@part
def to_moments(sums, k_count, n_features, point):
    """Write shares (K,), means (K, D) and covariances (K, D, D) of sums (K, F), one after the other."""
    f_count = 1 + n_features + n_features * (n_features + 1) // 2
    for k in range(k_count):
        at, mean = k * f_count, k_count + k * n_features
        scale = 1.0 / max(sums[at], 1e-300)
        point[k] = sums[at]
        for d in range(n_features):
            point[mean + d] = sums[at + 1 + d] * scale
        f = at + 1 + n_features
        to = k_count + k_count * n_features + k * n_features * n_features
        for i in range(n_features):
            for j in range(i + 1):
                value = sums[f] * scale - point[mean + i] * point[mean + j]
                point[to + i * n_features + j] = point[to + j * n_features + i] = value
                f += 1
