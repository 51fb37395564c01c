"""The fused pass with transported bounds: exact, but pairs of rows and components that cannot matter are not computed.

For every row and component the state keeps a lower bound of ‖W_k (x − μ_k)‖, for every row its best component, its
*home*, and an upper bound of the distance there. When parameters move, the bounds move along (`bounded_task`). A pair
whose bound puts it below `skip_below` of its row is skipped; the others are listed by component, and from there on
everything is done on the lists: nothing but the bounds is touched K times a row.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.homes import (
    evaluate_homes,
    evaluate_strip,
    list_strip,
    list_unsettled,
    load_listed,
    sort_homes,
)
from fastgmm.kernels.layout import CHUNK, HEADER, STEP, WIDTH
from fastgmm.kernels.listed import above, chosen, gathered, pack_lanes, pick_lanes
from fastgmm.kernels.moments import SINGLE, add_listed
from fastgmm.kernels.nodes import push
from fastgmm.kernels.settled import (
    any_settled,
    close_seen,
    count_homes,
    evaluate_own,
    look_at,
    mark_alone,
    open_listed,
    owed_likelihood,
    pay_debts,
    settle_debts,
    settle_rows,
)
from fastgmm.kernels.strips import groups_of, load_rows, load_weights, scratch
from fastgmm.kernels.survivors import (
    BOUND_LANES,
    ENOUGH,
    exponentials_listed,
    lower_floors,
    reach_rows,
    sum_listed,
)
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import (
    add,
    divide,
    load,
    log,
    multiply,
    multiply_add,
    spread,
    store,
    subtract,
    total,
    widen,
    zeros,
)

REAL, WIDENED_GROUP = np.float64, GROUP
"""Set by `compile.build`: the numbers computed with, and how many vectors of float64 a group makes."""

BELOW_ONE = 1.0 - 2.0**-53
"""Set by `compile.build`: the number before 1."""

SAFETY = 1.0 - 2.0**-20
"""Set by `compile.build`: factor on a distance before it becomes a bound, for the rounding of what is computed."""


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
    # Row by row: d16k128, 5 times as long, 0.1 of the pass.
    count, j = 0, begin
    while j < end:
        there = (1 << min(end - j, LANES)) - 1
        density = load(values, j, 0, 1, SINGLE)
        mask = above(subtract(density, gathered(floor, listed, j)), REAL(0.0)) & there
        share = multiply(density, gathered(factor, listed, j))
        best = above(density, REAL(BELOW_ONE)) & there
        if best:
            pick_lanes(REAL, listed, j, best, active, count)
            for i in range(chosen(best)):
                homes[start + active[count + i]] = k
        pick_lanes(REAL, listed, j, mask, active, count)
        pack_lanes(share, mask, shares, count)
        count += chosen(mask)
        j += LANES
    store(zeros(REAL, 1, SINGLE), shares, count, 0)
    return count


@part
def measure_homes(start, n, opened, top, log_constants, homes, distances):
    """Write an upper bound of each opened row's distance from its home, √(2 (log_constants[k] − top)). O(n)."""
    for p in range(n):
        if opened[p] == 1:
            k = homes[start + p]
            room = (1.0 - SAFETY) * (np.abs(log_constants[k]) + np.abs(top[p]))
            distances[start + p] = np.sqrt(max(2.0 * (log_constants[k] - top[p]), 0.0) + room) * (2.0 - SAFETY)


@part
def sum_strip(
    start, stride, fresh, settle, n_features, record, begins, listed, values, factor, floor, homes, alone, row_weights,
    settled, bounds, n_owing, owing, owes, owed, rows, row_length, padded_means, z, active, shares, entering, weights,
    node,
):  # fmt: skip
    """Add the moments of a strip's listed rows to `node`, component by component; return how many pairs had a share."""
    n_components, computed = begins.shape[0] - 1, 0
    for k in range(n_components):
        entry = HEADER + k * record
        behind = entry + n_components * record
        if fresh:  # here, not all at once, so that it is still in the cache when it is added to
            node[entry : entry + record] = 0.0
            if settle:
                node[behind : behind + record] = 0.0
        kept = keep_listed(k, begins[k], begins[k + 1], listed, values, factor, floor, homes, start, active, shares)
        computed += kept
        if settle:
            place = start * n_components + k * stride
            stay = settle_rows(
                k, start, place, kept, active, shares, alone, row_weights, settled, bounds, entering, weights
            )
            add_listed(k, entering, weights, kept - stay, n_features, rows, row_length, padded_means, z, node, behind)
            kept = stay
        add_listed(k, active, shares, kept, n_features, rows, row_length, padded_means, z, node, entry)
        if n_owing > 0 and owes[k] > 0:
            pay_debts(
                k, start, n_owing, owing, settled, owed, factor, active, shares, n_features, rows, row_length,
                padded_means, z, node, entry, record,
            )  # fmt: skip
    return computed


@part
def bounded_block(
    X, first, last, sample_weight, centre, scale, padded_means, log_constants, columns, factors, offsets,
    new_factors, new_offsets, grow, shift, log_skip, skip_below, allowance, homes_first, renew, settle, record,
    row_length, strip, bounds, homes, distances, settled, node, rows, z, values, row_weights, reach, top, sums, mass,
    factor, owed, listed, begins, opened, alone, at, active, shares, looked, owing, owes, entering, weights, ends,
    homed, near, fresh, spare, faint,
):  # fmt: skip
    """Write the sums of rows first … last−1 to `node`, as `expectation_block` does.

    node[1] counts evaluated pairs, node[2] rows that are alone and not settled before, node[3] settled rows that are
    not alone. Rows that settle add to the records behind. Returns how many densities and moments were computed.
    """
    n_components, n_features = log_constants.shape[0], X.shape[1]
    node[:HEADER] = 0.0
    computed, owed_sum = 0, 0.0
    log_likelihood = zeros(np.float64, 1, WIDENED_GROUP)
    for start in range(first, last, strip):
        n = min(strip, last - start)
        groups, stride = groups_of(n), (n + STEP - 1) // STEP * STEP
        load_weights(sample_weight, start, n, row_weights)
        reach_rows(start, n, stride, homes, distances, grow, shift, log_constants, log_skip, reach)
        some = any_settled(start, n, stride, n_components, settle, False, bounds, settled)
        for p in range(groups * WIDTH):
            top[p], sums[p] = (-np.inf, 0.0) if p < n else (0.0, 1.0)
        spare[:stride], faint[:n] = ENOUGH, 0.0
        unsettled = list_unsettled(start, n, settled, looked)
        if some:
            load_listed(X, start, unsettled, looked, centre, scale, row_length, rows)
        else:
            load_rows(X, start, n, centre, scale, row_length, rows)
        sort_homes(start, unsettled if homes_first else 0, looked, homes, ends, homed)
        evaluate_homes(
            ends, homed, rows, row_length, padded_means, log_constants, columns, z, near, fresh, new_factors,
            new_offsets, log_skip, top, reach,
        )  # fmt: skip
        whole = list_strip(
            start, stride, bounds, factors, offsets, log_constants, log_skip, allowance, reach, spare, renew, ends,
            homed, fresh, listed, begins,
        )  # fmt: skip
        opened[:n], n_looked = 1, 0
        if some:
            if renew:
                any_settled(start, n, stride, n_components, settle, True, bounds, settled)
            n_looked = open_listed(start, n, whole, listed, settled, opened, top, sums, looked)
            load_listed(X, start, n_looked, looked, centre, scale, row_length, rows)
        evaluate_strip(
            start, stride, begins, ends, near, listed, rows, row_length, padded_means, log_constants, columns, z,
            values, bounds, new_factors, new_offsets, top,
        )  # fmt: skip
        end, n_owing = whole, 0
        if some:
            n_owing = look_at(n_looked, log_constants, reach, opened, top, sums, looked, owing)
            count_homes(start, n_owing, owing, settled, owes)
            end = evaluate_own(
                start, stride, n_owing, owing, owes, settled, end, listed, at, rows, row_length, padded_means,
                log_constants, columns, z, values, bounds, new_factors, new_offsets, top,
            )  # fmt: skip
            owed_sum += owed_likelihood(n_owing, owing, at, values, row_weights)
        exponentials_listed(end, listed, values, top)
        sum_listed(whole, listed, values, sums, allowance, faint)
        if some:
            close_seen(n_looked, looked, opened, top)
            n_owing = settle_debts(start, n_owing, owing, settled, at, values, sums, skip_below, homes, owed)
            count_homes(start, n_owing, owing, settled, owes)
        node[1] += end
        node[2] += mark_alone(start, n, sums, skip_below, settled, alone)
        node[3] += n_owing
        for p in range(groups * WIDTH):
            mass[p] = sums[p]
        log_likelihood = normalise_rows(groups, top, mass, row_weights, skip_below, factor, mass, log_likelihood)
        if allowance > 0.0:
            lower_floors(n, allowance, skip_below, sums, faint, spare, mass)
        computed += end + sum_strip(
            start, stride, start == first, settle, n_features, record, begins, listed, values, factor, mass, homes,
            alone, row_weights, settled, bounds, n_owing, owing, owes, owed, rows, row_length, padded_means, z, active,
            shares, entering, weights, node,
        )  # fmt: skip
        measure_homes(start, n, opened, top, log_constants, homes, distances)
    node[0] = total(log_likelihood) - owed_sum
    return computed


def bounded(
    t, parts, X, sample_weight, centre, scale, padded_means, log_constants, columns, factors, offsets, new_factors,
    new_offsets, grow, shift, log_skip, skip_below, allowance, homes_first, renew, settle, record, row_length, block,
    strip, cuts, bounds, homes, distances, settled, work, first_block, nodes, levels, depths,
):  # fmt: skip
    """Sum the rows of X block by block, skipping pairs of rows and components that cannot matter.

    Everything is as in `expectation`, but for pairs below skip_below of their row. Bounds are read as
    factors[k] · bound − offsets[k] and written as (distance + new_offsets[k]) · new_factors[k]. Reads and renews
    `bounds` (strips, K, rows of a strip) of float32, `homes` and `distances` (n,); node[1] counts the pairs evaluated.
    With an `allowance` a row loses no more than that in all, instead of skip_below a pair; rows are alone up to
    skip_below. With `homes_first` rows' homes are evaluated before bounds are compared.
    With `settle` rows that are alone are settled: `settled` (n,) takes their homes, else −1, and records of their sums
    follow on the others. Without, rows that are settled already are left out, but for what changed (`kernels.settled`).
    Part t takes the run of blocks cuts[t] … cuts[t + 1] − 1, part 0 also what is behind all parts', if there is one
    more; each leaves a stack of nodes. `work` (blocks,) tells what each block was.
    """
    n_rows, n_components = X.shape[0], log_constants.shape[0]
    rows = scratch(row_length * strip, REAL)
    rows[:] = 0.0
    z = scratch(row_length * CHUNK, REAL)
    values = scratch(n_components * strip + WIDTH + LANES, REAL)
    row_weights = scratch(strip, REAL)
    reach = scratch(strip, np.float32)
    top = scratch(strip, REAL)
    sums = scratch(strip, np.float64)
    mass = scratch(strip, REAL)
    factor = scratch(strip, REAL)
    owed = scratch(strip, REAL)
    listed = np.zeros(n_components * strip + WIDTH + BOUND_LANES + LANES, dtype=np.int32)
    begins = np.empty(n_components + 1, dtype=np.int64)
    opened = np.zeros(strip, dtype=np.int32)
    alone = np.zeros(strip, dtype=np.int32)
    at = np.zeros(strip, dtype=np.int32)
    active = np.empty(strip + LANES, dtype=np.int32)
    shares = scratch(strip + LANES + 1, REAL)
    looked = np.empty(strip + 1, dtype=np.int32)
    owing = np.empty(strip, dtype=np.int32)
    owes = np.empty(n_components, dtype=np.int32)
    entering = np.empty(strip, dtype=np.int32)
    weights = scratch(strip + LANES + 1, REAL)
    ends = np.empty(n_components + 2, dtype=np.int64)
    homed = np.zeros(strip + 2 * LANES, dtype=np.int32)
    near = scratch(strip + LANES, REAL)
    fresh = scratch(strip, np.float32)
    spare = scratch(strip, np.float32)
    faint = scratch(strip, REAL)
    for run in range(t, depths.shape[0], parts):
        depth = 0
        for b in range(cuts[run], cuts[run + 1]):
            work[b] = bounded_block(
                X, b * block, min((b + 1) * block, n_rows), sample_weight, centre, scale, padded_means,
                log_constants, columns, factors, offsets, new_factors, new_offsets, grow, shift, log_skip, skip_below,
                allowance, homes_first, renew, settle, record, row_length, strip, bounds, homes, distances, settled,
                nodes[run, depth], rows, z, values, row_weights, reach, top, sums, mass, factor, owed, listed, begins,
                opened, alone, at, active, shares, looked, owing, owes, entering, weights, ends, homed, near, fresh,
                spare, faint,
            )  # fmt: skip
            depth = push(nodes[run], levels[run], depth, first_block + b)
        depths[run] = depth
