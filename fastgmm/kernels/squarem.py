"""Where three iterates of EM on few rows point to, by SQUAREM: x + 2 a r + a² v, r and v their differences.

Moments are extrapolated as log shares, means and log-Cholesky factors: whatever the point, it is a mixture's.

References
----------
Varadhan, R. and Roland, C. (2008). Simple and globally convergent methods for accelerating the convergence of any EM
algorithm. Scandinavian Journal of Statistics 35, 335-353.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.across import RIDGE, from_coordinates, lay_across, padded, to_coordinates
from fastgmm.kernels.compile import part
from fastgmm.kernels.target import LANES
from fastgmm.kernels.vector import add, load, multiply, multiply_add, spread, store, subtract, total


@part
def extrapolated(first, second, third, k_count, n_features, fields, lower, vectors, point):
    """Write where three iterates point to; return whether there is such a point."""
    begin = k_count * (1 + n_features)
    length = padded(k_count) * (1 + n_features + n_features * (n_features + 1) // 2)
    a, b, c = vectors[:length], vectors[length : 2 * length], vectors[2 * length :]
    lay_across(first, first[begin:], RIDGE, k_count, n_features, fields)
    if not to_coordinates(fields, k_count, n_features, lower, a):
        return False
    lay_across(second, second[begin:], RIDGE, k_count, n_features, fields)
    if not to_coordinates(fields, k_count, n_features, lower, b):
        return False
    lay_across(third, third[begin:], RIDGE, k_count, n_features, fields)
    if not to_coordinates(fields, k_count, n_features, lower, c):
        return False
    steps, bends, p = spread(0.0, 1), spread(0.0, 1), 0
    while p < length:
        one, two = load(a, p, 0, 1, 1), load(b, p, 0, 1, 1)
        r = subtract(two, one)
        v = subtract(subtract(load(c, p, 0, 1, 1), two), r)
        store(r, b, p, 0)
        store(v, c, p, 0)
        steps, bends = multiply_add(r, r, steps), multiply_add(v, v, bends)
        p += LANES
    bend = total(bends)
    reach = max(np.sqrt(total(steps) / bend), 1.0) if bend > 0.0 else 1.0
    p = 0
    while p < length:
        r, v = load(b, p, 0, 1, 1), load(c, p, 0, 1, 1)
        change = multiply_add(v, spread(reach, 1), add(r, r))
        store(add(load(a, p, 0, 1, 1), multiply(change, spread(reach, 1))), a, p, 0)
        p += LANES
    from_coordinates(a, k_count, n_features, lower, point)
    return True
