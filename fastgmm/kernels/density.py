"""Densities: log-joint densities of a group of rows under all components, and responsibilities from them."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import (
    add,
    centred_triangle,
    divide,
    exp,
    kept,
    larger,
    load,
    log,
    multiply,
    multiply_add,
    outer,
    smaller,
    spread,
    squares,
    store,
    subtract,
    triangle,
    zeros,
)

HEAD, PANELS = LANES, 1
"""Set by `compile.build`: features before the first panel, and whether there are panels."""

FARTHEST = 1e300
"""Largest squared distance: without infinities a row's best component stays comparable."""


@part
def log_joint(x, g, n_features, n_components, means, log_constants, whiteners, z, joint):
    """Write the weighted log-densities of a group and return the largest of each row.

    joint[k, p] = log_constants[k] − ½ ‖W_k (x_p − μ_k)‖². Reads the group (in L1) once a component, and the packed
    whiteners, which stream from L2. K D(D+1)/2 FMA a row.
    """
    # Tried: each component over 2, 4, 8 groups while its whitener is in L1; 0.97–1.05 of the time at D = 3 … 128.
    top = spread(-np.inf, GROUP)
    for k in range(n_components):
        w = k * (n_features * (n_features + 1) // 2)
        first = g * n_features * WIDTH
        if PANELS:
            centre_columns(x, first, n_features, means, k * n_features, z)
            distance = panels_distance(z, n_features, whiteners, w)
        else:
            head = centred_triangle(zeros(HEAD, GROUP), whiteners, w, x, first, WIDTH, means, k * HEAD)
            distance = squares(zeros(1, GROUP), head)
        distance = smaller(distance, spread(FARTHEST, GROUP))
        value = multiply_add(distance, spread(-0.5, GROUP), spread(log_constants[k], GROUP))
        store(value, joint, (g * n_components + k) * WIDTH, 0)
        top = larger(top, value)
    return top


@part
def centre_columns(x, first, n_features, means, m, z):
    """Take a component's mean away from a group's columns: z[d, p] = x[d, p] − μ[d]. O(D) a row."""
    for d in range(n_features):
        centred = subtract(load(x, first + d * WIDTH, 0, 1, GROUP), spread(means[m + d], GROUP))
        store(centred, z, d * WIDTH, 0)


@part
def panels_distance(z, n_features, whiteners, w):
    """‖W z‖² of a group's centred columns, when there are panels beyond the head. D(D+1)/2 FMA a row."""
    head = triangle(zeros(HEAD, GROUP), whiteners, w, z, 0, WIDTH)
    w += HEAD * (HEAD + 1) // 2
    distance = squares(zeros(1, GROUP), head)
    for begin in range(HEAD, n_features, LANES):
        panel = zeros(LANES, GROUP)
        for c in range(begin):
            panel = outer(panel, whiteners, w, z, c * WIDTH)
            w += LANES
        panel = triangle(panel, whiteners, w, z, begin * WIDTH, WIDTH)
        w += LANES * (LANES + 1) // 2
        distance = squares(distance, panel)
    return distance


@part
def exponentials(joint, first, n_components, top):
    """Turn a group's log-densities into densities relative to each row's largest; return their sums."""
    mass = zeros(1, GROUP)
    for k in range(n_components):
        density = exp(subtract(load(joint, first + k * WIDTH, 0, 1, GROUP), top))
        store(density, joint, first + k * WIDTH, 0)
        mass = add(mass, density)
    return mass


@part
def normalise(joint, g, n_components, top, row_weights, skip_below, log_likelihood):
    """Turn a group's log-densities into weighted responsibilities; add w log Σ exp to the tile of log-likelihoods.

    joint[k, p] ← w_p γ_kp, or 0 where γ_kp ≤ skip_below. K exponentials and one logarithm a row.
    """
    first = g * n_components * WIDTH
    mass = exponentials(joint, first, n_components, top)
    weight = load(row_weights, g * WIDTH, 0, 1, GROUP)
    factor = divide(weight, mass)
    floor = multiply(mass, spread(skip_below, GROUP))
    for k in range(n_components):
        density = load(joint, first + k * WIDTH, 0, 1, GROUP)
        store(multiply(kept(density, floor), factor), joint, first + k * WIDTH, 0)
    return multiply_add(weight, add(top, log(mass)), log_likelihood)
