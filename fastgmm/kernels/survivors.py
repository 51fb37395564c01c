"""Survivors: which rows bounds do not rule out for a component, and what is computed of those that are listed."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import AHEAD
from fastgmm.kernels.listed import above, chosen, gathered, list_lanes, raise_listed, scatter
from fastgmm.kernels.moments import SINGLE
from fastgmm.kernels.rowwise import centre_rows, rows_distance
from fastgmm.kernels.target import LANES, PANEL
from fastgmm.kernels.vector import (
    exp,
    exp2_above,
    kept,
    larger,
    load,
    multiply,
    multiply_add,
    prefetch,
    smaller,
    spread,
    sqrt,
    store,
    subtract,
)

REAL, FARTHEST = np.float64, 1e300
"""Set by `compile.build`: the numbers computed with, and the largest squared distance."""

SAFETY = 1.0 - 2.0**-20
"""Set by `compile.build`: factor on a distance before it becomes a bound, for the rounding of what is computed."""

SLACK = 2.0**-20
"""Share by which comparisons in float32 are loosened: 16 roundings."""

BOUND_LANES = 2 * LANES
"""Bounds are float32, also where rows are float64."""

HALF_LOG2_E = 0.7213475204444817
"""From squared distances to powers of 2."""

ENOUGH = np.float32(1.0 - 2.0**-10)
"""What a row has to spare for pairs that bounds rule out: half of its allowance, less what float32 rounds."""

FAINT = 0.25
"""Part of a row's allowance below which its densities, beside the largest, are dropped if all of them can be."""

EARLY = 1024
"""Bounds by which memory is asked for before they are read: those of all components lie behind each other."""

FARTHEST_BOUND = 1e18
"""Its square is still a float32."""

BEYOND = np.float32(FARTHEST_BOUND)
"""A bound beyond all reach."""


@part
def largest_constant(log_constants):
    """Return the largest |log_constants[k]| that is finite: rounding of differences from it is a share of it."""
    largest = 0.0
    for k in range(log_constants.shape[0]):
        if log_constants[k] > -np.inf:
            largest = max(largest, np.abs(log_constants[k]))
    return largest


@part
def reach_rows(start, n, stride, homes, distances, grow, shift, log_constants, log_skip, reach):
    """Write how far each row reaches: component k matters only if its distance² − 2 log_constants[k] is less.

    At home the distance is at most grow ‖y‖ + shift, which gives the row a density that others are measured by, and
    is kept for rows that are not evaluated. Without a home everything matters. O(n).
    """
    largest = 2.0 * largest_constant(log_constants)
    for p in range(n):
        k = homes[start + p]
        if k >= 0:
            most = grow[k] * distances[start + p] + shift[k]
            distances[start + p] = most * (1.0 + SLACK)
            floor = most * most - 2.0 * log_constants[k] + 2.0 * log_skip
            reach[p] = floor + SLACK * (np.abs(floor) + largest)
        else:
            reach[p] = np.inf
    for p in range(n, stride):
        reach[p] = -np.inf


@part
def list_survivors(bounds, place, stride, factor, offset, level, reach, gain, spare, renew, listed, begin):
    """List the rows that component k's bounds do not rule out, from `begin` on; return how many.

    bound = max(factor · stored − offset, 0); ruled out if bound² + level ≥ reach. Half a cycle a pair. With a `gain` a
    pair is ruled out if its share, at most exp((reach − gain − bound² − level) / 2), can be taken off what its row has
    to `spare`. With `renew` the bounds are stored as they are now.
    """
    count, p = begin, 0
    while p < stride:
        stored = load(bounds, place + p, 0, 1, SINGLE)
        prefetch(bounds, place + p + EARLY, BOUND_LANES)
        bound = multiply_add(stored, spread(factor, SINGLE), spread(-offset, SINGLE))
        bound = larger(bound, spread(np.float32(0.0), SINGLE))
        if renew:
            store(bound, bounds, place + p, 0)
        height = multiply_add(bound, bound, spread(level, SINGLE))
        near = subtract(load(reach, p, 0, 1, SINGLE), height)
        if gain > np.float32(0.0):  # 0.95 of the time of a share for each pair: `bounded_task.SPENDS`
            left = load(spare, p, 0, 1, SINGLE)
            near = multiply(subtract(near, spread(gain, SINGLE)), spread(np.float32(HALF_LOG2_E), SINGLE))
            cost = exp2_above(near)
            taken = subtract(cost, kept(cost, left))
            store(subtract(left, taken), spare, p, 0)
            near = subtract(cost, left)
        mask = above(near, np.float32(0.0))
        list_lanes(np.float32, p, mask, listed, count)
        count += chosen(mask)
        p += BOUND_LANES
    return count - begin


@part
def evaluate_listed(
    k, begin, count, listed, rows, row_length, padded_means, log_constants, columns, z, values, bounds, place, factor,
    offset, top,
):  # fmt: skip
    """Compute component k for its listed rows: log-densities, new bounds, and each row's largest so far.

    The list is filled up to whole vectors with its last row, and what follows it restored.
    """
    if count == 0:
        return
    w = k * row_length * row_length
    whole = (count + LANES - 1) // LANES * LANES
    after = listed.shape[0] - whole + count
    for j in range(count, whole):
        listed[after + j - count] = listed[begin + j]
        listed[begin + j] = listed[begin + count - 1]
    first = 0
    while first < whole:
        size = min(AHEAD, whole - first)
        centre_rows(rows, row_length, padded_means, k * row_length, listed, begin + first, size, z)
        p = 0
        while p < size:
            rows_distance(z, p * row_length, row_length, columns, w, values, begin + first + p)
            p += PANEL
        first += AHEAD
    segment, i = bounds[place:], begin
    while i < begin + whole:
        distance = smaller(load(values, i, 0, 1, SINGLE), spread(REAL(FARTHEST), SINGLE))
        value = multiply_add(distance, spread(REAL(-0.5), SINGLE), spread(log_constants[k], SINGLE))
        store(value, values, i, 0)
        raise_listed(value, top, listed, i)
        bound = multiply_add(sqrt(distance), spread(REAL(SAFETY), SINGLE), spread(REAL(offset), SINGLE))
        bound = smaller(multiply(bound, spread(REAL(factor), SINGLE)), spread(REAL(FARTHEST_BOUND), SINGLE))
        scatter(bound, segment, listed, i)
        i += LANES
    for j in range(count, whole):
        listed[begin + j] = listed[after + j - count]


@part
def exponentials_listed(end, listed, values, top):
    """Turn the log-densities of all lists into densities relative to each row's largest."""
    for j in range(end, end + LANES):  # what fills the last vector
        values[j] = -FARTHEST
    first = 0
    while first < end:
        store(exp(subtract(load(values, first, 0, 1, SINGLE), gathered(top, listed, first))), values, first, 0)
        first += LANES


@part
def sum_listed(end, listed, values, sums, allowance, faint):
    """Add the densities of all lists up by rows, in float64: a share of 2⁻⁵³ beside 1 is to be told from none.

    With an `allowance` those that are FAINT beside it are also added up alone.
    """
    if allowance == 0.0:
        for j in range(end):
            sums[listed[j]] += values[j]
        return
    for j in range(end):
        p, value = listed[j], values[j]
        sums[p] += value
        faint[p] += value if value <= FAINT * allowance else REAL(0.0)


@part
def lower_floors(n, allowance, skip_below, sums, faint, spare, floor):
    """Write the densities below which rows' pairs are dropped: what is faint, if all of it can be spared.

    What bounds ruled out is counted: rows had ENOUGH to spare, in halves of the allowance.
    """
    for p in range(n):
        left = (0.4375 + 0.5 * np.float64(spare[p])) * allowance * sums[p]
        floor[p] = FAINT * allowance if faint[p] <= left else 0.875 * skip_below * sums[p]
