"""Runs of EM for many small mixtures on few rows: all iterations of a run in one call, accelerated by SQUAREM.

A run is dropped as soon as it seems to end below what is wanted, or in an optimum that is known: three of four do, if
they start near one that is. Between two calls runs are compared, and others dropped. On few rows an iteration from
Python costs ten times what it computes. Here, Old Faithful, K = 9, one core of Zen 5: 2.4 to 3.4 µs, by model.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types

from fastgmm.kernels import compile as compiler
from fastgmm.kernels.across import RIDGE, coefficients, lay_across, padded
from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.maximisation import maximise
from fastgmm.kernels.monomials import responsibilities, sum_products, to_moments
from fastgmm.kernels.squarem import extrapolated
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import LANES

HAIR, CLOSE = 1e-6, 0.01
"""By how much the likelihood of a run on its way to a known optimum may lie above that optimum's, and below, a mean."""


@part
def em_step(rule, kind, values, weights, stride, n_features, k_count, point, state, fitted, found, room):
    """Maximise from the moments `point`, then expect: write the next moments to `found`, return the value between.

    `state` is whether alternations go on, volumes (K,) and axes (D, D). Returns −inf, and writes nothing of use, where
    a covariance is not positive definite.
    """
    size, pad = n_features * n_features, padded(k_count)
    f_count = 1 + n_features + n_features * (n_features + 1) // 2
    single = (2 * size + n_features) * LANES
    numbers, places = room
    lower, whitener = numbers[:size], numbers[size : 2 * size]
    fields, factors = numbers[single:], numbers[single + (1 + n_features + size) * pad :]
    work, v = factors[f_count * pad :], factors[(f_count + size) * pad :]
    tops = v[n_features * pad :]
    sums, joints = tops[stride:], tops[2 * stride :]
    counts, listed = places[:k_count], places[k_count:]
    matrices = point[k_count * (1 + n_features) :]
    maximise(
        rule, kind, point, matrices, k_count, n_features, state[1:], state[1 + k_count :], state[0] > 0.0, v, work,
        lower, whitener, fitted,
    )  # fmt: skip
    state[0] = 1.0
    for k in range(k_count):
        for d in range(n_features):
            fitted[k * size + d * n_features + d] += RIDGE
    lay_across(point, fitted, 0.0, k_count, n_features, fields)
    if not coefficients(fields, k_count, n_features, numbers, factors):
        return -np.inf
    value = responsibilities(
        values, weights, stride, factors, pad, k_count, f_count, joints, tops, sums, listed, counts
    )
    if not -np.inf < value < np.inf:
        return -np.inf
    sum_products(values, stride, joints, sums, listed, counts, k_count, f_count, factors)
    to_moments(factors, k_count, n_features, found)
    return value


@part
def sign(point, k_count, n_features, signature):
    """Write K Σ_k s_k² E_k[v_f] of the monomials v_f, the same in whatever order the components are, (F,)."""
    begin, f = k_count * (1 + n_features), 0
    for i in range(-1, n_features):
        for j in range(-1, i + 1):
            total = 0.0
            for k in range(k_count):
                expected = 1.0
                if j >= 0:
                    expected = point[k_count + k * n_features + i] * point[k_count + k * n_features + j]
                    expected += point[begin + (k * n_features + i) * n_features + j]
                elif i >= 0:
                    expected = point[k_count + k * n_features + i]
                total += point[k] * point[k] * expected
            signature[f] = k_count * total
            f += 1


@part
def heads_for(signature, f_count, units, value, known, start, stop, near):
    """Return whether moments with this likelihood seem to be on the way to one of the known optima.

    `known` holds likelihoods and signatures; `units` (F,) is what makes monomials comparable.
    """
    for o in range(start, stop):
        if -HAIR <= known[o, 0] - value <= CLOSE:
            f = 0
            while f < f_count and abs(signature[f] - known[o, 1 + f]) * units[f] <= near:
                f += 1
            if f == f_count:
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
    f_count = 1 + n_features + n_features * (n_features + 1) // 2
    state_length, fields = 1 + k_count + size, room[0][(2 * size + n_features) * LANES :]
    vectors, rest = points[: 3 * f_count * padded(k_count)], points[3 * f_count * padded(k_count) :]
    one, two, three = rest[:length], rest[length : 2 * length], rest[2 * length : 3 * length]
    kept_state, kept_fitted = rest[3 * length : 3 * length + state_length], rest[3 * length + state_length :]
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
        if extrapolated(point, one, two, k_count, n_features, fields, room[0], vectors, three):
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
        if start < stop:
            sign(point, k_count, n_features, vectors)
            if heads_for(vectors, f_count, units, value, known, start, stop, near):
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
    pad, length = padded(k_count), k_count * (1 + n_features + size)
    fields, single = 1 + n_features + size + f_count + size + n_features, (2 * size + n_features) * LANES
    room = (
        scratch(single + fields * pad + (2 + k_count) * stride, np.float64),
        scratch(k_count + k_count * (stride // WIDTH), np.int64),
    )
    spare = scratch(3 * length + 3 * f_count * pad + 1 + k_count + size + k_count * size, np.float64)
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
