"""The M-step of VVV: weights, means and covariances from the sums of a pass."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.strips import scratch


def m_step(t, parts, sum_w, sum_x, sum_xx, origins, empty, ridge, weights, means, covariances):
    """Write π_k = n_k / n, μ_k = o_k + δ_k and Σ_k = S_k / n_k − δ_k δ_kᵀ + ridge, δ_k = m_k / n_k.

    n, m, S are sum_w (K,), sum_x (K, D) and sum_xx (K, D, D) about the origins o (K, D), with `empty` added to each
    n_k. All is done by part 0. Writes weights (K,), means (K, D), which may be the origins, and covariances (K, D, D).
    3 K D² flop.
    """
    n_components, n_features = origins.shape
    if t > 0:
        return
    shift = scratch(n_features, np.float64)
    total = 0.0
    for k in range(n_components):
        weights[k] = sum_w[k] + empty
        total += weights[k]
    for k in range(n_components):
        count = weights[k]
        for d in range(n_features):
            shift[d] = sum_x[k, d] / count
            means[k, d] = origins[k, d] + shift[d]
        for d in range(n_features):
            for c in range(n_features):
                covariances[k, d, c] = sum_xx[k, d, c] / count - shift[d] * shift[c]
            covariances[k, d, d] += ridge[d]
        weights[k] = count / total
