from __future__ import annotations

import numpy as np
import problems
import pytest
import reference

from fastgmm.models import MODELS, maximise
from fastgmm.models.full import vvv
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics


def statistics(n_components: int = 3, n_features: int = 2, n_rows: int = 500) -> SufficientStatistics:
    m = problems.mixture(n_components, n_features)
    X = problems.drawn(m, n_rows)
    joint = reference.log_joint(X, m)
    w, x, xx = reference.moments(X, reference.responsibilities(joint), m.means)
    xx = (xx + xx.swapaxes(1, 2)) / 2
    return SufficientStatistics(m.means, w, x, xx, float(reference.log_likelihoods(joint).sum()), float(n_rows))


def as_mixture(p: Parameters) -> reference.Mixture:
    return reference.Mixture(p.weights, p.means, p.covariances)


def assert_close(a: reference.Mixture, b: reference.Mixture, rtol: float = 1e-13) -> None:
    for left, right in zip(a, b, strict=True):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("n_features", [1, 2, 7])
@pytest.mark.parametrize("ridge", [0.0, 1e-6, 3.0])
def test_full_is_the_oracles_rule(n_features: int, ridge: float) -> None:
    s = statistics(n_features=n_features)
    expected = reference.maximise(reference.Moments(s.sum_w, s.sum_x, s.sum_xx), s.origins, ridge)
    assert_close(as_mixture(maximise(s, "VVV", reg_covar=ridge)), expected)


def test_one_component_is_the_sample() -> None:
    s = statistics(n_components=1)
    X = problems.drawn(problems.mixture(1, 2), 500)
    p = maximise(s, reg_covar=0.0)
    np.testing.assert_allclose(p.means[0], X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(p.covariances[0], np.cov(X.T, bias=True), rtol=1e-13)
    np.testing.assert_array_equal(p.weights, [1.0])


def test_origins_do_not_matter() -> None:
    s = statistics()
    moved = s.recentre(s.origins + np.array([3.0, -2.0]))
    assert_close(as_mixture(maximise(moved)), as_mixture(maximise(s)), rtol=1e-12)


def test_a_ridge_for_each_feature() -> None:
    s, ridge = statistics(), np.array([0.5, 2.0])
    difference = maximise(s, reg_covar=ridge).covariances - maximise(s, reg_covar=0.0).covariances
    np.testing.assert_allclose(difference, np.broadcast_to(np.diag(ridge), (3, 2, 2)), atol=1e-15)


def test_covariances_are_symmetric_to_the_bit() -> None:
    covariances = maximise(statistics(n_features=7)).covariances
    np.testing.assert_array_equal(covariances, covariances.swapaxes(1, 2))


def test_an_empty_component_keeps_its_mean() -> None:
    s = statistics()
    s.sum_w[1], s.sum_x[1], s.sum_xx[1] = 0.0, 0.0, 0.0
    p = maximise(s, reg_covar=0.25)
    np.testing.assert_array_equal(p.means[1], s.origins[1])
    np.testing.assert_array_equal(p.covariances[1], 0.25 * np.eye(2))
    assert 0 < p.weights[1] < 1e-15
    assert p.weights.sum() == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("factor", [2.0**-60, 2.0**60])
def test_the_unit_of_row_weights_does_not_matter(factor: float) -> None:
    s = statistics()
    scaled = SufficientStatistics(
        s.origins, s.sum_w * factor, s.sum_x * factor, s.sum_xx * factor, s.log_likelihood * factor, s.weight * factor
    )
    assert_close(as_mixture(maximise(scaled)), as_mixture(maximise(s)), rtol=1e-12)


def test_statistics_are_left_as_they_are() -> None:
    s = statistics()
    before = s.to_bytes()
    maximise(s, reg_covar=1.0)
    assert s.to_bytes() == before


def test_table_of_models() -> None:
    assert MODELS["VVV"].step is vvv
    with pytest.raises(ValueError, match=r"model must be one of EII, .* but is 'XXX'"):
        maximise(statistics(), "XXX")


@pytest.mark.parametrize("ridge", [-1e-9, np.nan, np.inf])
def test_bad_ridges_are_refused(ridge: float) -> None:
    with pytest.raises(ValueError, match="reg_covar must be finite"):
        maximise(statistics(), reg_covar=ridge)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        maximise(SufficientStatistics.zeros(2, 3))
