from __future__ import annotations

import geometry
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.datasets import load_iris
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

import fastgmm
from fastgmm.errors import DegenerateComponentError, StatisticsError
from fastgmm.models import FAMILIES, MODELS, maximise
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

EDDA = {
    "EII": (-414.6980, -444.6678),
    "VII": (-392.4984, -417.9650),
    "EEI": (-364.5174, -384.0883),
    "VEI": (-340.8361, -355.4588),
    "EVI": (-342.9737, -364.2257),
    "VVI": (-309.3628, -326.0501),
    "EEE": (-256.6462, -263.2037),
    "VEE": (-238.3947, -245.6816),
    "EVE": (-235.5521, -241.5427),
    "VVE": (-214.9091, -220.9827),
    "EEV": (-215.1433, -220.8005),
    "VEV": (-187.7097, -194.0475),
    "EVV": (-209.4548, -214.3575),
    "VVV": (-182.9208, -188.3756),
}
"""Σ log p(x) and Σ log π_y p(x | y) of iris after one M-step from the species; VEV's is in mclust's vignette."""

BIC = {
    "EII": (-1804.0854, -1123.4113, -878.7639),
    "VII": (-1804.0854, -1012.2352, -853.8090),
    "EEI": (-1522.1202, -1042.9679, -813.0425),
    "VEI": (-1522.1202, -956.2823, -779.1502),
    "EVI": (-1522.1202, -1007.3082, -797.8329),
    "VVI": (-1522.1202, -857.5515, -743.9974),
    "EEE": (-829.9782, -688.0972, -632.9633),
    "VEE": (-829.9782, -656.3270, -605.3968),
    "EVE": (-829.9782, -657.2263, -616.9843),
    "VVE": (-829.9782, -604.3858, -588.4467),
    "EEV": (-829.9782, -644.5997, -610.0836),
    "VEV": (-829.9782, -561.7285, -562.5507),
    "EVV": (-829.9782, -658.3306, -621.5184),
    "VVV": (-829.9782, -574.0178, -580.8389),
}
"""2 log L − p log N of iris at convergence, for one to three components: what mclust's log and norMmix agree on for the
models that they list."""


def iris() -> tuple[np.ndarray, np.ndarray]:
    return load_iris(return_X_y=True)


def starts(X: np.ndarray, species: np.ndarray, k: int) -> list[np.ndarray]:
    """Hard labels: the species, or the first and the others; k-means; k-means of whitened rows."""
    labels = [np.minimum(species, k - 1)]
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(X.T)), X.T).T
    for rows in (X, whitened):
        chosen = np.random.default_rng(1).choice(len(X), k, replace=False)
        labels.append(reference.nearest(rows, reference.lloyd(rows, rows[chosen], 10)))
    return [np.eye(k)[each] for each in labels]


def converged(X: np.ndarray, shares: np.ndarray, model: str) -> float:
    """Log-likelihood where EM rests."""
    s, p, last = geometry.of_shares(X, shares), None, -np.inf
    for _ in range(500):
        p = maximise(s, model, reg_covar=0.0, before=p)
        s = geometry.step(X, p)
        if s.log_likelihood - last < 1e-8:
            break
        last = s.log_likelihood
    return s.log_likelihood


@pytest.mark.parametrize("model", MODELS)
def test_discriminant_analysis_of_iris(model: str) -> None:
    X, species = iris()
    p = maximise(geometry.of_shares(X, np.eye(3)[species]), model, reg_covar=0.0)
    joint = geometry.joint(X, p)
    marginal, complete = EDDA[model]
    assert reference.log_likelihoods(joint).sum() == pytest.approx(marginal, abs=1e-4)
    assert joint[np.arange(len(X)), species].sum() == pytest.approx(complete, abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_em_reaches_the_known_maxima_of_iris(model: str, k: int) -> None:
    X, species = iris()
    best = max(converged(X, shares, model) for shares in starts(X, species, k)[: 3 if k == 3 else 1])
    bic = 2 * best - MODELS[model].n_parameters(k, 4) * np.log(len(X))
    assert bic == pytest.approx(BIC[model][k - 1], abs=1e-4)


def test_the_kernels_statistics_do_as_well() -> None:
    X, species = iris()
    p = maximise(geometry.of_shares(X, np.eye(3)[species]), "VEV", reg_covar=0.0)
    s = fastgmm.expectation(X, p, n_threads=1)
    p = maximise(s, "VEV", reg_covar=0.0, before=p)
    assert fastgmm.expectation(X, p, n_threads=1).log_likelihood > s.log_likelihood > -187.71


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("k", "d"), [(1, 2), (3, 1), (3, 3), (4, 5)])
def test_covariances_are_in_the_model(model: str, k: int, d: int) -> None:
    p = maximise(geometry.statistics(k, d), model, reg_covar=0.0)
    assert p.form == MODELS[model].form
    inside = geometry.composed(*geometry.decomposed(model, p.matrices))
    np.testing.assert_allclose(inside, p.matrices, rtol=1e-9, atol=1e-9 * p.matrices.max())
    np.testing.assert_array_equal(p.matrices, p.matrices.swapaxes(1, 2))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [1e-3, 0.03, 0.5])
def test_nothing_near_by_in_the_model_is_better(model: str, size: float) -> None:
    s, rng = geometry.statistics(), np.random.default_rng(0)
    p = maximise(s, model, reg_covar=0.0)
    best = geometry.expected(s, p)
    for _ in range(50):
        assert geometry.expected(s, geometry.perturbed(model, p, size, rng)) < best


@pytest.mark.parametrize("model", MODELS)
def test_a_general_optimiser_finds_the_same_maximum(model: str) -> None:
    k, s = 2, geometry.statistics(2, 2)
    p = maximise(s, model, reg_covar=0.0)

    def covariances(x: np.ndarray) -> np.ndarray:
        volume, shape, angle = np.clip(x[:k], -9, 9), np.clip(x[k : 2 * k], -9, 9), x[2 * k :]
        volume = volume if model[0] == "V" else volume[:1].repeat(k)
        shape = {"V": shape, "E": shape[:1].repeat(k), "I": 0 * shape}[model[1]]
        angle = {"V": angle, "E": angle[:1].repeat(k), "I": 0 * angle}[model[2]]
        axes = np.array([[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angle])
        return geometry.composed(np.exp(volume), np.exp(np.stack([shape, -shape], axis=1)), axes)

    def loss(x: np.ndarray) -> float:
        return -geometry.expected(s, Parameters(p.weights, p.means, covariances(x)))

    tried = [np.random.default_rng(seed).standard_normal(3 * k) for seed in range(4)]
    best = min((minimize(loss, x, method="BFGS", options={"gtol": 1e-4}) for x in tried), key=lambda found: found.fun)
    assert geometry.expected(s, p) == pytest.approx(-best.fun, rel=1e-9)
    np.testing.assert_allclose(p.matrices, covariances(best.x), atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(10))
def test_em_never_descends(model: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, d, n = int(rng.integers(1, 5)), int(rng.integers(1, 5)), int(rng.integers(60, 120))
    X, _ = geometry.drawn(3, d, n, seed)
    s, p, last = geometry.of_shares(X, rng.dirichlet(np.ones(k), n)), None, -np.inf
    for _ in range(15):
        p = maximise(s, model, reg_covar=0.0, before=p)
        s = geometry.step(X, p)
        assert s.log_likelihood >= last - 1e-12 * abs(last)
        last = s.log_likelihood


@pytest.mark.parametrize("model", geometry.SCALED)
def test_units_of_the_features_do_not_matter(model: str) -> None:
    X, shares = geometry.drawn()
    units = np.array([1e-6, 1.0, 3e4])
    p = maximise(geometry.of_shares(X, shares), model, reg_covar=0.0)
    q = maximise(geometry.of_shares(X * units, shares), model, reg_covar=0.0)
    np.testing.assert_allclose(q.matrices / (units[:, None] * units), p.matrices, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("model", geometry.TURNED)
def test_covariances_turn_with_the_features(model: str) -> None:
    X, shares = geometry.drawn()
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    p = maximise(geometry.of_shares(X, shares), model, reg_covar=0.0)
    q = maximise(geometry.of_shares(X @ turn.T, shares), model, reg_covar=0.0)
    atol = 1e-4 if model in ("EVE", "VVE") else 1e-9
    np.testing.assert_allclose(turn.T @ q.matrices @ turn, p.matrices, atol=atol)


@pytest.mark.parametrize("model", MODELS)
@given(st.sampled_from([1e-150, 1e-9, 1e9, 1e150]), st.integers(0, 3))
def test_one_unit_and_an_offset_do_not_matter(model: str, unit: float, seed: int) -> None:
    X, shares = geometry.drawn(2, 3, 60, seed)
    p = maximise(geometry.of_shares(X, shares), model, reg_covar=0.0)
    q = maximise(geometry.of_shares((X + 7.0) * unit, shares), model, reg_covar=0.0)
    atol = 1e-4 if model in ("EVE", "VVE") else 1e-8
    np.testing.assert_allclose(q.matrices / unit / unit, p.matrices, atol=atol)
    np.testing.assert_allclose(q.means / unit - 7.0, p.means, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_scikit_learns(family: str) -> None:
    X, shares = geometry.drawn()
    p = maximise(geometry.of_shares(X, shares, X[:3]), family, reg_covar=0.01)
    counts, means, covariances = _estimate_gaussian_parameters(X, shares, 0.01, family)
    assert p.form == family
    np.testing.assert_allclose(p.weights, counts / counts.sum(), rtol=1e-13)
    np.testing.assert_allclose(p.means, means, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(p.covariances, covariances, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("model", MODELS)
def test_the_least_moments_are_enough(model: str) -> None:
    s = geometry.statistics()
    p, q = maximise(s, model), maximise(s.reduced(MODELS[model].moments), model)
    np.testing.assert_allclose(q.covariances, p.covariances, rtol=1e-12)


def test_other_moments_are_not() -> None:
    with pytest.raises(StatisticsError, match="statistics with diag second moments do not tell full ones"):
        maximise(geometry.statistics().reduced("diag"), "VEV")


@pytest.mark.parametrize("model", MODELS)
def test_a_ridge_is_added_to_the_variances(model: str) -> None:
    s, ridge = geometry.statistics(), np.array([0.5, 1.0, 3.0])
    difference = maximise(s, model, reg_covar=ridge).matrices - maximise(s, model, reg_covar=0.0).matrices
    added = np.full(3, 1.5) if MODELS[model].form == "spherical" else ridge
    np.testing.assert_allclose(difference, np.broadcast_to(np.diag(added), (3, 3, 3)), atol=1e-14)


@pytest.mark.parametrize("model", MODELS)
def test_parameters_before_change_no_maximum(model: str) -> None:
    s = geometry.statistics()
    p = maximise(s, model, reg_covar=0.0)
    q = maximise(s, model, reg_covar=0.0, before=p)
    assert geometry.expected(s, q) == pytest.approx(geometry.expected(s, p), rel=1e-8)
    singular = Parameters(p.weights, p.means, np.zeros((3, 3, 3)))
    finite = maximise(s, model, reg_covar=0.0, before=singular)
    assert np.isfinite(finite.covariances).all()


def test_parameters_before_must_fit() -> None:
    with pytest.raises(ValueError, match=r"before must have means of shape \(3, 3\)"):
        maximise(geometry.statistics(), "VVE", before=Parameters([1.0], np.zeros((1, 3)), [np.eye(3)]))


def test_weights_may_be_equal() -> None:
    s = geometry.statistics()
    p, q = maximise(s, equal_weights=True), maximise(s)
    np.testing.assert_array_equal(p.weights, np.full(3, 1 / 3))
    np.testing.assert_array_equal(p.covariances, q.covariances)
    np.testing.assert_array_equal(p.means, q.means)


# --- what has no maximum ---


def degenerate(kind: str) -> SufficientStatistics:
    X, shares = geometry.drawn(3, 3, 60)
    labels = shares.argmax(axis=1)
    if kind == "empty":
        labels[labels == 1] = 0
    elif kind == "one row":
        labels[labels == 1] = 0
        labels[7] = 1
    elif kind == "two rows":
        labels[labels == 1] = 0
        labels[[7, 8]] = 1
    elif kind == "point mass":
        X[labels == 1] = X[labels == 1][0]
    elif kind == "constant feature":
        X[:, 1] = 0.1
    elif kind == "constant in one component":
        X[labels == 1, 1] = 0.1
    elif kind == "collinear":
        X[:, 2] = X[:, 0] - X[:, 1]
    elif kind == "all rows alike":
        X[:] = 0.1
    return geometry.of_shares(X, np.eye(3)[labels], X[:3])


FLAT = {
    "EVI": {"constant in one component"},
    "EVE": {"constant in one component"},
    "EVV": {"constant in one component", "two rows"},
}
"""What leaves a component without the volume that the model gives to all, unless a ridge gives it one."""

KINDS = ["empty", "one row", "two rows", "point mass", "constant feature", "constant in one component", "collinear"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", [*KINDS, "all rows alike"])
def test_degenerate_rows_give_numbers_or_an_error(model: str, kind: str) -> None:
    s = degenerate(kind)
    if kind in FLAT.get(model, ()):
        with pytest.raises(DegenerateComponentError, match=r"Component 1: its rows lie in a subspace"):
            maximise(s, model, reg_covar=0.0)
    p = maximise(s, model, reg_covar=1e-3)
    assert np.isfinite(p.covariances).all()
    assert np.isfinite(p.means).all()
    assert (np.linalg.eigvalsh(p.matrices) > 0.9e-3).all()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("unit", [1e-140, 1.0, 1e140])
def test_extremes_give_numbers_without_a_warning(model: str, unit: float) -> None:
    """Components of almost no weight, of none, of tiny spread, and of nearly collinear rows."""
    X, _ = geometry.drawn(4, 3, 80)
    labels, shares = np.arange(80) // 20, np.ones(80)
    shares[labels == 0] = 1e-300
    shares[labels == 1] = 0.0
    X[labels == 2] *= 1e-7
    X[labels == 3, 0] = X[labels == 3, 1] + 1e-5 * X[labels == 3, 0]
    s = geometry.of_shares(unit * X, np.eye(4)[labels] * shares[:, None], unit * X[::20])
    p = maximise(s, model, reg_covar=0.0)
    q = maximise(s, model, reg_covar=0.0, before=p)
    for found in (p, q):
        assert np.isfinite(found.means).all()
        assert np.isfinite(found.covariances).all()
        assert (found.variances >= 0).all()


@pytest.mark.parametrize("model", ["EVI", "EVE", "EVV", "VEI", "VEE", "VEV"])
def test_a_constant_feature_leaves_the_others_as_they_are(model: str) -> None:
    X, shares = geometry.drawn(3, 2, 60)
    padded = np.insert(X, 1, 0.1, axis=1)
    p = maximise(geometry.of_shares(X, shares), model, reg_covar=0.0)
    q = maximise(geometry.of_shares(padded, shares), model, reg_covar=0.0)
    np.testing.assert_allclose(q.matrices[:, ::2, ::2], p.matrices, atol=1e-4 if model == "EVE" else 1e-8)
    np.testing.assert_allclose(q.matrices[:, 1], 0.0, atol=1e-12)


@pytest.mark.parametrize("model", ["EVI", "EVE", "EVV"])
@pytest.mark.parametrize("kind", ["empty", "one row", "point mass"])
def test_a_component_without_scatter_gets_a_shape(model: str, kind: str) -> None:
    p = maximise(degenerate(kind), model, reg_covar=0.0)
    determinants = np.linalg.det(p.matrices)
    np.testing.assert_allclose(determinants, determinants[0], rtol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_the_unit_of_row_weights_does_not_matter(model: str) -> None:
    s = geometry.statistics()
    for factor in (2.0**-60, 2.0**60):
        scaled = SufficientStatistics(
            s.origins, s.sum_w * factor, s.sum_x * factor, s.sum_xx * factor, 0.0, s.weight * factor
        )
        atol = 1e-4 if model in ("EVE", "VVE") else 1e-8
        np.testing.assert_allclose(maximise(scaled, model).covariances, maximise(s, model).covariances, atol=atol)


@pytest.mark.parametrize("model", ["EVI", "EVE", "EVV"])
def test_a_ridge_gives_a_volume_to_rows_that_lack_one(model: str) -> None:
    """The covariances are those of rows with noise of the ridge's variances, which have a volume."""
    rng = np.random.default_rng(0)
    covariances = np.stack([np.eye(2), np.array([[4.0, 0.0], [0.0, 0.0]])])
    means, ridge = rng.normal(size=(2, 2)), np.array([1e-3, 2e-3])
    counts = np.array([30.0, 50.0])
    thin, full = (
        SufficientStatistics(means, counts, np.zeros((2, 2)), counts[:, None, None] * c, 0.0, 80.0)
        for c in (covariances, covariances + np.diag(ridge))
    )
    with pytest.raises(DegenerateComponentError, match="Component 1"):
        maximise(thin, model, reg_covar=0.0)
    found = maximise(thin, model, reg_covar=ridge)
    np.testing.assert_allclose(found.covariances, maximise(full, model, reg_covar=0.0).covariances, rtol=1e-12)
    volumes = np.prod(np.linalg.eigvalsh(found.matrices), axis=1)
    np.testing.assert_allclose(volumes[0], volumes[1], rtol=1e-9)
