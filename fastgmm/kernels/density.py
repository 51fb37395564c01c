"""Densities: log-joint densities of a group of rows under all components, and responsibilities from them."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import inner_part, part
from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.products import centred_triangle, outer, squares
from fastgmm.kernels.target import GROUP, PANEL
from fastgmm.kernels.vector import (
    add,
    divide,
    exp,
    kept,
    larger,
    load,
    log,
    multiply,
    multiply_add,
    smaller,
    spread,
    store,
    subtract,
    widen,
    zeros,
)

REAL = np.float64
"""Set by `compile.build`: the numbers that are computed with."""

HEAD, PANELS = PANEL, 1
"""Set by `compile.build`: features before the first panel, and whether there are panels."""

FARTHEST = 1e300
"""Largest squared distance, set by `compile.build`: without infinities a row's best component stays comparable."""


@part
def log_joint(x, g, n_features, n_components, means, log_constants, whiteners, z, joint, at):
    """Write the weighted log-densities of a group from joint[at] on and return the largest of each row.

    joint[k, p] = log_constants[k] − ½ ‖W_k (x_p − μ_k)‖². Reads the group (in L1) once a component, and the packed
    whiteners, which stream from L2; `z` is room for a group. K D(D+1)/2 FMA a row.
    """
    # Tried: each component over 2, 4, 8 groups while its whitener is in L1; 0.97–1.05 of the time at D = 3 … 128.
    top = spread(REAL(-np.inf), GROUP)
    for k in range(n_components):
        w = k * (n_features * (n_features + 1) // 2)
        first = g * n_features * WIDTH
        distance = squared_distance(x, first, n_features, means, k * n_features, whiteners, w, z)
        distance = smaller(distance, spread(REAL(FARTHEST), GROUP))
        value = multiply_add(distance, spread(REAL(-0.5), GROUP), spread(log_constants[k], GROUP))
        store(value, joint, at + k * WIDTH, 0)
        top = larger(top, value)
    return top


@inner_part
def squared_distance(x, first, n_features, means, m, whiteners, w, z):
    """‖W (x − μ)‖² of a group's columns: the head, then panel by panel. D(D+1)/2 FMA a row.

    A panel's triangle leaves its columns, less their means, in `z` for the panels that follow. Tried: to take the
    means away again for each panel, 0.98 / 1.03 / 1.04 / 1.05 of the time at D = 16 / 32 / 64 / 128 on a Xeon, which
    adds and multiplies in the same two units (a loop that wrote `z` before took 22.3 cycles a pair for 21.3 at D = 16
    on Zen 5, which does not); a last panel that stores nothing, 1.00.
    """
    head = centred_triangle(zeros(REAL, HEAD, GROUP), whiteners, w, x, first, WIDTH, means, m, z, 0, PANELS)
    distance = squares(zeros(REAL, 1, GROUP), head)
    if PANELS:
        w += HEAD * (HEAD + 1) // 2
        begin = HEAD
        while begin < n_features:
            panel = zeros(REAL, PANEL, GROUP)
            for c in range(begin):
                panel = outer(panel, whiteners, w, z, c * WIDTH)
                w += PANEL
            here = begin * WIDTH
            panel = centred_triangle(panel, whiteners, w, x, first + here, WIDTH, means, m + begin, z, here, 1)
            w += PANEL * (PANEL + 1) // 2
            distance = squares(distance, panel)
            begin += PANEL
    return distance


@part
def exponentials(joint, first, n_components, top):
    """Turn a group's log-densities into densities relative to each row's largest; return their sums."""
    mass = zeros(REAL, 1, GROUP)
    for k in range(n_components):
        density = exp(subtract(load(joint, first + k * WIDTH, 0, 1, GROUP), top))
        store(density, joint, first + k * WIDTH, 0)
        mass = add(mass, density)
    return mass


@part
def normalise(joint, g, n_components, top, row_weights, skip_below, log_likelihood):
    """Turn a group's log-densities into weighted responsibilities; add w log Σ exp to the tile of log-likelihoods.

    joint[k, p] ← w_p γ_kp, or 0 where γ_kp ≤ skip_below. K exponentials and one logarithm, of float64, a row.
    """
    first = g * n_components * WIDTH
    mass = exponentials(joint, first, n_components, top)
    weight = load(row_weights, g * WIDTH, 0, 1, GROUP)
    factor = divide(weight, mass)
    floor = multiply(mass, spread(REAL(skip_below), GROUP))
    for k in range(n_components):
        density = load(joint, first + k * WIDTH, 0, 1, GROUP)
        store(multiply(kept(density, floor), factor), joint, first + k * WIDTH, 0)
    return multiply_add(widen(weight), add(widen(top), log(widen(mass))), log_likelihood)
