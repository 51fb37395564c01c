"""The pieces that kernels are composed of. Each takes a strip of rows that fits in the L2 cache.

In a strip of S rows, feature d of row p is ``x[d * S + p]``; ``joint[k * S + p]`` belongs to component k.
Instructions come from `vector`; HEAD is the compile-time constant of `layout`.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import CHUNK
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import (
    above,
    add,
    divide,
    exp,
    kept,
    larger,
    load,
    log,
    lowest,
    multiply,
    multiply_add,
    outer,
    smaller,
    spread,
    squares,
    store,
    subtract,
    total,
    triangle,
    zeros,
)

HEAD = LANES
"""Set by `compile.build`: features before the first panel."""

FARTHEST = 1e300
"""Largest squared distance: without infinities a row's best component stays comparable."""


@part
def padded(n):
    """Rows of a strip rounded up to whole groups."""
    return (n + GROUP * LANES - 1) // (GROUP * LANES) * (GROUP * LANES)


@part
def load_columns(X, start, n, stride, centre, scale, x):
    """Standardise rows of X and lay them out by feature, with zero rows up to a whole group.

    x[d, p] = (X[start + p, d] − centre[d]) · scale[d]. Reads n × D numbers of X, writes as many. O(n D).
    """
    n_features = X.shape[1]
    for p in range(n):
        for d in range(n_features):
            x[d * stride + p] = (np.float64(X[start + p, d]) - centre[d]) * scale[d]
    for d in range(n_features):
        for p in range(n, padded(n)):
            x[d * stride + p] = 0.0


@part
def load_rows(x, n, stride, n_features, row_length, rows):
    """Lay the strip out by row as well: the head padded to LANES with zeros, then the panels. O(n D)."""
    for p in range(n):
        for d in range(HEAD):
            rows[p * row_length + d] = x[d * stride + p]
        for d in range(HEAD, LANES):
            rows[p * row_length + d] = 0.0
        for d in range(HEAD, n_features):
            rows[p * row_length + d + LANES - HEAD] = x[d * stride + p]


@part
def load_weights(sample_weight, start, n, row_weights):
    """Weights of a strip's rows: 1 where none are given, 0 for the padding."""
    for p in range(n):
        row_weights[p] = sample_weight[start + p] if sample_weight.size > 0 else 1.0
    for p in range(n, padded(n)):
        row_weights[p] = 0.0


@part
def log_joint(x, n, stride, n_features, n_components, means, log_constants, whiteners, z, joint, top):
    """Log-densities of all components at a strip's rows, weighted, and the largest of each row.

    joint[k, p] = log_constants[k] − ½ ‖W_k (x_p − μ_k)‖², top[p] = max_k joint[k, p].
    Reads x and the packed whiteners, writes joint and top. K n D(D+1)/2 FMA.
    """
    width = GROUP * LANES
    for p in range(0, n, width):
        store(spread(-np.inf, GROUP), top, p, 0)
    for k in range(n_components):
        constant = spread(log_constants[k], GROUP)
        for p in range(0, n, width):
            for d in range(n_features):
                store(
                    subtract(load(x, d * stride + p, 0, 1, GROUP), spread(means[k * n_features + d], GROUP)),
                    z,
                    d * width,
                    0,
                )
            w = k * (n_features * (n_features + 1) // 2)
            head = triangle(zeros(HEAD, GROUP), whiteners, w, z, 0, width)
            w += HEAD * (HEAD + 1) // 2
            distance = squares(zeros(1, GROUP), head)
            for first in range(HEAD, n_features, LANES):
                panel = zeros(LANES, GROUP)
                for c in range(first):
                    panel = outer(panel, whiteners, w, z, c * width)
                    w += LANES
                panel = triangle(panel, whiteners, w, z, first * width, width)
                w += LANES * (LANES + 1) // 2
                distance = squares(distance, panel)
            distance = smaller(distance, spread(FARTHEST, GROUP))
            value = multiply_add(distance, spread(-0.5, GROUP), constant)
            store(value, joint, k * stride + p, 0)
            store(larger(load(top, p, 0, 1, GROUP), value), top, p, 0)


@part
def normalise(joint, top, row_weights, n, stride, n_components, skip_below):
    """Turn joint log-densities into weighted responsibilities; return Σ_p w_p log Σ_k exp(joint[k, p]).

    joint[k, p] ← w_p γ_kp, or 0 where γ_kp ≤ skip_below. K n exponentials and n logarithms.
    """
    width = GROUP * LANES
    log_likelihood = zeros(1, GROUP)
    for p in range(0, n, width):
        peak = load(top, p, 0, 1, GROUP)
        mass = zeros(1, GROUP)
        for k in range(n_components):
            density = exp(subtract(load(joint, k * stride + p, 0, 1, GROUP), peak))
            store(density, joint, k * stride + p, 0)
            mass = add(mass, density)
        weight = load(row_weights, p, 0, 1, GROUP)
        log_likelihood = multiply_add(weight, add(peak, log(mass)), log_likelihood)
        factor = divide(weight, mass)
        floor = multiply(mass, spread(skip_below, GROUP))
        for k in range(n_components):
            density = load(joint, k * stride + p, 0, 1, GROUP)
            store(multiply(kept(density, floor), factor), joint, k * stride + p, 0)
    return total(log_likelihood)


@part
def whole_rows(joint, k, n, stride, active):
    """List the rows whose share of component k is not 0, in order; return how many."""
    count = 0
    for p in range(0, n, LANES):
        mask = above(load(joint, k * stride + p, 0, 1, 1), 0.0)
        while mask != 0:
            active[count] = p + lowest(mask)
            count += 1
            mask &= mask - 1
    return count


@part
def add_panel_moments(joint, k, n, stride, rows, row_length, mean, active, z, record, first_entry):
    """Add component k's moments over a strip, features in the lanes, rows without a share left out.

    record += Σ_p γ_p (1, z_p, lower triangle of z_p z_pᵀ), z = row − μ_k, via √γ z so that one scratch row serves
    both sides. Rows are taken CHUNK at a time, as many as stay in L1. D²/2 FMA for each row with a share.
    """
    count = whole_rows(joint, k, n, stride, active)
    for begin in range(0, count, CHUNK):
        size = min(CHUNK, count - begin)
        for j in range(size):
            p = active[begin + j]
            share = joint[k * stride + p]
            root = np.sqrt(share)
            record[first_entry] += share
            for d in range(0, row_length, LANES):
                centred = subtract(load(rows, p * row_length + d, 0, 1, 1), load(mean, k * row_length + d, 0, 1, 1))
                scaled = multiply(centred, spread(root, 1))
                store(scaled, z, j * row_length + d, 0)
                entry = first_entry + LANES + d
                store(multiply_add(scaled, spread(root, 1), load(record, entry, 0, 1, 1)), record, entry, 0)
        entry = first_entry + LANES + row_length
        corner = load(record, entry, LANES, HEAD, 1)
        for j in range(size):
            corner = outer(corner, z, j * row_length, z, j * row_length)
        store(corner, record, entry, LANES)
        entry += HEAD * LANES
        for first in range(LANES, row_length, LANES):
            length = first + LANES
            c = 0
            while c + 3 * LANES <= length:
                triple = load(record, entry + c, length, LANES, 3)
                for j in range(size):
                    triple = outer(triple, z, j * row_length + first, z, j * row_length + c)
                store(triple, record, entry + c, length)
                c += 3 * LANES
            if length - c == 2 * LANES:
                pair = load(record, entry + c, length, LANES, 2)
                for j in range(size):
                    pair = outer(pair, z, j * row_length + first, z, j * row_length + c)
                store(pair, record, entry + c, length)
            elif length - c == LANES:
                single = load(record, entry + c, length, LANES, 1)
                for j in range(size):
                    single = outer(single, z, j * row_length + first, z, j * row_length + c)
                store(single, record, entry + c, length)
            entry += LANES * length


@part
def push(nodes, levels, depth, block):
    """Merge the newest node with its left neighbours in the dyadic tree over block numbers; return the new depth.

    Blocks are pushed in order; ``nodes[depth]`` is the newest. A node of level l at place i joins the one below it if
    that is its sibling: same level and i odd. So sums depend on block numbers only, not on who forms them.
    """
    place = block
    levels[depth] = 0
    depth += 1
    while depth > 1 and place & 1 and levels[depth - 2] == levels[depth - 1]:
        for i in range(nodes.shape[1]):
            nodes[depth - 2, i] += nodes[depth - 1, i]
        levels[depth - 2] += 1
        depth -= 1
        place >>= 1
    return depth
