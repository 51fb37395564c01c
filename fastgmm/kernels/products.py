"""Inner products of a few points with many: what k-means++ asks for in every round."""

from __future__ import annotations

from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.vector import outer, store, zeros


def products(x, stride, n_features, points, result):
    """result[j, p] = Σ_d points[d, j] · x[d, p] for LANES points and all columns p < stride, whole groups.

    Reads x (D, stride) and points (D, LANES), flat; writes result (LANES, stride), flat. LANES · stride · D FMA.
    """
    for p in range(0, stride, GROUP * LANES):
        tile = zeros(LANES, GROUP)
        for d in range(n_features):
            tile = outer(tile, points, d * LANES, x, d * stride + p)
        store(tile, result, p, stride)
