"""k-means: the nearest centre of each row, and the sums that move the centres, in one pass."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import HEADER, WIDTH
from fastgmm.kernels.nodes import push
from fastgmm.kernels.products import outer
from fastgmm.kernels.strips import groups_of, load_columns, load_weights, scratch
from fastgmm.kernels.target import GROUP, PANEL
from fastgmm.kernels.vector import best, column, spread, store, zeros


@part
def nearest_centres(x, first, n_features, panels, offsets, top, numbers):
    """Write the nearest centre of a group's rows: the largest x·c − ½‖c‖².

    PANEL centres × GROUP vectors of rows at a time. Coordinates are centred, so the expanded square only rounds ties.
    Reads x and centres packed in panels of PANEL; `offsets` is −½‖c‖², −inf for padding. K D FMA a row.
    """
    store(spread(-np.inf, GROUP), top, 0, 0)
    k = 0
    while k < offsets.shape[0]:
        tile = column(zeros(np.float64, PANEL, GROUP), offsets, k)
        for d in range(n_features):
            tile = outer(tile, panels, k * n_features + d * PANEL, x, first + d * WIDTH)
        best(tile, k, top, numbers, 0)
        k += PANEL


@part
def nearest_block(
    X, first, last, sample_weight, centre, scale, centres, panels, offsets, strip, labels, distances, node,
    x, order, top, numbers, row_weights,
):  # fmt: skip
    """Assign rows first … last−1 and sum them: node = (Σ w ‖x − c‖², …, (Σw, Σ w (x − c)) for each centre)."""
    n_features = X.shape[1]
    node[:] = 0.0
    for start in range(first, last, strip):
        n = min(strip, last - start)
        load_columns(X, start, n, centre, scale, order, x)
        load_weights(sample_weight, start, n, row_weights)
        for g in range(groups_of(n)):
            column_start = g * n_features * WIDTH
            nearest_centres(x, column_start, n_features, panels, offsets, top, numbers)
            for p in range(min(WIDTH, n - g * WIDTH)):
                k = np.int64(numbers[p])
                row = g * WIDTH + p
                weight = row_weights[row]
                entry = HEADER + k * (n_features + 1)
                node[entry] += weight
                squared = 0.0
                for d in range(n_features):
                    gap = x[column_start + d * WIDTH + p] - centres[k * n_features + d]
                    squared += gap * gap
                    node[entry + 1 + d] += weight * gap
                node[0] += weight * squared
                if labels.size > 0:
                    labels[start + row] = k
                if distances.size > 0:
                    distances[start + row] = squared


def nearest(
    t, parts, X, sample_weight, centre, scale, centres, panels, offsets, block, strip, first_block, labels, distances,
    nodes, levels, depths,
):  # fmt: skip
    """Assign the rows of X to centres; each part of the blocks leaves a stack of dyadic nodes.

    label = argmin_k ‖x − c_k‖². Reads X (n, D) once; labels and squared distances are written if their arrays are not
    empty. Writes ``nodes[part, :depths[part]]`` and their levels. 2 n K D flop.
    """
    n_rows, n_features = X.shape
    n_blocks = (n_rows + block - 1) // block
    x = scratch(n_features * strip + PANEL * WIDTH, np.float64)
    order = scratch(strip, np.int32)
    for p in range(strip):
        order[p] = p
    top = scratch(WIDTH, np.float64)
    numbers = scratch(WIDTH, np.float64)
    row_weights = scratch(strip, np.float64)
    depth = 0
    for b in range(n_blocks * t // parts, n_blocks * (t + 1) // parts):
        nearest_block(
            X, b * block, min((b + 1) * block, n_rows), sample_weight, centre, scale, centres, panels, offsets,
            strip, labels, distances, nodes[t, depth], x, order, top, numbers, row_weights,
        )  # fmt: skip
        depth = push(nodes[t], levels[t], depth, first_block + b)
    depths[t] = depth
