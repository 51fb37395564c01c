"""Components in the lanes, without JIT, against densities one by one; the compiled text is compared in test_runs."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.kernels import across, squarem
from fastgmm.kernels.compile import _in_python
from fastgmm.kernels.target import LANES

K, D = LANES + 1, 3
SIZE, F = D * D, 1 + D + D * (D + 1) // 2
PAD = across.padded(K)


def mixture(seed=0):
    rng = np.random.default_rng(seed)
    shares, means = rng.dirichlet(np.full(K, 5.0)), rng.standard_normal((K, D))
    factors = np.tril(rng.standard_normal((K, D, D)) * 0.3) + np.eye(D)
    return shares, means, factors @ factors.swapaxes(1, 2)


def flat(shares, means, covariances):
    return np.concatenate([shares, means.ravel(), covariances.ravel()])


def fields_of(point, ridge=0.0):
    fields = np.full((1 + D + SIZE) * PAD, np.nan)
    _in_python(across.lay_across, {})(point, point[K * (1 + D) :], ridge, K, D, fields)
    return fields


def test_coefficients_are_those_of_the_log_densities():
    shares, means, covariances = mixture()
    x = np.random.default_rng(1).standard_normal(D)
    result = np.empty(F * PAD)
    room = np.empty((2 * SIZE + D) * LANES)
    assert _in_python(across.coefficients, {})(fields_of(flat(shares, means, covariances)), K, D, room, result)
    i, j = np.tril_indices(D)
    found = np.concatenate([[1.0], x, x[i] * x[j]]) @ result.reshape(F, PAD)[:, :K]
    away = x - means
    expected = np.log(shares) - 0.5 * np.log(np.linalg.det(2 * np.pi * covariances))
    expected -= 0.5 * np.einsum("kd,kde,ke->k", away, np.linalg.inv(covariances), away)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_coordinates_lead_back_to_the_moments():
    point, back = flat(*mixture()), np.empty(K * (1 + D + SIZE))
    vector, lower = np.empty(F * PAD), np.empty(SIZE * LANES)
    assert _in_python(across.to_coordinates, {})(fields_of(point), K, D, lower, vector)
    _in_python(across.from_coordinates, {})(vector, K, D, lower, back)
    np.testing.assert_allclose(back, point, rtol=1e-12)


@pytest.mark.parametrize("component", [0, K - 1])
def test_what_is_not_positive_definite_is_told(component):
    shares, means, covariances = mixture()
    covariances[component, -1, -1] = -1.0
    fields = fields_of(flat(shares, means, covariances))
    room, result = np.empty((2 * SIZE + D) * LANES), np.empty(F * PAD)
    assert not _in_python(across.coefficients, {})(fields, K, D, room, result)
    assert not _in_python(across.to_coordinates, {})(fields, K, D, room, result)


def test_a_straight_path_is_followed_and_a_point_stays():
    shares, means, covariances = mixture()
    points = [flat(shares, means + step, covariances) for step in (0.0, 1.0, 1.5)]  # halves: the end is at 2
    fields, lower, vectors = np.empty((1 + D + SIZE) * PAD), np.empty(SIZE * LANES), np.empty(3 * F * PAD)
    for three, end in ((points, 2.0), ([points[0]] * 3, 0.0)):
        found = np.empty_like(points[0])
        assert _in_python(squarem.extrapolated, {})(*three, K, D, fields, lower, vectors, found)
        np.testing.assert_allclose(found[K : K * (1 + D)], (means + end).ravel(), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[:K], shares, rtol=1e-9)
