"""Scoring: log-likelihoods, responsibilities and labels of rows. Allocates nothing that grows with the rows."""

from __future__ import annotations

import numpy as np
from numba import prange

from fastgmm.kernels.compile import part
from fastgmm.kernels.parts import load_columns, log_joint
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import add, best, divide, exp, load, log, spread, store, subtract, zeros


@part
def write_labels(joint, n, stride, n_components, top, numbers, labels, start):
    """Write each row's component of largest joint density, the first of equals. O(n K)."""
    width = GROUP * LANES
    for p in range(0, n, width):
        store(spread(-np.inf, GROUP), top, p, 0)
        for k in range(n_components):
            best(load(joint, k * stride + p, 0, 1, GROUP), k, top, numbers, p)
    for p in range(n):
        labels[start + p] = np.int64(numbers[p])


@part
def write_shares(joint, n, stride, n_components, top, log_likelihoods, responsibilities, start):
    """Write log Σ_k exp(joint) and exp(joint − that), each if its array is not empty. K n exponentials."""
    width = GROUP * LANES
    for p in range(0, n, width):
        peak = load(top, p, 0, 1, GROUP)
        mass = zeros(1, GROUP)
        for k in range(n_components):
            density = exp(subtract(load(joint, k * stride + p, 0, 1, GROUP), peak))
            store(density, joint, k * stride + p, 0)
            mass = add(mass, density)
        store(add(peak, log(mass)), top, p, 0)
        if responsibilities.size > 0:
            for k in range(n_components):
                store(divide(load(joint, k * stride + p, 0, 1, GROUP), mass), joint, k * stride + p, 0)
    if log_likelihoods.size > 0:
        for p in range(n):
            log_likelihoods[start + p] = top[p]
    if responsibilities.size > 0:
        for p in range(n):
            for k in range(n_components):
                responsibilities[start + p, k] = joint[k * stride + p]


@part
def write_joint(joint, n, stride, n_components, log_joints, start):
    """Write the weighted log-densities themselves. O(n K)."""
    for p in range(n):
        for k in range(n_components):
            log_joints[start + p, k] = joint[k * stride + p]


def score(
    X, centre, scale, means, log_constants, whiteners, strip, parts, log_likelihoods, responsibilities, log_joints,
    labels,
):  # fmt: skip
    """Write what is asked for of each row: the results whose arrays are not empty.

    log_joint_k = log π_k N(x | μ_k, Σ_k); log-likelihood = log-sum-exp; responsibility = exp(log_joint_k − it);
    label = argmax. Reads X once. n K D² flop.
    """
    n_rows, n_features = X.shape
    n_components = log_constants.shape[0]
    n_strips = (n_rows + strip - 1) // strip
    for t in prange(parts):
        x = np.empty(n_features * strip)
        joint = np.empty(n_components * strip)
        top = np.empty(strip)
        numbers = np.empty(strip)
        z = np.empty(n_features * GROUP * LANES)
        for s in range(n_strips * t // parts, n_strips * (t + 1) // parts):
            start = s * strip
            n = min(strip, n_rows - start)
            load_columns(X, start, n, strip, centre, scale, x)
            log_joint(x, n, strip, n_features, n_components, means, log_constants, whiteners, z, joint, top)
            if log_joints.size > 0:
                write_joint(joint, n, strip, n_components, log_joints, start)
            if labels.size > 0:
                write_labels(joint, n, strip, n_components, top, numbers, labels, start)
            if log_likelihoods.size > 0 or responsibilities.size > 0:
                write_shares(joint, n, strip, n_components, top, log_likelihoods, responsibilities, start)
