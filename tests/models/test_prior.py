from __future__ import annotations

from dataclasses import replace
from typing import Any

import geometry
import numpy as np
import pytest
from scipy.stats import invgamma, invwishart, multivariate_normal
from sklearn.datasets import load_iris

from fastgmm.models import MODELS, Prior, maximise
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

MCLUST = {
    "VII": (0.07491144, 0.00000000, 0.20865412, 0.00000000),
    "EEI": (0.24614217, 0.00000000, 0.17372703, 0.00000000),
    "VEI": (0.14140350, 0.00000000, 0.24002752, 0.00000000),
    "EVI": (0.24183104, 0.00000000, 0.20251567, 0.00000000),
    "VVI": (0.11449592, 0.00000000, 0.26469538, 0.00000000),
    "EEE": (0.24002881, 0.08293604, 0.17749504, 0.04303151),
    "EEV": (0.23998060, 0.19192108, 0.21452698, 0.04221997),
    "VEV": (0.15628562, 0.12314390, 0.33389903, 0.06527023),
    "VVV": (0.10469508, 0.07796770, 0.27026067, 0.05089109),
}
"""Σ_1,11, Σ_1,12, Σ_3,33 and Σ_3,34 of R's mclust 6.0.0 with priorControl(), after the M-step from iris's species: by
mstep(), and by me() for EEV."""

CONVERGED = {
    "VII": -384.478676,
    "VEI": -345.428591,
    "VVI": -312.904087,
    "EEE": -257.739377,
    "EEV": -220.988230,
    "VEV": -198.486481,
    "VVV": -192.695284,
}
"""Log-likelihood (without the prior's) where mclust's me() with priorControl() ends from there."""


def prior(d: int = 3, **changes: Any) -> Prior:
    rng = np.random.default_rng(d)
    factor = rng.standard_normal((d, d))
    made = Prior(rng.standard_normal(d), 0.7, d + 1.5, factor @ factor.T + np.eye(d), rng.uniform(0.5, 2.0, d))
    return replace(made, **changes)


def of_iris() -> tuple[np.ndarray, SufficientStatistics, Prior]:
    X, species = load_iris(return_X_y=True)
    return X, geometry.of_shares(X, np.eye(3)[species]), Prior.mclust(X.mean(axis=0), np.cov(X.T), 3)


@pytest.mark.parametrize("model", MCLUST)
def test_one_step_is_mclusts(model: str) -> None:
    _, s, default = of_iris()
    p = maximise(s, model, reg_covar=0.0, prior=default)
    covariances = p.matrices
    found = covariances[0, 0, 0], covariances[0, 0, 1], covariances[2, 2, 2], covariances[2, 2, 3]
    np.testing.assert_allclose(found, MCLUST[model], atol=1e-8)
    np.testing.assert_allclose(p.means[0, :2], [5.00616743, 3.42792588], atol=1e-8)


@pytest.mark.parametrize("model", CONVERGED)
def test_em_ends_where_mclusts_does(model: str) -> None:
    X, s, default = of_iris()
    p, last = None, -np.inf
    for _ in range(2000):
        p = maximise(s, model, reg_covar=0.0, prior=default, before=p)
        s = geometry.step(X, p)
        if abs(s.log_likelihood - last) < 1e-9:
            break
        last = s.log_likelihood
    assert s.log_likelihood == pytest.approx(CONVERGED[model], abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shrinkage", [0.7, 0.0])
def test_nothing_near_by_in_the_model_has_a_higher_posterior(model: str, shrinkage: float) -> None:
    s, belief, rng = geometry.statistics(), prior(shrinkage=shrinkage), np.random.default_rng(0)
    p = maximise(s, model, reg_covar=0.0, prior=belief)
    best = geometry.expected(s, p) + belief.log_density(p, model)
    for size in (1e-3, 0.03, 0.5):
        for _ in range(30):
            q = geometry.perturbed(model, p, size, rng)
            assert geometry.expected(s, q) + belief.log_density(q, model) < best


@pytest.mark.parametrize("model", MODELS)
def test_em_never_lowers_the_posterior(model: str) -> None:
    for seed in range(5):
        X, _ = geometry.drawn(3, 3, 30, seed)
        shares = np.random.default_rng(seed).dirichlet(np.ones(6), len(X))
        belief = Prior.mclust(X.mean(axis=0), np.cov(X.T), 6)
        s, p, last = geometry.of_shares(X, shares), None, -np.inf
        for _ in range(15):
            p = maximise(s, model, reg_covar=0.0, prior=belief, before=p)
            s = geometry.step(X, p)
            posterior = s.log_likelihood + belief.log_density(p, model)
            assert posterior >= last - 1e-12 * abs(last)
            last = posterior


def difference(model: str, belief: Prior, p: Parameters, q: Parameters) -> float:
    return belief.log_density(p, model) - belief.log_density(q, model)


def two_mixtures(model: str) -> tuple[Parameters, Parameters]:
    found = [maximise(geometry.statistics(seed=seed), model) for seed in (0, 1)]
    return found[0], found[1]


def of_means(belief: Prior, p: Parameters) -> float:
    return sum(
        multivariate_normal(belief.mean, covariance / belief.shrinkage).logpdf(mean)
        for mean, covariance in zip(p.means, p.matrices, strict=True)
    )


@pytest.mark.parametrize("model", ["VVV", "VEE", "EVE", "VVE", "EVV"])
def test_density_is_normal_inverse_wishart(model: str) -> None:
    belief = prior()
    wishart = invwishart(belief.degrees_of_freedom, belief.scale)
    p, q = two_mixtures(model)
    logs = [of_means(belief, m) + sum(wishart.logpdf(covariance) for covariance in m.matrices) for m in (p, q)]
    assert difference(model, belief, p, q) == pytest.approx(logs[0] - logs[1])


def test_density_of_one_covariance_counts_once() -> None:
    belief = prior()
    wishart = invwishart(belief.degrees_of_freedom, belief.scale)
    p, q = two_mixtures("EEE")
    logs = [of_means(belief, m) + wishart.logpdf(m.covariances) for m in (p, q)]
    assert difference("EEE", belief, p, q) == pytest.approx(logs[0] - logs[1])


@pytest.mark.parametrize("model", ["EII", "VII", "EEI", "VVI"])
def test_density_of_variances_is_inverse_gamma(model: str) -> None:
    belief = prior()
    nu, scale = belief.degrees_of_freedom, belief.diagonal
    p, q = two_mixtures(model)
    logs = []
    for m in (p, q):
        variances = m.covariances[:1] if MODELS[model].common else m.covariances
        scales = scale.mean() if MODELS[model].form == "spherical" else scale
        logs.append(of_means(belief, m) + invgamma(nu / 2, scale=scales / 2).logpdf(variances).sum())
    assert difference(model, belief, p, q) == pytest.approx(logs[0] - logs[1])


@pytest.mark.parametrize("model", MODELS)
def test_many_rows_outweigh_a_prior(model: str) -> None:
    s = geometry.statistics()
    many = SufficientStatistics(s.origins, s.sum_w * 1e9, s.sum_x * 1e9, s.sum_xx * 1e9, 0.0, s.weight * 1e9)
    p, q = maximise(many, model, reg_covar=0.0), maximise(many, model, reg_covar=0.0, prior=prior())
    np.testing.assert_allclose(q.means, p.means, atol=1e-7)
    np.testing.assert_allclose(q.matrices, p.matrices, atol=1e-4 if model in ("EVE", "VVE") else 1e-6)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_component_of_few_rows_is_positive_definite(model: str, rows: int) -> None:
    X, _ = geometry.drawn(2, 3, 40)
    labels = np.zeros(len(X), dtype=int)
    labels[:rows] = 1
    s = geometry.of_shares(X, np.eye(2)[labels], X[:2])
    p = maximise(s, model, reg_covar=0.0, prior=Prior.mclust(X.mean(axis=0), np.cov(X.T), 2))
    assert (np.linalg.eigvalsh(p.matrices) > 1e-3).all()
    if rows == 0:
        np.testing.assert_allclose(p.means[1], X.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_a_prior_moves_along_with_the_features(model: str) -> None:
    X, shares = geometry.drawn()
    units = np.full(3, 8.0) if MODELS[model].isotropic else np.array([0.125, 1.0, 1024.0])
    belief = prior()
    moved = belief.rescaled((belief.mean - 5.0) * units, units)
    p = maximise(geometry.of_shares(X, shares), model, reg_covar=0.0, prior=belief)
    q = maximise(geometry.of_shares((X - 5.0) * units, shares), model, reg_covar=0.0, prior=moved)
    np.testing.assert_allclose(q.means / units + 5.0, p.means, atol=1e-12)
    np.testing.assert_allclose(
        q.matrices / (units[:, None] * units), p.matrices, atol=1e-4 if model in ("EVE", "VVE") else 1e-8
    )
    other = Parameters(p.weights, p.means + 0.1, 1.1 * p.covariances, p.form)
    there = [Parameters(m.weights, (m.means - 5.0) * units, m.matrices * units[:, None] * units) for m in (p, other)]
    assert difference(model, moved, *there) == pytest.approx(difference(model, belief, p, other))


def test_defaults_are_mclusts() -> None:
    made = Prior.mclust([1.0, 2.0], [[4.0, 1.0], [1.0, 8.0]], 4)
    assert (made.shrinkage, made.degrees_of_freedom) == (0.01, 4.0)
    np.testing.assert_allclose(made.scale, [[1.0, 0.25], [0.25, 2.0]])
    np.testing.assert_allclose(made.diagonal, [1.5, 1.5])
    np.testing.assert_array_equal(made.mean, [1.0, 2.0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": np.zeros((2, 2))}, r"mean must have shape \(4,\)"),
        ({"scale": np.eye(2)}, r"scale must have shape \(3, 3\)"),
        ({"scale": np.array(1.0)}, r"scale must have shape \(3, 3\)"),
        ({"diagonal": np.ones(2)}, r"diagonal must have shape \(3,\)"),
        ({"mean": np.array([0.0, np.nan, 0.0])}, "mean must be finite"),
        ({"shrinkage": -0.1}, "shrinkage must be finite and not negative, but is -0.1"),
        ({"degrees_of_freedom": np.inf}, "degrees_of_freedom must be finite and not negative"),
        ({"scale": np.eye(3) + np.eye(3, k=1)}, "scale must be symmetric"),
        ({"scale": np.diag([1.0, -1.0, 1.0])}, "must not be negative"),
        ({"scale": np.ones((3, 3)) + np.diag([0.0, 0.0, -0.5])}, "must not be negative"),
        ({"diagonal": np.array([1.0, -1.0, 1.0])}, "must not be negative"),
    ],
)
def test_bad_priors_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prior(**changes)


def test_a_prior_of_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="the prior is of 2 features, but the statistics are of 3"):
        maximise(geometry.statistics(), prior=prior(2))


def test_one_step_by_hand() -> None:
    """D = 1, one component of the rows 0 and 2, κ = 2, ν = 3, Λ = 1: x̄ = 1, W = 2, and 9 is (x̄ − μ_P)²."""
    s = geometry.of_shares(np.array([[0.0], [2.0]]), np.ones((2, 1)))
    p = maximise(s, prior=Prior(np.array([4.0]), 2.0, 3.0, np.eye(1)), reg_covar=0.0)
    np.testing.assert_allclose(p.means, [[(2 * 1 + 2 * 4) / (2 + 2)]])
    np.testing.assert_allclose(p.covariances, [[[(1 + 2 + 2 * 2 / (2 + 2) * 9) / (3 + 2 + 1 + 2)]]])
