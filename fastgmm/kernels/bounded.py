"""The fused pass with transported bounds: exact, but pairs of rows and components that cannot matter are not computed.

For every row and component the state keeps a lower bound of ‖W_k (x − μ_k)‖. When parameters move, the bound moves
along (`bounded_task.transport`). A pair whose bound puts it below 2⁻⁵³ of its row is skipped; the others are gathered
by component into whole groups, so that the same register tiles serve them as in the dense pass.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from fastgmm.kernels.compile import part
from fastgmm.kernels.density import FARTHEST, normalise, panels_distance
from fastgmm.kernels.layout import CHUNK, HEADER, WIDTH
from fastgmm.kernels.moments import SINGLE, add_moments
from fastgmm.kernels.nodes import push
from fastgmm.kernels.strips import clear_padding, groups_of, load_rows, load_weights, scratch
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import (
    above,
    larger,
    load,
    lowest,
    multiply,
    multiply_add,
    smaller,
    spread,
    sqrt,
    store,
    subtract,
    total,
    turned_rows,
    zeros,
)

HEAD = LANES
"""Set by `compile.build`: features before the first panel."""

SAFETY = 1.0 - 2.0**-22
"""Factor on a distance before it becomes a bound: room for its own rounding, and four roundings to float32."""


@part
def list_homes(homes, start, n, listed, counts, stride):
    """List each row under its home, the component that was best for it the last time (−1: none yet). O(n)."""
    for p in range(n):
        k = homes[start + p]
        if k >= 0:
            listed[k * stride + counts[k]] = p
            counts[k] += 1


@part
def list_survivors(
    bounds, pair, shrink, shift, log_constants, top, log_skip, homes, start, g, n, listed, counts, stride
):
    """Move a group's bounds along; list the rows of each component that these do not rule out, but not at home.

    ‖y'‖ ≥ shrink_k ‖y‖ − shift_k. Dead: log_constants[k] − ½ bound² ≤ top − log_skip. About one cycle a pair.
    """
    for v in range(0, WIDTH, LANES):
        first = g * WIDTH + v
        floor = subtract(load(top, first, 0, 1, SINGLE), spread(log_skip, SINGLE))
        for k in range(log_constants.shape[0]):
            place = (pair + k) * WIDTH + v
            bound = multiply_add(
                load(bounds, place, 0, 1, SINGLE), spread(shrink[k], SINGLE), spread(-shift[k], SINGLE)
            )
            bound = larger(bound, zeros(1, SINGLE))
            store(multiply(bound, spread(SAFETY, SINGLE)), bounds, place, 0)
            most = multiply_add(multiply(bound, bound), spread(-0.5, SINGLE), spread(log_constants[k], SINGLE))
            mask = above(subtract(most, floor), 0.0)
            while mask != 0:
                p = first + lowest(mask)
                mask &= mask - 1
                if p < n and homes[start + p] != k:
                    listed[k * stride + counts[k]] = p
                    counts[k] += 1


@part
def evaluate_listed(
    k, count, listed, begin, rows, row_length, n_features, padded_means, log_constants, whiteners, z, values,
    n_components, joint, bounds, pair, top, labels,
):  # fmt: skip
    """Compute component k for its listed rows, in groups; write densities, bounds, each row's best and its label."""
    w = k * (n_features * (n_features + 1) // 2)
    for j in range(count, groups_of(count) * WIDTH):
        listed[begin + j] = listed[begin + count - 1]
    for first in range(0, count, WIDTH):
        for v in range(0, WIDTH, LANES):
            place = 0
            for d in range(0, row_length, LANES):
                tile = turned_rows(rows, listed, begin + first + v, row_length, d, padded_means, k * row_length)
                store(tile, z, place * WIDTH + v, WIDTH)
                place = HEAD + d
        distance = smaller(panels_distance(z, n_features, whiteners, w), spread(FARTHEST, GROUP))
        store(multiply(sqrt(distance), spread(SAFETY, GROUP)), values, WIDTH, 0)
        store(multiply_add(distance, spread(-0.5, GROUP), spread(log_constants[k], GROUP)), values, 0, 0)
        for j in range(min(WIDTH, count - first)):
            p = listed[begin + first + j]
            entry = (p // WIDTH * n_components + k) * WIDTH + p % WIDTH
            joint[entry] = values[j]
            bounds[pair * WIDTH + entry] = values[WIDTH + j]
            if values[j] > top[p]:
                top[p] = values[j]
                labels[p] = k


@part
def evaluate_strip(
    start, n, n_features, padded_means, log_constants, whiteners, shrink, shift, log_skip, row_length, strip, bounds,
    homes, rows, z, values, joint, top, labels, listed, counts,
):  # fmt: skip
    """Write the log-joint densities of a strip's pairs, −inf for those that are ruled out; return how many are not.

    First each row at its home: that gives it a density which the others are measured by. Then the survivors.
    """
    n_components, groups, stride = log_constants.shape[0], groups_of(n), strip + WIDTH
    pair, evaluated = start // WIDTH * n_components, 0
    joint[: groups * n_components * WIDTH] = -np.inf
    for p in range(groups * WIDTH):
        top[p] = -np.inf if p < n else 0.0
    for at_home in (True, False):
        counts[:] = 0
        if at_home:
            list_homes(homes, start, n, listed, counts, stride)
        else:
            for g in range(groups):
                list_survivors(
                    bounds, pair + g * n_components, shrink, shift, log_constants, top, log_skip, homes, start, g, n,
                    listed, counts, stride,
                )  # fmt: skip
        for k in range(n_components):
            evaluated += counts[k]
            evaluate_listed(
                k, counts[k], listed, k * stride, rows, row_length, n_features, padded_means, log_constants, whiteners,
                z, values, n_components, joint, bounds, pair, top, labels,
            )  # fmt: skip
    for p in range(n):
        homes[start + p] = labels[p]
    clear_padding(joint, n, n_components)
    return evaluated


@part
def bounded_block(
    X, first, last, sample_weight, centre, scale, padded_means, log_constants, whiteners, shrink, shift,
    log_skip, skip_below, record, row_length, strip, bounds, homes, node,
    rows, z, values, joint, row_weights, top, labels, listed, counts, active, shares,
):  # fmt: skip
    """Write the sums of rows first … last−1 to `node`, as `expectation_block` does; node[1] counts evaluated pairs."""
    n_components, n_features = log_constants.shape[0], X.shape[1]
    node[:] = 0.0
    log_likelihood = zeros(1, GROUP)
    for start in range(first, last, strip):
        n = min(strip, last - start)
        load_rows(X, start, n, centre, scale, row_length, rows)
        load_weights(sample_weight, start, n, row_weights)
        node[1] += evaluate_strip(
            start, n, n_features, padded_means, log_constants, whiteners, shrink, shift, log_skip, row_length, strip,
            bounds, homes, rows, z, values, joint, top, labels, listed, counts,
        )  # fmt: skip
        groups = groups_of(n)
        for g in range(groups):
            peak = load(top, g * WIDTH, 0, 1, GROUP)
            log_likelihood = normalise(joint, g, n_components, peak, row_weights, skip_below, log_likelihood)
        for k in range(n_components):
            add_moments(
                joint, k, groups * WIDTH, n_components, rows, row_length, padded_means, active, shares, z, node,
                HEADER + k * record,
            )  # fmt: skip
    node[0] = total(log_likelihood)


def bounded(
    X, sample_weight, centre, scale, padded_means, log_constants, whiteners, shrink, shift,
    log_skip, skip_below, record, row_length, block, strip, bounds, homes, first_block, nodes, levels, depths,
):  # fmt: skip
    """Sum the rows of X block by block, skipping pairs of rows and components that cannot matter.

    Everything is as in `expectation`, but for pairs below skip_below of their row. Reads and renews `bounds` (groups,
    K, WIDTH) of float32 and `homes` (n,); node[1] counts the pairs that were evaluated.
    """
    n_rows, n_features = X.shape
    n_components = log_constants.shape[0]
    n_blocks = (n_rows + block - 1) // block
    parts = nodes.shape[0]
    for t in prange(parts):
        joint = scratch(n_components * strip)
        row_weights = scratch(strip)
        z = scratch(max((n_features + LANES) * WIDTH, row_length * CHUNK))
        values = scratch(2 * WIDTH)
        rows = scratch(row_length * strip)
        top = scratch(strip)
        labels = np.empty(strip, dtype=np.int32)
        listed = np.empty(n_components * (strip + WIDTH), dtype=np.int64)
        counts = np.empty(n_components, dtype=np.int64)
        active = np.empty(strip, dtype=np.int64)
        shares = scratch(strip + LANES)
        depth = 0
        for b in range(n_blocks * t // parts, n_blocks * (t + 1) // parts):
            bounded_block(
                X, b * block, min((b + 1) * block, n_rows), sample_weight, centre, scale, padded_means, log_constants,
                whiteners, shrink, shift, log_skip, skip_below, record, row_length, strip, bounds, homes,
                nodes[t, depth], rows, z, values, joint, row_weights, top, labels, listed, counts, active, shares,
            )  # fmt: skip
            depth = push(nodes[t], levels[t], depth, first_block + b)
        depths[t] = depth
