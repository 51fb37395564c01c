"""k-means: the nearest centre of each row, and the sums that move the centres, in one pass."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.layout import HEADER, WIDTH
from fastgmm.kernels.listed import take_panel
from fastgmm.kernels.nodes import push
from fastgmm.kernels.products import outer
from fastgmm.kernels.strips import groups_of, load_columns, load_weights, scratch
from fastgmm.kernels.target import GROUP, PANEL
from fastgmm.kernels.vector import best, column, load, multiply_add, spread, store, subtract, total, zeros


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
def add_few(x, first, n_features, centres, c, weight, node, entry):
    """Add w (x − c) to a centre's sums, number by number; return ‖x − c‖²."""
    squared = 0.0
    for d in range(n_features):
        gap = x[first + d * WIDTH] - centres[c + d]
        squared += gap * gap
        node[entry + d] += weight * gap
    return squared


@part
def add_row(X, source, centre, scale, stride, z, centres, c, weight, node, entry):
    """Add w (x − c) to a centre's sums, PANEL numbers at a time; return ‖x − c‖². O(D).

    Beyond the row's end x and c are 0, as `scale` is there: nothing is added to what follows in the node.
    """
    # Number by number from the columns that centres are compared with: D = 32, 0.6 of a pass with K = 32.
    n_features, d = X.shape[1], 0
    if source + stride > X.size:  # what a panel reads beyond the last row may not exist
        for i in range(n_features):
            z[i] = (np.float64(X[source // n_features, i]) - centre[i]) * scale[i]
        z[n_features:] = 0.0
    else:
        while d < stride:
            take_panel(X, source + d, centre, scale, d, z, d)
            d += PANEL
    squares, d = zeros(np.float64, 1, 1), 0
    while d < stride:
        gap = subtract(load(z, d, 0, 1, 1), load(centres, c + d, 0, 1, 1))
        squares = multiply_add(gap, gap, squares)
        sums = multiply_add(gap, spread(weight, 1), load(node, entry + d, 0, 1, 1))
        store(sums, node, entry + d, 0)
        d += PANEL
    return total(squares)


@part
def pad_centres(centres, n_features, stride, padded):
    """Lay centres out with `stride` numbers from one to the next, zeros behind each."""
    padded[:] = 0.0
    for k in range(centres.shape[0] // n_features):
        for d in range(n_features):
            padded[k * stride + d] = centres[k * n_features + d]


@part
def nearest_block(
    X, first, last, sample_weight, centre, scale, centres, stride, panels, offsets, strip, labels, distances, node,
    x, z, order, top, numbers, row_weights,
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
                if n_features < PANEL:
                    squared = add_few(
                        x, column_start + p, n_features, centres, k * stride, weight, node, entry + 1
                    )  # fmt: skip
                else:
                    source = (start + row) * n_features
                    squared = add_row(X, source, centre, scale, stride, z, centres, k * stride, weight, node, entry + 1)
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
    stride = (n_features + PANEL - 1) // PANEL * PANEL
    z = scratch(stride, np.float64)
    padded = scratch(centres.shape[0] // n_features * stride, np.float64)
    pad_centres(centres, n_features, stride, padded)
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
            X, b * block, min((b + 1) * block, n_rows), sample_weight, centre, scale, padded, stride, panels, offsets,
            strip, labels, distances, nodes[t, depth], x, z, order, top, numbers, row_weights,
        )  # fmt: skip
        depth = push(nodes[t], levels[t], depth, first_block + b)
    depths[t] = depth
