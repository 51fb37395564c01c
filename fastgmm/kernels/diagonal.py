"""The fused pass for diagonal and spherical covariances, and for one that all share: O(D) a pair of row and component.

With ``TURNED`` rows are multiplied by a matrix first, once: the whitener of a shared covariance, which leaves the
identity to every component. Only the diagonals of second moments are summed, or their traces, or none.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import inner_part, part
from fastgmm.kernels.density import normalise
from fastgmm.kernels.layout import HEADER, WIDTH
from fastgmm.kernels.nodes import push
from fastgmm.kernels.products import centred_squares, outer
from fastgmm.kernels.strips import groups_of, load_columns, load_weights, scratch, take_given
from fastgmm.kernels.target import FEW, GROUP, LANES, PANEL
from fastgmm.kernels.vector import (
    accumulate,
    add,
    column,
    folded,
    larger,
    load,
    multiply,
    multiply_add,
    prefetch,
    row,
    smaller,
    spread,
    store,
    subtract,
    total,
    zeros,
)

REAL, WIDENED, WIDENED_GROUP = np.float64, 1, GROUP
"""Set by `compile.build`: the numbers computed with, and how many vectors of float64 one of them, and a group, make."""

FARTHEST = 1e300
"""Largest squared distance, set by `compile.build`: without infinities a row's best component stays comparable."""

TURNED, SCALED, SPHERICAL = 0, 1, 0
"""Set by `compile.build`, one of them 1: whether rows are turned; or differences scaled, feature by feature, and their
squares summed; or whole distances scaled, each component's by one number, and summed."""


@part
def turn_columns(x, groups, n_features, panels, y):
    """Multiply every group's columns by a matrix: y = T x. PANEL rows of T × GROUP vectors at a time; D² FMA a row.

    T lies in panels of PANEL rows, by columns. The last panel of a group may write into the next one, which follows.
    """
    for g in range(groups):
        first, d = g * n_features * WIDTH, 0
        while d < n_features:
            tile = zeros(REAL, PANEL, GROUP)
            for c in range(n_features):
                tile = outer(tile, panels, d * n_features + c * PANEL, x, first + c * WIDTH)
            store(tile, y, first + d * WIDTH, WIDTH)
            d += PANEL


@inner_part
def log_density(distance, k, scales, log_constants, joint, at, distances):
    """Write a component's weighted log-density from its distance, and, spherical, the distance in its units."""
    if SPHERICAL:
        distance = multiply(distance, spread(scales[k], GROUP))
    distance = smaller(distance, spread(REAL(FARTHEST), GROUP))
    if SPHERICAL:
        store(distance, distances, k * WIDTH, 0)
    value = multiply_add(distance, spread(REAL(-0.5), GROUP), spread(log_constants[k], GROUP))
    store(value, joint, at + k * WIDTH, 0)
    return value


@part
def diagonal_joint(x, first, n_features, n_components, means, scales, log_constants, joint, at, distances):
    """Write the weighted log-densities of a group from joint[at] on; return the largest of each row.

    joint[k, p] = log_constants[k] − ½ Σ_d ((x_pd − μ_kd) s_kd)². Spherical components have one s² each instead; then
    distances[k, p] = s²_k Σ_d (x_pd − μ_kd)².
    """
    # Two components at a time load a row's numbers once for both. Zen 5, a pass in units of that with one at a time,
    # spherical / scaled / turned: d16k32 0.95 / 0.99 / 0.95, d4k8 0.92 / 0.97 / 0.97.
    top = spread(REAL(-np.inf), GROUP)
    k = 0
    while k + 2 <= n_components:
        both = centred_squares(x, first, WIDTH, n_features, means, k * n_features, 2, scales, SCALED)
        top = larger(top, log_density(row(both, 0), k, scales, log_constants, joint, at, distances))
        top = larger(top, log_density(row(both, 1), k + 1, scales, log_constants, joint, at, distances))
        k += 2
    if k < n_components:
        one = centred_squares(x, first, WIDTH, n_features, means, k * n_features, 1, scales, SCALED)
        top = larger(top, log_density(one, k, scales, log_constants, joint, at, distances))
    return top


@part
def add_traces(joint, first, n_components, distances, record, lanes, entry):
    """Add Σ γ s² ‖x − μ_k‖² of a group to each component's record in `lanes`, at `entry`."""
    for k in range(n_components):
        share = load(joint, first + k * WIDTH, 0, 1, GROUP)
        terms = multiply(share, load(distances, k * WIDTH, 0, 1, GROUP))
        accumulate(folded(terms), lanes, k * record * LANES + entry, 0)


@part
def add_diagonal(joint, k, groups, n_components, x, n_features, means, length, lanes, entry):
    """Add Σ γ (1, z, z²), z = x − μ_k, of a strip to `lanes` from `entry` on, each sum in LANES numbers; z² if scaled.

    FEW features at a time: their sums, GROUP vectors each, stay in registers. What is summed beyond the last feature is
    of no account.
    """
    shares = zeros(REAL, 1, GROUP)
    for g in range(groups):
        shares = add(shares, load(joint, (g * n_components + k) * WIDTH, 0, 1, GROUP))
    accumulate(folded(shares), lanes, entry, 0)
    d, place = 0, entry + LANES
    while d < n_features:
        first, second = zeros(REAL, FEW, GROUP), zeros(REAL, FEW, GROUP)
        centre = column(first, means, k * n_features + d)
        for g in range(groups):
            share = load(joint, (g * n_components + k) * WIDTH, 0, FEW, GROUP)
            z = subtract(load(x, (g * n_features + d) * WIDTH, WIDTH, FEW, GROUP), centre)
            if SCALED:
                scaled = multiply(share, z)
                first = add(first, scaled)
                second = multiply_add(scaled, z, second)
            else:
                first = multiply_add(share, z, first)
        accumulate(folded(first), lanes, place, LANES)
        if SCALED:
            accumulate(folded(second), lanes, place + length * LANES, LANES)
        place += FEW * LANES
        d += FEW


@part
def diagonal_block(
    X, first, last, sample_weight, given, given_labels, centre, scale, panels, means, scales, log_constants, skip_below,
    length, record, strip, node, x, y, joint, distances, row_weights, lanes, order,
):  # fmt: skip
    """Write the sums of rows first … last−1 to `node`: (log-likelihood, …, n, Σγz, Σγz² for each component).

    Everything else is scratch. While a strip is worked on, the next one's rows are fetched: they come from memory.
    """
    n_components, n_features = log_constants.shape[0], X.shape[1]
    lanes[:] = 0.0
    log_likelihood = zeros(np.float64, 1, WIDENED_GROUP)
    for start in range(first, last, strip):
        n = min(strip, last - start)
        groups = groups_of(n)
        load_weights(sample_weight, start, n, row_weights)
        load_columns(X, start, n, centre, scale, order, x)
        if TURNED:
            turn_columns(x, groups, n_features, panels, y)
        if given.size > 0 or given_labels.size > 0:
            take_given(given, given_labels, start, n, n_components, row_weights, joint)
        else:
            for g in range(groups):
                prefetch(X, (start + n + g * WIDTH) * n_features, WIDTH * n_features)
                top = diagonal_joint(
                    y if TURNED else x, g * n_features * WIDTH, n_features, n_components, means, scales, log_constants,
                    joint, g * n_components * WIDTH, distances,
                )  # fmt: skip
                log_likelihood = normalise(joint, g, n_components, top, row_weights, skip_below, log_likelihood)
                if SPHERICAL:
                    at = (1 + length) * LANES
                    add_traces(joint, g * n_components * WIDTH, n_components, distances, record, lanes, at)
        for k in range(n_components):
            entry = k * record * LANES
            add_diagonal(joint, k, groups, n_components, y if TURNED else x, n_features, means, length, lanes, entry)
    node[:] = 0.0
    node[0] = total(log_likelihood)
    for i in range(n_components * record):
        node[HEADER + i] = total(load(lanes, i * LANES, 0, 1, WIDENED))


def diagonal(
    t, parts, X, sample_weight, given, given_labels, centre, scale, panels, means, scales, log_constants, skip_below,
    length, record, block, strip, first_block, nodes, levels, depths,
):  # fmt: skip
    """Sum the rows of X block by block; each part of the blocks leaves a stack of dyadic nodes.

    γ_k = exp(log_joint_k − log-sum-exp), node += γ_k w (1, z, z²), z = y − μ_k, y = x in standardised coordinates, or
    T x. Reads X (n, D) once. Writes ``nodes[part, :depths[part]]`` and their levels. 6 n K D flop, and 2 n D² to turn.
    `given` responsibilities (n, K) or `given_labels` (n,), if not empty, take the place of the densities; not so of
    spherical ones, whose distances are summed. A record is of 1 + 2 · `length` numbers, `length` being D rounded up to
    FEW; of 1 + `length` turned, and of 2 + `length` spherical: the last is Σγ s² ‖z‖².
    """
    # The next strip fetched ahead, Zen 5, a pass in units of one without, spherical / scaled / turned: d16k32 0.93 /
    # 0.92 / 0.90, d4k8 0.81 / 0.83 / 0.81.
    n_rows, n_features = X.shape
    n_components = log_constants.shape[0]
    n_blocks = (n_rows + block - 1) // block
    x = scratch(n_features * strip + PANEL * WIDTH, REAL)
    y = scratch(n_features * strip + PANEL * WIDTH if TURNED else 1, REAL)
    x[:] = 0.0
    joint = scratch(n_components * strip, REAL)
    distances = scratch(n_components * WIDTH if SPHERICAL else 1, REAL)
    row_weights = scratch(strip, REAL)
    order = np.arange(strip).astype(np.int32)
    lanes = scratch(n_components * record * LANES, np.float64)
    depth = 0
    for b in range(n_blocks * t // parts, n_blocks * (t + 1) // parts):
        diagonal_block(
            X, b * block, min((b + 1) * block, n_rows), sample_weight, given, given_labels, centre, scale, panels,
            means, scales, log_constants, skip_below, length, record, strip, nodes[t, depth], x, y, joint, distances,
            row_weights, lanes, order,
        )  # fmt: skip
        depth = push(nodes[t], levels[t], depth, first_block + b)
    depths[t] = depth
