from __future__ import annotations

import geometry
import numpy as np
import pytest

from fastgmm.models import maximise
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics


def sharing(values: list[list[float]], axes: np.ndarray) -> SufficientStatistics:
    """Statistics of scatters with common axes, of ten rows each."""
    scatters = np.einsum("dj,kj,ej->kde", axes, np.array(values), axes)
    scatters = (scatters + scatters.swapaxes(1, 2)) / 2
    k, d = np.shape(values)
    return SufficientStatistics(np.zeros((k, d)), np.full(k, 10.0), np.zeros((k, d)), scatters, 0.0, 10.0 * k)


def turn(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(d).standard_normal((d, d)))[0]


@pytest.mark.parametrize("model", ["EVE", "VVE"])
def test_covariances_commute(model: str) -> None:
    covariances = maximise(geometry.statistics(4, 5), model, reg_covar=0.0).covariances
    for a in covariances:
        for b in covariances:
            np.testing.assert_allclose(a @ b, b @ a, atol=1e-12)


def test_scatters_with_common_axes_are_kept() -> None:
    s = sharing([[1.0, 2.0, 5.0], [7.0, 1.0, 3.0]], turn(3))
    np.testing.assert_allclose(maximise(s, "VVE", reg_covar=0.0).covariances, s.sum_xx / 10, atol=1e-9)


def test_volumes_become_equal() -> None:
    """The axes of a component whose eigenvalues have the product 8, and of one with 1: λ = (2 + 1) / 20."""
    s = sharing([[1.0, 2.0, 4.0], [2.0, 1.0, 0.5]], turn(3))
    expected = 0.15 * np.array([s.sum_xx[0] / 2, s.sum_xx[1]])
    np.testing.assert_allclose(maximise(s, "EVE", reg_covar=0.0).covariances, expected, atol=1e-9)


@pytest.mark.parametrize("model", ["EVE", "VVE"])
def test_an_orientation_before_is_kept_even_where_sums_are_round(model: str) -> None:
    """Two covariances whose sum is a sphere still tell their axes."""
    axes = turn(3)
    s = sharing([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], axes)
    before = Parameters([0.5, 0.5], np.zeros((2, 3)), s.sum_xx / 10)
    p = maximise(s, model, reg_covar=0.0, before=before)
    np.testing.assert_allclose(p.covariances, s.sum_xx / 10, atol=1e-12)


@pytest.mark.parametrize("model", ["EVE", "VVE"])
def test_a_step_is_never_below_the_parameters_before(model: str) -> None:
    """Whatever the orientation was: the statistics of one mixture, the parameters of another."""
    for seed in range(30):
        s = geometry.statistics(3, 4, 60, seed)
        before = maximise(geometry.statistics(3, 4, 60, seed + 100), model, reg_covar=0.0)
        p = maximise(s, model, reg_covar=0.0, before=before)
        assert geometry.expected(s, p) > geometry.expected(s, Parameters(p.weights, p.means, before.covariances))
