"""How far one set of whiteners is from the next: what transported bounds ask of every component.

With G = W L' the changes of squared lengths are the eigenvalues of GᵀG − I = E + Eᵀ + EᵀE, E = G − I. A norm of E says
less: it is as large for a change that turns rows about their mean, and leaves their lengths. Late in fits of a
photograph's patches lengths were known to 8 % by norms, and to 3 % so: 0.36 of the pairs evaluated, and 0.30. Where it
is tiny it says enough: most components of well separated ones rest long before the others.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.products import outer, outer_rows
from fastgmm.kernels.strips import scratch
from fastgmm.kernels.target import GROUP, LANES, PANEL
from fastgmm.kernels.turns import take_matrix
from fastgmm.kernels.vector import add, load, multiply_add, spread, store, total, zeros

PANEL_ROWS = (0,) * PANEL

BISECTIONS = 7
"""Halvings of an interval that holds an eigenvalue: to 1 % of it."""

TINY = 2.0**-10
"""Norm of a change up to which no eigenvalues are looked for.

d64k32, late: 0.69 of the components, with 10⁻³ or 10⁻²; with 0.1 all but 0.02 of them, for 1.4 times the pairs.
"""


@part
def difference(n_features, stride, whitener, cholesky, error):
    """Write E = W L − I, all lower triangles with rows of `stride`, tile by tile. D³/6 FMA."""
    i = 0
    while i < n_features:
        c = 0
        while c < i + PANEL:
            tile = zeros(np.float64, PANEL_ROWS, GROUP)
            for j in range(c, min(i + PANEL, n_features)):
                tile = outer_rows(tile, whitener, i * stride + j, stride, cholesky, j * stride + c, 0)
            store(tile, error, i * stride + c, stride)
            c += GROUP * LANES
        i += PANEL
    for i in range(n_features):
        error[i * stride + i] -= 1.0


@part
def changes(n_features, stride, error, change):
    """Write E + Eᵀ + EᵀE, whole. D³/2 FMA."""
    a = 0
    while a < n_features:
        c = 0
        while c < n_features:
            tile = load(error, a * stride + c, stride, PANEL_ROWS, GROUP)
            for i in range(a, n_features):
                tile = outer(tile, error, i * stride + a, error, i * stride + c)
            store(tile, change, a * stride + c, stride)
            c += GROUP * LANES
        a += PANEL
    for a in range(n_features):
        for c in range(a + 1):
            change[c * stride + a] += error[a * stride + c]


@part
def inner_product(begin, n_features, a, b):
    """Return Σ a_i b_i from a tile on; one is 0 where nothing is to be added. Number by number each would wait."""
    sums, c = zeros(np.float64, 1, GROUP), begin
    while c < n_features:
        sums = multiply_add(load(a, c, 0, 1, GROUP), load(b, c, 0, 1, GROUP), sums)
        c += GROUP * LANES
    return total(sums)


@part
def length(n_features, stride, rows, vector):
    """Return ‖W b‖ of a lower triangle W and a vector b, 0 beyond its D numbers. D²/2 FMA."""
    squares = 0.0
    for i in range(n_features):
        product = inner_product(0, i + 1, rows[i * stride :], vector)
        squares += product * product
    return np.sqrt(squares)


@part
def reflect(first, n_features, stride, matrix, squares, v, q):
    """Replace a symmetric matrix by (I − β v vᵀ) M (I − β v vᵀ), β = 2 / vᵀv, rows and columns from `first` on.

    v is 0 before; `squares` is vᵀv. Writes −v over v; q is scratch. Rows and columns before `first` are of no account.
    """
    begin = first // (GROUP * LANES) * (GROUP * LANES)
    c = begin
    while c < n_features:
        even, odd, i = zeros(np.float64, 1, GROUP), zeros(np.float64, 1, GROUP), first
        while i + 1 < n_features:  # two sums: one would wait for itself
            even = multiply_add(load(matrix, i * stride + c, 0, 1, GROUP), spread(v[i], GROUP), even)
            odd = multiply_add(load(matrix, (i + 1) * stride + c, 0, 1, GROUP), spread(v[i + 1], GROUP), odd)
            i += 2
        if i < n_features:
            even = multiply_add(load(matrix, i * stride + c, 0, 1, GROUP), spread(v[i], GROUP), even)
        store(add(even, odd), q, c, 0)
        c += GROUP * LANES
    inner = inner_product(begin, n_features, q, v)
    for i in range(first, n_features):
        q[i] = 2.0 / squares * (q[i] - inner / squares * v[i])
        v[i] = -v[i]
    i = first // PANEL * PANEL
    for j in range(begin, first):
        q[j] = 0.0
    while i < n_features:
        c = begin
        while c < n_features:
            tile = load(matrix, i * stride + c, stride, PANEL_ROWS, GROUP)
            store(outer(outer(tile, v, i, q, c), q, i, v, c), matrix, i * stride + c, stride)
            c += GROUP * LANES
        i += PANEL


@part
def tridiagonalise(n_features, stride, matrix, v, q, diagonal, beside):
    """Write a tridiagonal matrix with a symmetric one's eigenvalues, by Householder's reflections. D³ FMA.

    beside[i] is the square of the number between places i − 1 and i. The matrix is used up.
    """
    v[:] = 0.0
    q[:] = 0.0
    beside[0] = 0.0
    for j in range(n_features):
        diagonal[j] = matrix[j * stride + j]
        v[j] = 0.0
        for i in range(j + 1, n_features):
            v[i] = matrix[j * stride + i]
        if j + 1 < n_features:
            rest = inner_product((j + 1) // (GROUP * LANES) * (GROUP * LANES), n_features, v, v)
            beside[j + 1] = rest
            ahead = v[j + 1]
            if rest > ahead * ahead:
                v[j + 1] += np.sqrt(rest) if ahead > 0.0 else -np.sqrt(rest)
                squares = rest - ahead * ahead + v[j + 1] * v[j + 1]
                reflect(j + 1, n_features, stride, matrix, squares, v, q)


@part
def outermost_eigenvalues(n_features, diagonal, beside):
    """Return bounds of a tridiagonal matrix's eigenvalues from below and above, by Sturm's sequences, both at once."""
    bottom, top = np.inf, -np.inf  # eigenvalues lie beyond these, or at them
    below, above = np.inf, -np.inf  # and none beyond these
    for i in range(n_features):
        around = np.sqrt(beside[i]) + (np.sqrt(beside[i + 1]) if i + 1 < n_features else 0.0)
        bottom, top = min(bottom, diagonal[i]), max(top, diagonal[i])
        below, above = min(below, diagonal[i] - around), max(above, diagonal[i] + around)
    for _ in range(BISECTIONS):
        low, high, rising, falling, i = 0.5 * (below + bottom), 0.5 * (top + above), 1.0, -1.0, 0
        while i < n_features and (rising > 0.0 or falling < 0.0):
            rising = diagonal[i] - low - beside[i] / rising if rising > 0.0 else rising
            falling = diagonal[i] - high - beside[i] / falling if falling < 0.0 else falling
            i += 1
        below, bottom = (low, bottom) if rising > 0.0 else (below, low)
        top, above = (top, high) if falling < 0.0 else (high, above)
    return below, above


@part
def steps(least, largest, rounding):
    """Return what eigenvalues of GᵀG − I between `least` and `largest` make of lengths: a shrink and a growth."""
    if not -np.inf < least <= largest < np.inf:
        return 0.0, np.inf
    slack = rounding * (1.0 + np.abs(least) + np.abs(largest))
    least = 1.0 + least - slack
    return 1.0 / np.sqrt(1.0 + largest + slack), 1.0 / np.sqrt(least) if least > 0.0 else np.inf


def growth(t, parts, whiteners, choleskys, new_whiteners, means, new_means, rounding, shrink, grow, shifts):
    """Write how lengths change from whiteners W and means μ to W' = L⁻¹ and μ', for a share of the components.

    Of y = W (x − μ) and y' = W' (x − μ'): ‖y'‖ ≥ shrink ‖y‖ − shift and ‖y'‖ ≤ grow ‖y‖ + shift, (K,), each loosened
    by a share of `rounding`. ‖y‖² / ‖y' − W' (μ − μ')‖² lies between the least and the largest eigenvalue of GᵀG,
    G = W L. Reads lower triangles W, L and W' (K, D, D) and means (K, D). 3.5 K D³ flop, 0.3 where changes are tiny:
    parts take every so many components, as those that rest may lie side by side.
    """
    n_components, n_features = whiteners.shape[0], whiteners.shape[1]
    width = GROUP * LANES
    stride = (n_features + width - 1) // width * width
    size = (n_features + PANEL - 1) // PANEL * PANEL * stride
    whitener = scratch(size, np.float64)
    cholesky = scratch(size, np.float64)
    error = scratch(size, np.float64)
    change = scratch(size, np.float64)
    v = scratch(stride, np.float64)
    q = scratch(stride, np.float64)
    move = scratch(stride, np.float64)
    diagonal = scratch(n_features, np.float64)
    beside = scratch(n_features, np.float64)
    whitener[:] = 0.0
    cholesky[:] = 0.0
    error[:] = 0.0
    move[:] = 0.0
    for k in range(t, n_components, parts):
        take_matrix(whiteners[k], 1, n_features, stride, whitener)
        take_matrix(choleskys[k], 1, n_features, stride, cholesky)
        difference(n_features, stride, whitener, cholesky, error)
        squares = inner_product(0, n_features * stride, error, error)
        norm = 2.0 * np.sqrt(squares) + squares
        take_matrix(new_whiteners[k], 1, n_features, stride, whitener)
        for c in range(n_features):
            move[c] = means[k, c] - new_means[k, c]
        shifts[k] = length(n_features, stride, whitener, move) * (1.0 + rounding)
        least, largest = -norm, norm
        if not norm <= TINY:
            changes(n_features, stride, error, change)
            tridiagonalise(n_features, stride, change, v, q, diagonal, beside)
            least, largest = outermost_eigenvalues(n_features, diagonal, beside)
        shrink[k], grow[k] = steps(least, largest, rounding)
