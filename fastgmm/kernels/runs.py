"""Runs of EM for many small mixtures on few rows: all iterations of a run in one call, accelerated by SQUAREM.

A run is dropped as soon as it seems to end below what is wanted, or in an optimum that is known: three of four do, if
they start near one that is. Between two calls runs are compared, and others dropped. On few rows an iteration from
Python costs ten times what it computes. Here, Old Faithful, K = 9, one core of Zen 5: 2.7 to 4 µs, by model.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types

from fastgmm.kernels import compile as compiler
from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.maximisation import cholesky, inverse, maximise
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP
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

RIDGE = 1e-10
"""Added to the variances (of standardised features), so that a component on a line comes to rest and can be refused."""

HALF_LOG = 0.9189385332046727
"""log(2π) / 2."""

HAIR, CLOSE = 1e-6, 0.01
"""By how much the likelihood of a run on its way to a known optimum may lie above that optimum's, and below, a mean."""

FAR = 300.0
"""Largest logarithm of a factor's diagonal that an extrapolation may point to."""


@part
def coefficients(point, k_count, n_features, fitted, lower, whitener, result):
    """Write log-joint densities as coefficients (K, F) of 1, x and the products of the lower triangle.

    Returns whether all covariances are positive definite.
    """
    size = n_features * n_features
    f_count = 1 + n_features + n_features * (n_features + 1) // 2
    for k in range(k_count):
        at, mean = k * f_count, k_count + k * n_features
        if not cholesky(fitted, k * size, n_features, lower):
            return False
        inverse(lower, n_features, whitener)
        constant = -HALF_LOG * n_features
        if point[k] > 0.0:
            constant += np.log(point[k])
        else:
            constant = -np.inf
        for d in range(n_features):
            constant -= np.log(lower[d * n_features + d])
            result[at + 1 + d] = 0.0
        f = at + 1 + n_features
        for i in range(n_features):
            for j in range(i + 1):
                precision = 0.0
                for c in range(i, n_features):
                    precision += whitener[c * n_features + i] * whitener[c * n_features + j]
                result[at + 1 + i] += precision * point[mean + j]
                if i != j:
                    result[at + 1 + j] += precision * point[mean + i]
                result[f] = -precision if i != j else -0.5 * precision
                f += 1
        for d in range(n_features):
            constant -= 0.5 * result[at + 1 + d] * point[mean + d]
        result[at] = constant
    return True


@part
def responsibilities(values, weights, stride, factors, k_count, f_count, joints):
    """Write weighted responsibilities (K, stride); return the mean log-likelihood. N K F FMA, and N K exponentials."""
    sums = zeros(np.float64, 1, GROUP)
    i = 0
    while i < stride:
        top = spread(-np.inf, GROUP)
        for k in range(k_count):
            tile = spread(factors[k * f_count], GROUP)
            for f in range(1, f_count):
                tile = multiply_add(
                    load(values, (f - 1) * stride + i, 0, 1, GROUP), spread(factors[k * f_count + f], GROUP), tile
                )
            store(tile, joints, k * stride + i, 0)
            top = larger(top, tile)
        density = zeros(np.float64, 1, GROUP)
        for k in range(k_count):
            tile = exp(subtract(load(joints, k * stride + i, 0, 1, GROUP), top))
            store(tile, joints, k * stride + i, 0)
            density = add(density, tile)
        weight = load(weights, i, 0, 1, GROUP)
        sums = multiply_add(weight, add(log(density), top), sums)
        share = divide(weight, density)
        for k in range(k_count):
            store(multiply(load(joints, k * stride + i, 0, 1, GROUP), share), joints, k * stride + i, 0)
        i += WIDTH
    return total(sums)


@part
def sum_products(values, stride, joints, k_count, f_count, sums):
    """Write Σ_n γ_kn and Σ_n γ_kn v_fn, (K, F). N K F FMA."""
    for k in range(k_count):
        counts, i = zeros(np.float64, 1, GROUP), 0
        while i < stride:
            counts = add(counts, load(joints, k * stride + i, 0, 1, GROUP))
            i += WIDTH
        sums[k * f_count] = total(counts)
        f = 1
        while f + 1 < f_count:
            one, two, i = zeros(np.float64, 1, GROUP), zeros(np.float64, 1, GROUP), 0
            while i < stride:
                share = load(joints, k * stride + i, 0, 1, GROUP)
                one = multiply_add(share, load(values, (f - 1) * stride + i, 0, 1, GROUP), one)
                two = multiply_add(share, load(values, f * stride + i, 0, 1, GROUP), two)
                i += WIDTH
            sums[k * f_count + f] = total(one)
            sums[k * f_count + f + 1] = total(two)
            f += 2
        if f < f_count:
            one, i = zeros(np.float64, 1, GROUP), 0
            while i < stride:
                share = load(joints, k * stride + i, 0, 1, GROUP)
                one = multiply_add(share, load(values, (f - 1) * stride + i, 0, 1, GROUP), one)
                i += WIDTH
            sums[k * f_count + f] = total(one)


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


@part
def em_step(rule, kind, values, weights, stride, n_features, k_count, point, state, fitted, found, room):
    """Maximise from the moments `point`, then expect: write the next moments to `found`, return the value between.

    `state` is whether alternations go on, volumes (K,) and axes (D, D). Returns −inf, and writes nothing of use, where
    a covariance is not positive definite.
    """
    size = n_features * n_features
    f_count = 1 + n_features + n_features * (n_features + 1) // 2
    lower, whitener = room[:size], room[size : 2 * size]
    v = room[2 * size : 2 * size + k_count * n_features]
    begin = 2 * size + k_count * n_features
    work = room[begin : begin + k_count * size]
    begin += k_count * size
    factors, joints = room[begin : begin + k_count * f_count], room[begin + k_count * f_count :]
    matrices = point[k_count * (1 + n_features) :]
    maximise(
        rule, kind, point, matrices, k_count, n_features, state[1:], state[1 + k_count :], state[0] > 0.0, v, work,
        lower, whitener, fitted,
    )  # fmt: skip
    state[0] = 1.0
    for k in range(k_count):
        for d in range(n_features):
            fitted[k * size + d * n_features + d] += RIDGE
    if not coefficients(point, k_count, n_features, fitted, lower, whitener, factors):
        return -np.inf
    value = responsibilities(values, weights, stride, factors, k_count, f_count, joints)
    if not -np.inf < value < np.inf:
        return -np.inf
    sum_products(values, stride, joints, k_count, f_count, factors)
    to_moments(factors, k_count, n_features, found)
    return value


@part
def to_coordinates(point, k_count, n_features, lower, result):
    """Write log shares, means, and Cholesky factors with logarithms on their diagonals; return whether all are."""
    size, begin = n_features * n_features, k_count * (1 + n_features)
    for k in range(k_count):
        result[k] = np.log(max(point[k], 1e-300))
    for p in range(k_count, begin):
        result[p] = point[p]
    at = begin
    for k in range(k_count):
        for d in range(n_features):
            point[begin + k * size + d * n_features + d] += RIDGE
        definite = cholesky(point, begin + k * size, n_features, lower)
        for d in range(n_features):
            point[begin + k * size + d * n_features + d] -= RIDGE
        if not definite:
            return False
        for i in range(n_features):
            for j in range(i):
                result[at] = lower[i * n_features + j]
                at += 1
            result[at] = np.log(lower[i * n_features + i])
            at += 1
    return True


@part
def from_coordinates(vector, k_count, n_features, lower, point):
    """Write the moments that have these coordinates."""
    size, begin = n_features * n_features, k_count * (1 + n_features)
    top, sums = -np.inf, 0.0
    for k in range(k_count):
        top = max(top, vector[k])
    for k in range(k_count):
        point[k] = np.exp(vector[k] - top)
        sums += point[k]
    for k in range(k_count):
        point[k] /= sums
    for p in range(k_count, begin):
        point[p] = vector[p]
    at = begin
    for k in range(k_count):
        for i in range(n_features):
            for j in range(i):
                lower[i * n_features + j] = vector[at]
                at += 1
            lower[i * n_features + i] = np.exp(min(max(vector[at], -FAR), FAR))
            at += 1
        for i in range(n_features):
            for j in range(i + 1):
                value = 0.0
                for c in range(j + 1):
                    value += lower[i * n_features + c] * lower[j * n_features + c]
                to = begin + k * size
                point[to + i * n_features + j] = point[to + j * n_features + i] = value


@part
def extrapolated(first, second, third, k_count, n_features, lower, vectors, point):
    """Write where three iterates point to by SQUAREM: x + 2 a r + a² v; return whether there is such a point."""
    length = k_count * (1 + n_features + n_features * (n_features + 1) // 2)
    a, b, c = vectors[:length], vectors[length : 2 * length], vectors[2 * length :]
    if not (
        to_coordinates(first, k_count, n_features, lower, a)
        and to_coordinates(second, k_count, n_features, lower, b)
        and to_coordinates(third, k_count, n_features, lower, c)
    ):
        return False
    steps, bends = 0.0, 0.0
    for p in range(length):
        r, v = b[p] - a[p], c[p] - 2.0 * b[p] + a[p]
        steps += r * r
        bends += v * v
    reach = max(np.sqrt(steps / bends), 1.0) if bends > 0.0 else 1.0
    for p in range(length):
        r, v = b[p] - a[p], c[p] - 2.0 * b[p] + a[p]
        a[p] += 2.0 * reach * r + reach * reach * v
    from_coordinates(a, k_count, n_features, lower, point)
    return True


@part
def heads_for(point, k_count, n_features, units, value, known, start, stop, near):
    """Return whether moments with this likelihood seem to be on the way to one of the known optima.

    `known` holds likelihoods and signatures K Σ_k s_k² E_k[v_f] of the monomials v_f, the same in whatever order the
    components are; `units` (F,) is what makes monomials comparable.
    """
    begin = k_count * (1 + n_features)
    for o in range(start, stop):
        gap = known[o, 0] - value
        if not -HAIR <= gap <= CLOSE:
            continue
        f, same = 0, True
        for i in range(-1, n_features):
            for j in range(-1, i + 1):
                if not same:
                    break
                signature = 0.0
                for k in range(k_count):
                    expected = 1.0
                    if j >= 0:
                        expected = point[k_count + k * n_features + i] * point[k_count + k * n_features + j]
                        expected += point[begin + (k * n_features + i) * n_features + j]
                    elif i >= 0:
                        expected = point[k_count + k * n_features + i]
                    signature += point[k] * point[k] * expected
                same = abs(k_count * signature - known[o, 1 + f]) * units[f] <= near
                f += 1
        if same:
            return True
    return False


@part
def copy(source, length, target):
    """Copy numbers."""
    for p in range(length):
        target[p] = source[p]


@part
def climb(
    rule, kind, values, weights, stride, n_features, k_count, plain, rounds, tolerance, bar, reach, units, known,
    start, stop, near, point, state, fitted, room, points,
):  # fmt: skip
    """Take plain iterations and rounds of SQUAREM from `point`, and leave the last moments there.

    A round is two iterations and one from where they point, which is kept where the likelihood is no lower. Rounds end
    early where an iteration gains `tolerance` or less. A run is dropped after a round where as much as that iteration
    gained, `reach` times over, does not take it to the `bar`, and where it heads for a known optimum. Returns the
    value, −inf for a run that collapses or is dropped, and how many iterations there were.
    """
    size, length = n_features * n_features, k_count * (1 + n_features + n_features * n_features)
    state_length = 1 + k_count + size
    one, two, three = points[:length], points[length : 2 * length], points[2 * length : 3 * length]
    kept_state, kept_fitted = points[3 * length : 3 * length + state_length], points[3 * length + state_length :]
    vectors = kept_fitted[k_count * size :]
    value = -np.inf
    for _ in range(plain):
        value = em_step(rule, kind, values, weights, stride, n_features, k_count, point, state, fitted, one, room)
        if value == -np.inf:
            return value, plain
        copy(one, length, point)
    steps = plain
    for _ in range(rounds):
        first = em_step(rule, kind, values, weights, stride, n_features, k_count, point, state, fitted, one, room)
        steps += 3
        if first == -np.inf:
            return first, steps
        value = em_step(rule, kind, values, weights, stride, n_features, k_count, one, state, fitted, two, room)
        if value == -np.inf:
            return value, steps
        gain = value - first
        copy(state, state_length, kept_state)
        copy(fitted, k_count * size, kept_fitted)
        beyond = -np.inf
        if extrapolated(point, one, two, k_count, n_features, room, vectors, three):
            beyond = em_step(rule, kind, values, weights, stride, n_features, k_count, three, state, fitted, one, room)
        if beyond >= value:
            copy(one, length, point)
            value = beyond
        else:
            copy(two, length, point)
            copy(kept_state, state_length, state)
            copy(kept_fitted, k_count * size, fitted)
        if gain <= tolerance:
            break
        if value + reach * gain < bar:
            return -np.inf, steps
        if start < stop and heads_for(point, k_count, n_features, units, value, known, start, stop, near):
            return -np.inf, steps
    return value, steps


def runs(
    t, parts, values, weights, n_features, k_count, rules, kinds, points, states, fitted, plain, rounds, tolerance,
    bars, reach, units, known, ranges, near, log_likelihoods, steps,
):  # fmt: skip
    """Climb from every one of R points, for every so many of them: those of a model, which take alike, lie together.

    Reads monomials x, then x_d x_e of the lower triangle, (F − 1, stride), flat, and weights (stride,) of sum 1; the
    stride is a multiple of WIDTH, and what lies beyond the rows weighs nothing. Reads and writes points (R, P), shares,
    means and covariances, states (R, 1 + K + D²); bars (R,); known optima (A, 1 + F) and their units (F,), of which
    `ranges` (R, 2) concern a run; writes fitted covariances (R, K D²), mean log-likelihoods (R,) and numbers of
    iterations (R,).
    """
    stride, n_runs, size = weights.shape[0], points.shape[0], n_features * n_features
    f_count = 1 + n_features + n_features * (n_features + 1) // 2
    length = k_count * (1 + n_features + size)
    room = scratch(2 * size + k_count * (n_features + size + f_count + stride), np.float64)
    spare = scratch(3 * length + 1 + k_count + size + k_count * size + 3 * k_count * f_count, np.float64)
    for r in range(t, n_runs, parts):
        log_likelihoods[r], steps[r] = climb(
            rules[r], kinds[r], values, weights, stride, n_features, k_count, plain, rounds, tolerance, bars[r], reach,
            units, known, ranges[r, 0], ranges[r, 1], near, points[r], states[r], fitted[r], room, spare,
        )  # fmt: skip


@cache
def runs_kernel(mode: str = "serial") -> compiler.Kernel:
    """Return the compiled kernel, one variant: threads take parts of it."""

    def array(dtype: Any, ndim: int, readonly: bool = False) -> Any:
        return types.Array(dtype, ndim, "C", readonly=readonly)

    whole, real = types.int64, types.float64
    rows, codes = [array(real, 1, True)] * 2, [array(whole, 1, True)] * 2
    signature = (
        *rows,
        whole,
        whole,
        *codes,
        *[array(real, 2)] * 3,
        whole,
        whole,
        real,
        array(real, 1, True),
        real,
        array(real, 1, True),
        array(real, 2, True),
        array(whole, 2, True),
        real,
        array(real, 1),
        array(whole, 1),
    )
    return compiler.build(runs, signature, {}, mode)
