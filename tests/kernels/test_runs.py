"""Runs, compiled, against their text without JIT, and their independence of how the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.kernels.layout import WIDTH
from fastgmm.kernels.runs import runs_kernel

N, D, K, R = 30, 2, 2, 5
RULES, KINDS = np.array([3, 1, 2, 1, 0]), np.array([3, 3, 2, 1, 0])
"""VVV, VEV, EVE, VEI, EII."""


def arguments(plain, rounds, tolerance=-1.0, bars=-np.inf, known=None):
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
    known = np.empty((0, 7)) if known is None else known
    ranges = np.array([[r, r + 1] if len(known) else [0, 0] for r in range(R)])
    limits = np.broadcast_to(bars, R).astype(float), 40.0, np.ones(6), known, ranges, 0.02
    return (*rows, D, K, RULES, KINDS, np.array(points), states, fitted, plain, rounds, tolerance, *limits, *results)


def taken(mode="serial", parts=1, **options):
    given = arguments(**options)
    runs_kernel(mode)(parts, *given)
    return given[6:9] + given[18:]


def test_the_compiled_kernel_does_what_its_text_says():
    for found, expected in zip(taken(plain=2, rounds=2), taken("python", plain=2, rounds=2), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def signature(point):
    """Return K Σ_k s_k² E_k[z zᵀ], z = (1, x), the lower triangle."""
    shares, means, matrices = point[:K], point[K : K + K * D].reshape(K, D), point[K + K * D :].reshape(K, D, D)
    total = np.zeros((D + 1, D + 1))
    for share, mean, matrix in zip(shares, means, matrices, strict=True):
        z = np.concatenate([[1.0], mean])
        expected = np.outer(z, z)
        expected[1:, 1:] += matrix
        total += K * share**2 * expected
    return total[np.tril_indices(D + 1)]


def settled():
    points, _, _, values, _ = taken(plain=0, rounds=200)
    return np.column_stack([values, [signature(point) for point in points]])


def test_runs_end_where_they_head_for_a_known_optimum():
    known = settled()
    *_, values, steps = taken(plain=0, rounds=200, known=known)
    assert (values == -np.inf).all()
    assert (steps < 300).all()
    apart = known + np.eye(7)[4] * 0.1  # another optimum, as good
    *_, values, steps = taken(plain=0, rounds=200, known=apart)
    np.testing.assert_allclose(values, known[:, 0], atol=1e-12)
    below = known - np.eye(7)[0] * 0.1  # one that runs are above
    *_, values, _ = taken(plain=0, rounds=200, known=below)
    assert (values > -np.inf).any()


def test_runs_end_that_cannot_pass_the_bar():
    best = settled()[:, 0]
    bars = best + np.array([-1e-3, 1e-3, -1e-3, 1e-3, 1e-3])
    *_, values, steps = taken(plain=0, rounds=200, bars=bars)
    np.testing.assert_array_equal(values == -np.inf, bars > best)
    assert (steps[bars > best] < 600).all()


def test_the_compiled_kernel_ends_runs_where_its_text_does():
    limits = {"known": settled(), "bars": settled()[:, 0] - 0.01}
    one, other = (taken(mode, plain=1, rounds=8, **limits) for mode in ("serial", "python"))
    for found, expected in zip(one, other, strict=True):
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
    assert given[18][0] == -np.inf
    np.testing.assert_array_equal(given[18][1:], whole[3][1:])
