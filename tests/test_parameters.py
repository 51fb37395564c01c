from __future__ import annotations

import dataclasses
import math

import numpy as np
import problems
import pytest
import reference

from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters


@pytest.mark.parametrize("n_features", [1, 2, 5, 40])
def test_factors(n_features: int) -> None:
    p = problems.parameters(problems.mixture(3, n_features))
    unit = np.broadcast_to(np.eye(n_features), (3, n_features, n_features))
    assert (p.n_components, p.n_features) == (3, n_features)
    np.testing.assert_allclose(p.choleskys @ p.choleskys.swapaxes(1, 2), p.covariances, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(p.whiteners @ p.choleskys, unit, atol=1e-13)
    np.testing.assert_array_equal(p.whiteners, np.tril(p.whiteners))


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_log_constants_are_log_joints_at_the_means(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    at_means = np.diag(reference.log_joint(m.means, m))
    np.testing.assert_allclose(problems.parameters(m).log_constants, at_means, rtol=1e-14)


def test_log_constant_without_weight() -> None:
    p = Parameters(np.array([0.0, 1.0]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    assert p.log_constants[0] == -math.inf


@pytest.mark.parametrize("scale", [1e-300, 1e-10, 1e10, 1e300])
def test_factors_of_any_size(scale: float) -> None:
    p = Parameters(np.ones(1), np.zeros((1, 2)), scale * np.array([[[2.0, 1.0], [1.0, 2.0]]]))
    np.testing.assert_allclose(p.whiteners @ p.choleskys, [np.eye(2)], atol=1e-15)
    assert p.log_constants[0] == pytest.approx(-math.log(2 * math.pi) - 0.5 * math.log(3) - math.log(scale), rel=1e-14)


def test_whiteners_of_nearly_singular_covariances_are_backward_stable() -> None:
    correlation = 1 - 1e-12
    p = Parameters(np.ones(1), np.zeros((1, 2)), np.array([[[1.0, correlation], [correlation, 1.0]]]))
    residual = p.whiteners[0] @ p.choleskys[0] - np.eye(2)
    assert np.abs(residual).max() <= 1e-15 * np.linalg.norm(p.whiteners[0]) * np.linalg.norm(p.choleskys[0])


def test_arrays_are_converted() -> None:
    p = Parameters([1], [[1, 2]], np.asfortranarray(np.eye(2, dtype=np.float32)[None]))  # type: ignore[arg-type]
    assert all(a.dtype == np.float64 and a.flags.c_contiguous for a in (p.weights, p.means, p.covariances))


@pytest.mark.parametrize(
    ("weights", "means", "covariances"),
    [((2,), (3, 2), (3, 2, 2)), ((2,), (2,), (2, 1, 1)), ((2,), (2, 2), (2, 2)), ((2,), (2, 2), (2, 3, 3))],
)
def test_shapes_must_belong_together(weights: tuple[int], means: tuple[int], covariances: tuple[int]) -> None:
    with pytest.raises(ValueError, match=r"shape|belong together"):
        Parameters(np.ones(weights), np.ones(means), np.ones(covariances))


@pytest.mark.parametrize(
    "covariance",
    [[[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]], [[np.nan, 0.0], [0.0, 1.0]], [[np.inf, 0.0], [0.0, 1.0]]],
)
def test_the_degenerate_component_is_named(covariance: list[list[float]]) -> None:
    p = Parameters(np.full(2, 0.5), np.zeros((2, 2)), np.array([np.eye(2), covariance]))
    with pytest.raises(DegenerateComponentError, match=r"ill-defined empirical covariance.*Component 1"):
        p.whiteners  # noqa: B018


def test_parameters_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        problems.parameters(problems.mixture(1, 1)).weights = np.zeros(1)  # type: ignore[misc]
