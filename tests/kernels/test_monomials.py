"""Responsibilities and moments of few rows, without JIT, against dense ones; test_runs compares the compiled text."""

from __future__ import annotations

import numpy as np

from fastgmm.kernels import monomials
from fastgmm.kernels.compile import _in_python
from fastgmm.kernels.layout import WIDTH

K, D, F, PAD = 4, 2, 6, 8
STRIDE = 4 * WIDTH
MEANS = np.array([[0.0, 0.0], [0.5, 0.0], [40.0, 0.0], [40.5, 1.0]])


def test_groups_far_from_a_component_are_left_out_and_nothing_else_changes():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((STRIDE - 5, D)) + np.where(np.arange(STRIDE - 5) < 2 * WIDTH, 0.0, 40.0)[:, None] * [1, 0]
    values, weights = np.zeros((F - 1, STRIDE)), np.zeros(STRIDE)
    values[:, : len(X)] = np.vstack([X.T, X[:, 0] ** 2, X[:, 0] * X[:, 1], X[:, 1] ** 2])
    weights[: len(X)] = 1 / len(X)
    factors = np.zeros((F, PAD))
    factors[0, :K] = np.log(1 / K) - np.log(2 * np.pi) - 0.5 * (MEANS**2).sum(axis=1)
    factors[1:3, :K], factors[[3, 5], :K] = MEANS.T, -0.5
    joints, listed, counts = np.zeros(K * STRIDE), np.zeros(K * 4, dtype=np.int64), np.zeros(K, dtype=np.int64)
    tops, shares, sums = np.empty(STRIDE), np.empty(STRIDE), np.empty(K * F)
    value = _in_python(monomials.responsibilities, {})(
        values.ravel(), weights, STRIDE, factors.ravel(), PAD, K, F, joints, tops, shares, listed, counts
    )
    _in_python(monomials.sum_products, {})(values.ravel(), STRIDE, joints, shares, listed, counts, K, F, sums)
    logs = np.vstack([np.ones(STRIDE), values]).T @ factors[:, :K]
    dense = np.exp(logs - logs.max(axis=1, keepdims=True))
    expected = weights @ (np.log(dense.sum(axis=1)) + logs.max(axis=1))
    dense *= (weights / dense.sum(axis=1))[:, None]
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(
        sums.reshape(K, F), dense.T @ np.vstack([np.ones(STRIDE), values]).T, rtol=1e-10, atol=1e-12
    )
    np.testing.assert_array_equal(counts[2:], 2)  # the first two groups lie by the other two
