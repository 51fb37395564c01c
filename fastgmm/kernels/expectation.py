"""The fused pass: log-densities, responsibilities and sufficient statistics of a span of rows, reading them once."""

from __future__ import annotations

import numpy as np
from numba import prange

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import CHUNK, HEADER
from fastgmm.kernels.parts import (
    add_panel_moments,
    load_columns,
    load_rows,
    load_weights,
    log_joint,
    normalise,
    padded,
    push,
)
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import gram, load, total

GRAM, N_FEATURES = 1, 1
"""Set by `compile.build`: whether moments are summed by `vector.gram`, and for how many features."""


@part
def take_given(given, given_labels, start, n, strip, n_components, row_weights, joint):
    """Fill a strip's responsibilities from given ones (rows, K), or from labels, times the rows' weights."""
    for k in range(n_components):
        for p in range(n):
            if given.size > 0:
                share = given[start + p, k]
            else:
                share = 1.0 if given_labels[start + p] == k else 0.0
            joint[k * strip + p] = share * row_weights[p]
        for p in range(n, padded(n)):
            joint[k * strip + p] = 0.0


@part
def expectation_block(
    X, first, last, sample_weight, given, given_labels, centre, scale, means, padded_means, log_constants, whiteners,
    skip_below, record, row_length, strip, node, x, rows, z, joint, top, row_weights, lanes, active,
):  # fmt: skip
    """Write the sums of rows first … last−1 to `node`: strip by strip, densities, responsibilities, moments.

    node = (log-likelihood, …, a record of moments about μ_k for each component). Everything else is scratch.
    """
    n_components, n_features = log_constants.shape[0], X.shape[1]
    node[:] = 0.0
    lanes[:] = 0.0
    for start in range(first, last, strip):
        n = min(strip, last - start)
        load_columns(X, start, n, strip, centre, scale, x)
        load_weights(sample_weight, start, n, row_weights)
        if given.size > 0 or given_labels.size > 0:
            take_given(given, given_labels, start, n, strip, n_components, row_weights, joint)
        else:
            log_joint(x, n, strip, n_features, n_components, means, log_constants, whiteners, z, joint, top)
            node[0] += normalise(joint, top, row_weights, n, strip, n_components, skip_below)
        if GRAM:
            for k in range(n_components):
                gram(
                    lanes, k * record * LANES, joint, k * strip, x, strip, padded(n), means, k * n_features, N_FEATURES
                )
        else:
            load_rows(x, n, strip, n_features, row_length, rows)
            for k in range(n_components):
                add_panel_moments(
                    joint, k, n, strip, rows, row_length, padded_means, active, z, node, HEADER + k * record
                )
    if GRAM:
        for i in range(n_components * record):
            node[HEADER + i] = total(load(lanes, i * LANES, 0, 1, 1))


def expectation(
    X, sample_weight, given, given_labels, centre, scale, means, padded_means, log_constants, whiteners,
    skip_below, record, row_length, block, strip, first_block, nodes, levels, depths,
):  # fmt: skip
    """Sum the rows of X block by block; each part of the blocks leaves a stack of dyadic nodes.

    γ_k = exp(log_joint_k − log-sum-exp), node += γ_k w (1, z, zzᵀ), z = x − μ_k, in standardised coordinates.
    Reads X (n, D) once. Writes ``nodes[part, :depths[part]]`` and their levels. n K D² flop twice over.
    `given` responsibilities (n, K) or `given_labels` (n,), if not empty, take the place of the densities.
    """
    n_rows, n_features = X.shape
    n_components = log_constants.shape[0]
    n_blocks = (n_rows + block - 1) // block
    parts = nodes.shape[0]
    for t in prange(parts):
        x = np.empty(n_features * strip)
        joint = np.empty(n_components * strip)
        top = np.empty(strip)
        row_weights = np.empty(strip)
        z = np.empty(max(n_features * GROUP * LANES, row_length * CHUNK))
        rows = np.empty(1 if GRAM else row_length * strip)
        active = np.empty(strip, dtype=np.int64)
        lanes = np.empty(n_components * record * LANES if GRAM else 1)
        depth = 0
        for b in range(n_blocks * t // parts, n_blocks * (t + 1) // parts):
            expectation_block(
                X, b * block, min((b + 1) * block, n_rows), sample_weight, given, given_labels, centre, scale, means,
                padded_means, log_constants, whiteners, skip_below, record, row_length, strip, nodes[t, depth],
                x, rows, z, joint, top, row_weights, lanes, active,
            )  # fmt: skip
            depth = push(nodes[t], levels[t], depth, first_block + b)
        depths[t] = depth
