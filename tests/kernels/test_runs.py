"""Runs, compiled, against their text without JIT, and their independence of how the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.runs import runs_kernel

N, D, K, R = 30, 2, 2, 5
RULES, KINDS = np.array([3, 1, 2, 1, 0]), np.array([3, 3, 2, 1, 0])
"""VVV, VEV, EVE, VEI, EII."""


def arguments(plain, rounds, tolerance=-1.0):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((N, D)) + np.repeat([[0.0, 0.0], [3.0, 1.0]], N // 2, axis=0)
    stride = -(-N // WIDTH) * WIDTH
    values, weights = np.zeros((5, stride)), np.zeros(stride)
    values[:2, :N], values[2:, :N] = X.T, (X[:, [0, 1, 1]] * X[:, [0, 0, 1]]).T
    weights[:N] = 1 / N
    points = []
    for _ in range(R):
        labels = np.where(rng.random(N) < 0.3, rng.integers(K, size=N), np.repeat([0, 1], N // 2))
        groups = [X[labels == k] for k in range(K)]
        shares, means = [len(g) / N for g in groups], [g.mean(axis=0) for g in groups]
        points.append(np.concatenate([shares, *means, *[np.cov(g.T, bias=True).ravel() for g in groups]]))
    states, fitted = np.zeros((R, 1 + K + D * D)), np.zeros((R, K * D * D))
    results = np.full(R, np.nan), np.zeros(R, dtype=np.int64)
    rows = values.ravel(), weights
    return (*rows, D, K, RULES, KINDS, np.array(points), states, fitted, plain, rounds, tolerance, *results)


def taken(mode="serial", parts=1, **options):
    given = arguments(**options)
    runs_kernel(mode)(parts, *given)
    return given[6:9] + given[12:]


def test_the_compiled_kernel_does_what_its_text_says():
    for found, expected in zip(taken(plain=2, rounds=2), taken("python", plain=2, rounds=2), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_give_the_same_bits(parts):
    for found, expected in zip(taken(parts=parts, plain=3, rounds=3), taken(plain=3, rounds=3), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_runs_stop_where_they_rest():
    *_, values, steps = taken(plain=0, rounds=400, tolerance=1e-12)
    *_, best, all_steps = taken(plain=0, rounds=400)
    assert (all_steps == 1200).all()
    assert (steps < 600).all()
    np.testing.assert_allclose(values, best, atol=1e-9)


def test_a_component_without_volume_ends_its_run_and_no_other():
    given, whole = arguments(plain=2, rounds=1), taken(plain=2, rounds=1)
    given[6][0, -4:] = [-1.0, 0.0, 0.0, 1.0]
    runs_kernel()(1, *given)
    assert given[12][0] == -np.inf
    np.testing.assert_array_equal(given[12][1:], whole[3][1:])
