"""Scoring: log-likelihoods, responsibilities and labels of rows. Allocates nothing that grows with the rows."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.density import exponentials, log_joint
from fastgmm.kernels.diagonal import diagonal_joint, turn_columns
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.strips import groups_of, load_columns, scratch
from fastgmm.kernels.target import GROUP, PANEL
from fastgmm.kernels.vector import add, best, divide, load, log, spread, store

REAL = np.float64
"""Set by `compile.build`: the numbers that are computed with."""

DIAGONAL, TURNED = 0, 0
"""Set by `compile.build`: whether whiteners are diagonal, and whether rows are turned before."""


@part
def write_labels(joint, first, n_components, top, numbers, labels, start, size):
    """Write each row's component of largest joint density, the first of equals. O(K) a row."""
    store(spread(REAL(-np.inf), GROUP), top, 0, 0)
    for k in range(n_components):
        best(load(joint, first + k * WIDTH, 0, 1, GROUP), k, top, numbers, 0)
    for p in range(size):
        labels[start + p] = np.int64(numbers[p])


@part
def write_joint(joint, first, n_components, log_joints, start, size):
    """Write a group's responsibilities, or log-densities, row by row. O(K) a row."""
    for p in range(size):
        for k in range(n_components):
            log_joints[start + p, k] = joint[first + k * WIDTH + p]


@part
def write_likelihoods(joint, first, n_components, peak, top, log_likelihoods, responsibilities, start, size):
    """Write log Σ_k exp(joint) and exp(joint − that), each if its array is not empty. K exponentials a row."""
    mass = exponentials(joint, first, n_components, peak)
    if log_likelihoods.size > 0:
        store(add(peak, log(mass)), top, 0, 0)
        for p in range(size):
            log_likelihoods[start + p] = top[p]
    if responsibilities.size > 0:
        for k in range(n_components):
            store(divide(load(joint, first + k * WIDTH, 0, 1, GROUP), mass), joint, first + k * WIDTH, 0)
        write_joint(joint, first, n_components, responsibilities, start, size)


def score(
    t, parts, X, centre, scale, panels, means, log_constants, whiteners, strip, log_likelihoods, responsibilities,
    log_joints, labels,
):  # fmt: skip
    """Write what is asked for of each row: the results whose arrays are not empty.

    log_joint_k = log π_k N(x | μ_k, Σ_k); log-likelihood = log-sum-exp; responsibility = exp(log_joint_k − it);
    label = argmax. Reads X once. n K D² flop, or 4 n K D.
    """
    n_rows, n_features = X.shape
    n_components = log_constants.shape[0]
    n_strips = (n_rows + strip - 1) // strip
    x = scratch(n_features * strip + PANEL * WIDTH, REAL)
    y = scratch(n_features * strip + PANEL * WIDTH if TURNED else 1, REAL)
    z = scratch(1 if DIAGONAL else n_features * WIDTH, REAL)
    joint = scratch(n_components * WIDTH, REAL)
    top = scratch(WIDTH, REAL)
    numbers = scratch(WIDTH, REAL)
    order = np.arange(strip).astype(np.int32)
    for s in range(n_strips * t // parts, n_strips * (t + 1) // parts):
        n = min(strip, n_rows - s * strip)
        load_columns(X, s * strip, n, centre, scale, order, x)
        if TURNED:
            turn_columns(x, groups_of(n), n_features, panels, y)
        for g in range(groups_of(n)):
            start = s * strip + g * WIDTH
            size = min(WIDTH, n_rows - start)
            first = g * n_features * WIDTH
            if DIAGONAL:
                peak = diagonal_joint(
                    y if TURNED else x, first, n_features, n_components, means, whiteners, log_constants, joint, 0, top
                )
            else:
                peak = log_joint(x[first:], 0, n_features, n_components, means, log_constants, whiteners, z, joint, 0)
            if log_joints.size > 0:
                write_joint(joint, 0, n_components, log_joints, start, size)
            if labels.size > 0:
                write_labels(joint, 0, n_components, top, numbers, labels, start, size)
            if log_likelihoods.size > 0 or responsibilities.size > 0:
                write_likelihoods(joint, 0, n_components, peak, top, log_likelihoods, responsibilities, start, size)
