"""Lloyd's iterations: centres packed for a pass, moved by its sums, and all of it again in one call."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.launch import call_part
from fastgmm.kernels.layout import HEADER
from fastgmm.kernels.nodes import collapse
from fastgmm.kernels.target import PANEL

RUNNING, RESTS, EMPTY = 0, 1, 2
"""How a call ends: out of turns, converged, or before a step by which a centre would have no rows."""


def pack_centres(t, parts, centres, panels, offsets):
    """Write centres (K, D) in panels of PANEL by columns, and −½‖c‖², −inf for the last panel's padding. O(K D)."""
    n_components, n_features = centres.shape
    for k in range(offsets.shape[0]):
        first = k // PANEL * PANEL * n_features + k % PANEL
        square = 0.0
        for d in range(n_features):
            value = centres[k, d] if k < n_components else 0.0
            panels[first + d * PANEL] = value
            square += value * value
        offsets[k] = -0.5 * square if k < n_components else -np.inf


def move_centres(t, parts, sums, centres, counts, moved, told):
    """Write each centre's weight, its rows' mean, and told = (inertia, Σ ‖moved − c‖²); one without rows stays.

    Reads the sums of `nearest`. O(K D).
    """
    n_components, n_features = centres.shape
    told[0], told[1] = sums[0], 0.0
    for k in range(n_components):
        entry = HEADER + k * (n_features + 1)
        counts[k] = sums[entry]
        for d in range(n_features):
            moved[k, d] = centres[k, d] + sums[entry + 1 + d] / (counts[k] if counts[k] > 0 else 1.0)
            gap = moved[k, d] - centres[k, d]
            told[1] += gap * gap


def lloyd(
    t, parts, kernels, X, sample_weight, centre, scale, block, strip, labels, distances, nodes, levels, depths, stack,
    stack_levels, tolerance, mass, panels, offsets, counts, told, moved, most, ended, centres, flat,
):  # fmt: skip
    """Move centres (K, D) `most` times, or until Σ ‖moved − c‖² ≤ tolerance · inertia / mass, or one has no rows.

    `kernels` are the addresses of `nearest`, of what launches it on threads (0: nothing does), of `pack_centres` and
    `move_centres`. Writes the centres, which are `flat` as well, and ended = (how many steps, how the call ended).
    """
    n_components = centres.shape[0]
    ended[0], ended[1] = 0, RUNNING
    while ended[0] < most and ended[1] == RUNNING:
        call_part(kernels[2], 0, 1, (centres, panels, offsets))
        arguments = (
            X, sample_weight, centre, scale, flat, panels, offsets, block, strip, 0, labels, distances, nodes, levels,
            depths,
        )  # fmt: skip
        if kernels[1]:
            call_part(kernels[1], kernels[0], nodes.shape[0], (arguments,))
        else:
            call_part(kernels[0], 0, 1, arguments)
        collapse(nodes, levels, depths, stack, stack_levels)
        call_part(kernels[3], 0, 1, (stack[0], centres, counts, moved, told))
        for k in range(n_components):
            if not counts[k] > 0:
                ended[1] = EMPTY
        if ended[1] == RUNNING:
            for k in range(n_components):
                for d in range(centres.shape[1]):
                    centres[k, d] = moved[k, d]
            ended[0] += 1
            if told[1] <= tolerance * told[0] / mass:
                ended[1] = RESTS
