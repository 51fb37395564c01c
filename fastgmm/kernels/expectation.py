"""The fused pass: log-densities, responsibilities and sufficient statistics of a span of rows, reading them once."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.density import log_joint, normalise
from fastgmm.kernels.layout import AHEAD, CHUNK, HEADER, WIDTH
from fastgmm.kernels.moments import add_moments
from fastgmm.kernels.nodes import push
from fastgmm.kernels.products import gram
from fastgmm.kernels.strips import (
    give_others,
    groups_of,
    load_columns,
    load_rows,
    load_turned,
    load_weights,
    scratch,
    take_given,
    take_others,
    turn_rows,
)
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.vector import larger, load, total, zeros

REAL, WIDENED, WIDENED_GROUP = np.float64, 1, GROUP
"""Set by `compile.build`: the numbers computed with, and how many vectors of float64 one of them, and a group, make."""

GRAM, N_FEATURES = 1, 1
"""Set by `compile.build`: whether moments are summed by `vector.gram`, and for how many features."""

TURNED = 0
"""Set by `compile.build`: whether rows are turned before: float32 rows only."""


@part
def expectation_block(
    X, first, last, sample_weight, given, given_labels, centre, scale, means, padded_means, log_constants, whiteners,
    turn, others, others_given, skip_below, record, row_length, strip, node, x, rows, z, joint, row_weights, lanes,
    order, active, shares, wide,
):  # fmt: skip
    """Write the sums of rows first … last−1 to `node`: strip by strip, densities, responsibilities, moments.

    node = (log-likelihood, pairs that had a share (D > 8), …, a record of moments about μ_k for each component).
    Everything else is scratch.
    """
    n_components, n_features = log_constants.shape[0], X.shape[1]
    columns = n_components + (others.size > 0)
    node[:] = 0.0
    lanes[:] = 0.0
    log_likelihood = zeros(np.float64, 1, WIDENED_GROUP)
    for start in range(first, last, strip):
        n = min(strip, last - start)
        groups = groups_of(n)
        load_weights(sample_weight, start, n, row_weights)
        if TURNED:
            load_turned(X, start, n, centre, scale, turn, row_length, wide, rows)
            turn_rows(rows, n, n_features, row_length, order, x)
        elif GRAM:
            load_columns(X, start, n, centre, scale, order, x)
        else:
            load_rows(X, start, n, centre, scale, row_length, rows)
            turn_rows(rows, n, n_features, row_length, order, x)
        if given.size > 0 or given_labels.size > 0:
            take_given(given, given_labels, start, n, n_components, row_weights, joint)
        else:
            if others.size > 0:
                take_others(others, start, n, n_components, joint)
            for g in range(groups):
                at = g * columns * WIDTH
                top = log_joint(x, g, n_features, n_components, means, log_constants, whiteners, z, joint, at)
                if others.size > 0:
                    top = larger(top, load(joint, at + n_components * WIDTH, 0, 1, GROUP))
                log_likelihood = normalise(joint, g, columns, top, row_weights, skip_below, log_likelihood)
            if others.size > 0:
                give_others(joint, start, n, n_components, others_given)
        for k in range(n_components):
            if GRAM:
                gram(
                    lanes, k * record * LANES, joint, k * WIDTH, columns * WIDTH, x, groups, means,
                    k * n_features, N_FEATURES,
                )  # fmt: skip
            else:
                node[1] += add_moments(
                    joint, k, groups * WIDTH, columns, n_features, rows, row_length, padded_means, active, shares,
                    z, node, HEADER + k * record,
                )  # fmt: skip
    node[0] = total(log_likelihood)
    if GRAM:
        for i in range(n_components * record):
            node[HEADER + i] = total(load(lanes, i * LANES, 0, 1, WIDENED))


def expectation(
    t, parts, X, sample_weight, given, given_labels, centre, scale, means, padded_means, log_constants, whiteners,
    turn, others, others_given, skip_below, record, row_length, block, strip, first_block, nodes, levels, depths,
):  # fmt: skip
    """Sum the rows of X block by block; each part of the blocks leaves a stack of dyadic nodes.

    γ_k = exp(log_joint_k − log-sum-exp), node += γ_k w (1, z, zzᵀ), z = x − μ_k, in standardised coordinates.
    Reads X (n, D) once. Writes ``nodes[part, :depths[part]]`` and their levels. n K D² flop twice over.
    `given` responsibilities (n, K) or `given_labels` (n,), if not empty, take the place of the densities. `others`
    (n,), if not empty, are log-densities of components that are summed elsewhere; their weighted responsibilities go
    into `others_given` (n,). With `TURNED` rows are multiplied by `turn` first: means and sums are of turned rows.
    """
    n_rows, n_features = X.shape
    n_components = log_constants.shape[0]
    n_blocks = (n_rows + block - 1) // block
    x = scratch(n_features * strip + PANEL * WIDTH, REAL)
    joint = scratch((n_components + 1) * strip, REAL)
    row_weights = scratch(strip, REAL)
    z = scratch(row_length * CHUNK, REAL)
    rows = scratch(1 if GRAM and not TURNED else row_length * strip, REAL)
    rows[:] = 0.0
    wide = scratch(row_length * AHEAD if TURNED else 1, np.float64)
    wide[:] = 0.0
    order = scratch(strip, np.int32)
    for p in range(strip):
        order[p] = p
    active = scratch(strip + LANES, np.int32)
    shares = scratch(strip + LANES, REAL)
    lanes = scratch(n_components * record * LANES if GRAM else 1, np.float64)
    depth = 0
    for b in range(n_blocks * t // parts, n_blocks * (t + 1) // parts):
        expectation_block(
            X, b * block, min((b + 1) * block, n_rows), sample_weight, given, given_labels, centre, scale, means,
            padded_means, log_constants, whiteners, turn, others, others_given, skip_below, record, row_length, strip,
            nodes[t, depth], x, rows, z, joint, row_weights, lanes, order, active, shares, wide,
        )  # fmt: skip
        depth = push(nodes[t], levels[t], depth, first_block + b)
    depths[t] = depth
