"""The fused pass with transported bounds: exact, but pairs of rows and components that cannot matter are not computed.

For every row and component the state keeps a lower bound of ‖W_k (x − μ_k)‖, for every row its best component, its
*home*, and an upper bound of the distance there. When parameters move, the bounds move along (`bounded_task`). A pair
whose bound puts it below `skip_below` of its row is skipped; the others are listed by component, and from there on
everything is done on the lists: nothing but the bounds is touched K times a row.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import CHUNK, HEADER, STEP, WIDTH
from fastgmm.kernels.listed import above, chosen, gathered, list_lanes, raise_listed, scatter
from fastgmm.kernels.moments import SINGLE, add_listed
from fastgmm.kernels.nodes import push
from fastgmm.kernels.rowwise import AHEAD, centre_rows, rows_distance
from fastgmm.kernels.strips import groups_of, load_rows, load_weights, scratch
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.vector import (
    add,
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
    total,
    widen,
    zeros,
)

REAL, WIDENED_GROUP = np.float64, GROUP
"""Set by `compile.build`: the numbers computed with, and how many vectors of float64 a group makes."""

HEAD, FARTHEST = PANEL, 1e300
"""Set by `compile.build`: features before the first panel, and the largest squared distance."""

SAFETY = 1.0 - 2.0**-20
"""Set by `compile.build`: factor on a distance before it becomes a bound, for the rounding of what is computed."""

SLACK = 2.0**-20
"""Share by which comparisons in float32 are loosened: 16 roundings."""

BOUND_LANES = 2 * LANES
"""Bounds are float32, also where rows are float64."""

FARTHEST_BOUND = 1e18
"""Its square is still a float32."""


@part
def reach_rows(start, n, stride, homes, distances, grow, shift, log_constants, log_skip, reach):
    """Write how far each row reaches: component k matters only if its distance² − 2 log_constants[k] is less.

    At home the distance is at most grow ‖y‖ + shift, which gives the row a density that others are measured by.
    Without a home everything matters. O(n).
    """
    largest = 0.0
    for k in range(log_constants.shape[0]):
        if log_constants[k] > -np.inf:
            largest = max(largest, 2.0 * np.abs(log_constants[k]))
    for p in range(n):
        k = homes[start + p]
        if k >= 0:
            most = grow[k] * distances[start + p] + shift[k]
            floor = most * most - 2.0 * log_constants[k] + 2.0 * log_skip
            reach[p] = floor + SLACK * (np.abs(floor) + largest)
        else:
            reach[p] = np.inf
    for p in range(n, stride):
        reach[p] = -np.inf


@part
def list_survivors(bounds, place, stride, factor, offset, level, reach, renew, listed, begin):
    """List the rows that component k's bounds do not rule out, from `begin` on; return how many.

    bound = max(factor · stored − offset, 0); ruled out if bound² + level ≥ reach. Half a cycle a pair. With `renew` the
    bounds are stored as they are now.
    """
    count, p = begin, 0
    while p < stride:
        stored = load(bounds, place + p, 0, 1, SINGLE)
        bound = multiply_add(stored, spread(factor, SINGLE), spread(-offset, SINGLE))
        bound = larger(bound, spread(np.float32(0.0), SINGLE))
        if renew:
            store(bound, bounds, place + p, 0)
        height = multiply_add(bound, bound, spread(level, SINGLE))
        mask = above(subtract(load(reach, p, 0, 1, SINGLE), height), np.float32(0.0))
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

    The list is filled up to whole vectors with its last row.
    """
    w = k * row_length * row_length
    whole = (count + LANES - 1) // LANES * LANES
    for j in range(count, whole):
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


@part
def sum_listed(end, listed, values, top, mass):
    """Turn the log-densities of all lists into densities relative to each row's largest; add these up in `mass`."""
    first = 0
    while first < end:
        store(exp(subtract(load(values, first, 0, 1, SINGLE), gathered(top, listed, first))), values, first, 0)
        first += LANES
    for j in range(end):
        mass[listed[j]] += values[j]


@part
def normalise_rows(groups, top, mass, row_weights, skip_below, factor, floor, log_likelihood):
    """Write what turns a row's densities into weighted responsibilities, and the density below which they are dropped.

    Returns the tile of log-likelihoods with w (top + log mass) added.
    """
    for g in range(groups):
        weight, sums = load(row_weights, g * WIDTH, 0, 1, GROUP), load(mass, g * WIDTH, 0, 1, GROUP)
        store(divide(weight, sums), factor, g * WIDTH, 0)
        store(multiply(sums, spread(REAL(skip_below), GROUP)), floor, g * WIDTH, 0)
        peak = widen(load(top, g * WIDTH, 0, 1, GROUP))
        log_likelihood = multiply_add(widen(weight), add(peak, log(widen(sums))), log_likelihood)
    return log_likelihood


@part
def keep_listed(k, begin, end, listed, values, factor, floor, homes, start, active, shares):
    """List a component's rows whose responsibility counts, and their weighted responsibilities; return how many.

    A row is at home where its density relative to its largest is 1.
    """
    count = 0
    for j in range(begin, end):
        p = listed[j]
        active[count] = p
        shares[count] = values[j] * factor[p]
        count += np.int64(values[j] > floor[p])
        if values[j] == 1.0:
            homes[start + p] = k
    for lane in range(LANES):
        shares[count + lane] = 0.0
    return count


@part
def measure_homes(start, n, top, log_constants, homes, distances):
    """Write an upper bound of each row's distance from its home, √(2 (log_constants[k] − top)). O(n)."""
    for p in range(n):
        k = homes[start + p]
        room = (1.0 - SAFETY) * (np.abs(log_constants[k]) + np.abs(top[p]))
        distances[start + p] = np.sqrt(max(2.0 * (log_constants[k] - top[p]), 0.0) + room) * (2.0 - SAFETY)


@part
def bounded_block(
    X, first, last, sample_weight, centre, scale, padded_means, log_constants, columns, factors, offsets,
    new_factors, new_offsets, grow, shift, log_skip, skip_below, renew, record, row_length, strip, bounds, homes,
    distances, node, rows, z, values, row_weights, reach, top, mass, factor, listed, begins,
    active, shares,
):  # fmt: skip
    """Write the sums of rows first … last−1 to `node`, as `expectation_block` does; node[1] counts evaluated pairs."""
    n_components, n_features = log_constants.shape[0], X.shape[1]
    node[:HEADER] = 0.0
    log_likelihood = zeros(np.float64, 1, WIDENED_GROUP)
    for start in range(first, last, strip):
        n = min(strip, last - start)
        groups, stride = groups_of(n), (n + STEP - 1) // STEP * STEP
        load_rows(X, start, n, centre, scale, row_length, rows)
        load_weights(sample_weight, start, n, row_weights)
        reach_rows(start, n, stride, homes, distances, grow, shift, log_constants, log_skip, reach)
        for p in range(groups * WIDTH):
            top[p] = -np.inf if p < n else 0.0
            mass[p] = 0.0 if p < n else 1.0
        end = 0
        for k in range(n_components):
            place = start * n_components + k * stride
            level = np.float32(-2.0 * log_constants[k])
            count = list_survivors(
                bounds, place, stride, np.float32(factors[k]), np.float32(offsets[k]), level, reach, renew, listed, end
            )
            evaluate_listed(
                k, end, count, listed, rows, row_length, padded_means, log_constants, columns, z, values, bounds,
                place, new_factors[k], new_offsets[k], top,
            )  # fmt: skip
            begins[k] = end
            end += count
        begins[n_components] = end
        node[1] += end
        sum_listed(end, listed, values, top, mass)
        log_likelihood = normalise_rows(groups, top, mass, row_weights, skip_below, factor, mass, log_likelihood)
        for k in range(n_components):
            if start == first:  # here, not all at once, so that it is still in the cache when it is added to
                node[HEADER + k * record : HEADER + (k + 1) * record] = 0.0
            count = keep_listed(k, begins[k], begins[k + 1], listed, values, factor, mass, homes, start, active, shares)
            add_listed(
                k, active, shares, count, n_features, rows, row_length, padded_means, z, node, HEADER + k * record
            )
        measure_homes(start, n, top, log_constants, homes, distances)
    node[0] = total(log_likelihood)


def bounded(
    t, parts, X, sample_weight, centre, scale, padded_means, log_constants, columns, factors, offsets, new_factors,
    new_offsets, grow, shift, log_skip, skip_below, renew, record, row_length, block, strip, bounds, homes, distances,
    first_block, nodes, levels, depths,
):  # fmt: skip
    """Sum the rows of X block by block, skipping pairs of rows and components that cannot matter.

    Everything is as in `expectation`, but for pairs below skip_below of their row. Bounds are read as
    factors[k] · bound − offsets[k] and written as (distance + new_offsets[k]) · new_factors[k]. Reads and renews
    `bounds` (strips, K, rows of a strip) of float32, `homes` and `distances` (n,); node[1] counts the pairs evaluated.
    """
    n_rows, n_components = X.shape[0], log_constants.shape[0]
    n_blocks = (n_rows + block - 1) // block
    rows = scratch(row_length * strip, REAL)
    rows[:] = 0.0
    z = scratch(row_length * CHUNK, REAL)
    values = scratch(n_components * strip + WIDTH + LANES, REAL)
    row_weights = scratch(strip, REAL)
    reach = scratch(strip, np.float32)
    top = scratch(strip, REAL)
    mass = scratch(strip, REAL)
    factor = scratch(strip, REAL)
    listed = np.zeros(n_components * strip + WIDTH + BOUND_LANES, dtype=np.int32)
    begins = np.empty(n_components + 1, dtype=np.int64)
    active = np.empty(strip + 1, dtype=np.int32)
    shares = scratch(strip + LANES + 1, REAL)
    depth = 0
    for b in range(n_blocks * t // parts, n_blocks * (t + 1) // parts):
        bounded_block(
            X, b * block, min((b + 1) * block, n_rows), sample_weight, centre, scale, padded_means,
            log_constants, columns, factors, offsets, new_factors, new_offsets, grow, shift, log_skip, skip_below,
            renew, record, row_length, strip, bounds, homes, distances, nodes[t, depth], rows, z, values,
            row_weights, reach, top, mass, factor, listed, begins, active, shares,
        )  # fmt: skip
        depth = push(nodes[t], levels[t], depth, first_block + b)
    depths[t] = depth
