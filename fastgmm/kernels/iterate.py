"""Several iterations of EM for VVV in one call, for rows that are few: pass, M-step, factors, and again.

Of rows that take microseconds, an iteration from Python takes 0.1 ms. The kernels that it consists of are called here
by their addresses: the same machine code, so the same bits, and nothing of them is compiled twice.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.launch import call_part
from fastgmm.kernels.layout import HEADER
from fastgmm.kernels.nodes import collapse

RUNNING, RESTS, DEGENERATE = 0, 1, 2
"""How a call ends: out of turns, converged, or at a covariance that is not positive definite."""


@part
def unpack(sums, record, moments, sum_w, sum_x, sum_xx):
    """Take n, m and S of every component from their records; `moments` are places in one, (D + 1, D + 1)."""
    n_components, n_features = sum_x.shape
    for k in range(n_components):
        entry = HEADER + k * record
        sum_w[k] = sums[entry + moments[0, 0]]
        for d in range(n_features):
            sum_x[k, d] = sums[entry + moments[1 + d, 0]]
            for c in range(n_features):
                sum_xx[k, d, c] = sums[entry + moments[1 + d, 1 + c]]


@part
def pack(means, flat_whiteners, places, order, row_length, padded_means, packed):
    """Lay means and whiteners out for a pass, see `layout`; `padded_means` were zeros when they were made."""
    n_components, n_features = means.shape
    for k in range(n_components):
        for d in range(n_features):
            padded_means[k * row_length + places[d]] = means[k, d]
        for i in range(order.shape[0]):
            packed[k * order.shape[0] + i] = flat_whiteners[k * n_features * n_features + order[i]]


def iterate(
    t, parts, kernels, X, sample_weight, given, given_labels, centre, scale, skip_below, record, row_length, block,
    strip, places, order, moments, weight, volume, empty, ridge, tol, weights, means, covariances, choleskys,
    whiteners, log_constants, flat_means, flat_whiteners, padded_means, packed, definite, sum_w, sum_x, sum_xx, nodes,
    levels, depths, stack, stack_levels, ended, previous, bounds,
):  # fmt: skip
    """Iterate until the bounds are full, |change| < tol or a covariance is degenerate.

    `kernels` are the addresses of `expectation`, of what launches it on threads (0: nothing does), of `m_step`,
    `factors` and `log_constants`. Reads and writes means, whiteners and log_constants, about which passes are taken;
    writes weights, covariances and choleskys, all of the last M-step, bounds, and ended = (how many, how the call
    ended). `flat_means` and `flat_whiteners` are the same numbers. `weight` and `volume` make a mean log-likelihood of
    a sum. Everything else is scratch.
    """
    none = flat_means[:0]
    turns, last = 0, previous
    ended[0], ended[1] = 0, RUNNING
    while turns < bounds.shape[0] and ended[1] == RUNNING:
        pack(means, flat_whiteners, places, order, row_length, padded_means, packed)
        arguments = (
            X, sample_weight, given, given_labels, centre, scale, flat_means, padded_means, log_constants, packed,
            none, none, none, skip_below, record, row_length, block, strip, 0, nodes, levels, depths,
        )  # fmt: skip
        if kernels[1]:
            call_part(kernels[1], kernels[0], nodes.shape[0], (arguments,))
        else:
            call_part(kernels[0], 0, 1, arguments)
        collapse(nodes, levels, depths, stack, stack_levels)
        sums = stack[0]
        unpack(sums, record, moments, sum_w, sum_x, sum_xx)
        call_part(kernels[2], 0, 1, (sum_w, sum_x, sum_xx, means, empty, ridge, weights, means, covariances))
        call_part(kernels[3], 0, 1, (covariances, choleskys, whiteners, definite))
        if not definite.all():
            ended[1] = DEGENERATE
            break
        call_part(kernels[4], 0, 1, (weights, choleskys, log_constants))
        bounds[turns] = (sums[0] + volume) / weight
        if np.abs(bounds[turns] - last) < tol:
            ended[1] = RESTS
        last = bounds[turns]
        turns += 1
        ended[0] = turns
