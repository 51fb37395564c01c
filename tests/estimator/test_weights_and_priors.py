"""What goes beyond scikit-learn: criteria with weights, reliability, equal weights, priors, relative ridges, advice."""

import math
import warnings

import numpy as np
import pytest
from problems import overlapping
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from fastgmm import GaussianMixture
from fastgmm.models.prior import Prior

X, _ = overlapping(n=400, d=2)
COUNTS = np.random.RandomState(1).randint(0, 4, 400)


def fit(rows=X, sample_weight=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(**{"n_components": 3, "random_state": 0, "max_iter": 20, **options}).fit(
            rows, sample_weight=sample_weight
        )


GM = fit()


# --- criteria ---


@pytest.mark.parametrize("method", ["score", "bic", "aic", "icl"])
def test_whole_weights_are_repeated_rows(method):
    call = getattr(GM, method)
    assert call(X, sample_weight=COUNTS) == pytest.approx(call(np.repeat(X, COUNTS, axis=0)), rel=1e-12)
    assert call(X, sample_weight=np.ones(400)) == pytest.approx(call(X), rel=1e-12)


@pytest.mark.parametrize("method", ["bic", "aic", "icl"])
def test_reliability_has_no_unit(method):
    gm = clone(GM).set_params(weight_type="reliability").fit(X)
    call = getattr(gm, method)
    assert call(X, sample_weight=1e-9 * COUNTS) == pytest.approx(call(X, sample_weight=COUNTS), rel=1e-12)
    assert call(X, sample_weight=np.full(400, 3.0)) == pytest.approx(call(X), rel=1e-12)
    counted = COUNTS * np.count_nonzero(COUNTS) / COUNTS.sum()
    frequency = getattr(clone(GM).fit(X), method)
    assert call(X, sample_weight=COUNTS) == pytest.approx(frequency(X, sample_weight=counted), rel=1e-12)


def test_icl_adds_the_entropy_of_the_labels():
    shares = GM.predict_proba(X)
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum()
    assert GM.icl(X) == pytest.approx(GM.bic(X) + 2 * entropy, rel=1e-12)
    assert entropy > 1


def test_icl_is_summed_piece_by_piece(monkeypatch):
    many = np.resize(X, (4000, X.shape[1]))
    whole = GM.icl(many)
    monkeypatch.setattr("fastgmm.scoring.span_bytes", lambda: 1)
    assert GM.icl(many) == whole


def test_a_row_without_weight_may_be_infinitely_far():
    far = np.vstack([X, [[1e300, 0.0]]])
    weights = np.r_[np.ones(400), 0.0]
    assert GM.score(far, sample_weight=weights) == pytest.approx(GM.score(X), rel=1e-12)


@pytest.mark.parametrize("method", ["score", "bic", "aic", "icl"])
def test_bad_weights_are_refused(method):
    with pytest.raises(ValueError, match=r"\(3,\).*\(400,\)"):
        getattr(GM, method)(X, sample_weight=np.ones(3))


def test_reliability_changes_a_fit_only_beside_a_prior():
    same = [fit(sample_weight=c * COUNTS, weight_type="reliability") for c in (1.0, 1e6)]
    np.testing.assert_allclose(same[1].means_, same[0].means_, rtol=1e-9)
    np.testing.assert_allclose(same[0].means_, fit(sample_weight=COUNTS).means_, rtol=1e-6)
    priors = [fit(sample_weight=c * COUNTS, weight_type="reliability", prior="mclust") for c in (1.0, 1e6)]
    np.testing.assert_allclose(priors[1].covariances_, priors[0].covariances_, rtol=1e-9)
    counted = fit(sample_weight=1e6 * COUNTS, prior="mclust")  # so many rows outweigh the prior
    assert np.abs(counted.covariances_ / priors[0].covariances_ - 1).max() > 1e-3


# --- equal weights ---


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VEV"])
def test_equal_weights_are_no_parameters(covariance_type):
    plain, equal = fit(covariance_type=covariance_type), fit(covariance_type=covariance_type, equal_weights=True)
    np.testing.assert_array_equal(equal.weights_, np.full(3, 1 / 3))
    assert plain._n_parameters() - equal._n_parameters() == 2
    assert equal.bic(X) == pytest.approx(-2 * 400 * equal.score(X) + equal._n_parameters() * math.log(400), rel=1e-12)


def test_equal_weights_exclude_given_ones():
    with pytest.raises(ValueError, match="weights_init has no effect"):
        GaussianMixture(2, equal_weights=True, weights_init=[0.3, 0.7]).fit(X)


# --- priors ---


def test_mclusts_prior_is_that_of_mean_and_covariance():
    given = Prior.mclust(X.mean(axis=0), np.cov(X.T), 3)
    one, other = fit(prior="mclust"), fit(prior=given)
    np.testing.assert_allclose(one.covariances_, other.covariances_, rtol=1e-10)
    np.testing.assert_allclose(one.lower_bounds_, other.lower_bounds_, rtol=1e-12)
    assert np.abs(one.covariances_ / GM.covariances_ - 1).max() > 1e-3


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VVE"])
def test_the_bound_is_the_penalised_mean(covariance_type):
    prior = Prior.mclust(X.mean(axis=0), np.cov(X.T), 3)
    short, long = (fit(prior=prior, covariance_type=covariance_type, tol=0.0, max_iter=n) for n in (3, 4))
    # In the frame the density of covariances differs by a constant: compare differences.
    model = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}.get(covariance_type, covariance_type)
    longer = fit(prior=prior, covariance_type=covariance_type, tol=0.0, max_iter=5)
    penalised = [gm.score(X) + prior.log_density(gm.mixture_.parameters, model) / 400 for gm in (short, long)]
    found = longer.lower_bounds_[4] - longer.lower_bounds_[3]
    assert found == pytest.approx(penalised[1] - penalised[0], rel=1e-6, abs=1e-12)


def test_a_prior_keeps_duplicates_apart_from_zero():
    rows = np.repeat([[0.0, 0.0], [1.0, 3.0], [5.0, 1.0]], 20, axis=0)
    with pytest.raises(ValueError, match="ill-defined"):
        GaussianMixture(3, reg_covar=0, random_state=0).fit(rows)
    gm = GaussianMixture(3, reg_covar=0, random_state=0, prior="mclust").fit(rows)
    assert np.linalg.eigvalsh(gm.covariances_).min() > 1e-3


def test_constant_columns_without_a_ridge():
    rows = np.c_[X, np.ones(400)]
    for options in ({"covariance_type": "full", "prior": "mclust"}, {"covariance_type": "diag"}, {}):
        with pytest.raises(ValueError, match="Column 2 of X is constant"):
            GaussianMixture(2, reg_covar=0, **options).fit(rows)
    for options in ({"covariance_type": "spherical"}, {"covariance_type": "diag", "prior": "mclust"}):
        assert (fit(rows, reg_covar=0, **options).mixture_.parameters.variances > 0).all()
    with pytest.raises(ValueError, match="Column 0 of X is constant"):
        GaussianMixture(2, reg_covar=0, covariance_type="spherical").fit(np.ones((9, 2)))


@pytest.mark.parametrize("prior", ["bayes", 3, np.eye(2)])
def test_other_priors_are_refused(prior):
    with pytest.raises(ValueError, match=r"The 'prior' parameter of GaussianMixture must be None, 'mclust' or"):
        GaussianMixture(2, prior=prior).fit(X)


def test_a_prior_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match=r"mean of shape \(3,\), but X has 2 features"):
        GaussianMixture(2, prior=Prior.mclust(np.zeros(3), np.eye(3), 2)).fit(X)


def test_clones_keep_the_prior():
    gm = GaussianMixture(2, prior=Prior.mclust(np.zeros(2), np.eye(2), 2))
    assert clone(gm).prior.scale.tobytes() == gm.prior.scale.tobytes()
    assert "prior=Prior(" in repr(gm)


# --- ridges ---


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VEV"])
def test_a_relative_ridge_does_not_depend_on_the_unit(covariance_type):
    options = {"reg_covar": 0.0, "reg_covar_relative": 0.01, "covariance_type": covariance_type}
    plain, tiny = fit(**options), fit(1e-4 * X, **options)
    np.testing.assert_allclose(1e8 * tiny.covariances_, plain.covariances_, rtol=1e-9)
    without = fit(reg_covar=0.0, covariance_type=covariance_type)
    assert (plain.mixture_.parameters.variances > 0).all()
    assert np.abs(plain.covariances_ - without.covariances_).max() > 1e-3


def test_a_relative_ridge_is_a_share_of_each_features_variance():
    gm = GaussianMixture(1, reg_covar=0, reg_covar_relative=0.5).fit(X * [1.0, 100.0])
    np.testing.assert_allclose(np.diagonal(gm.covariances_[0]), 1.5 * np.var(X * [1.0, 100.0], axis=0), rtol=1e-10)
    one = GaussianMixture(1, covariance_type="spherical", reg_covar=0, reg_covar_relative=0.5).fit(X)
    np.testing.assert_allclose(one.covariances_, 1.5 * np.var(X, axis=0).mean(), rtol=1e-10)


def test_a_ridge_that_drowns_the_rows_is_told():
    with pytest.warns(UserWarning, match=r"in 2 of 2 components.*reg_covar_relative") as caught:
        GaussianMixture(2, random_state=0).fit(1e-4 * X)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2, random_state=0, reg_covar=1e-12).fit(1e-4 * X)
        GaussianMixture(2, random_state=0).fit(np.c_[X, np.ones(400)])  # a constant column has nothing else


def test_components_without_rows_are_told():
    rows = np.repeat([[0.0, 0.0], [1.0, 3.0]], 20, axis=0)
    with pytest.warns(ConvergenceWarning, match="2 of 4 components have no row left"):
        gm = GaussianMixture(4, random_state=0).fit(rows)
    np.testing.assert_allclose(np.sort(gm.weights_), [0, 0, 0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_type", "importance"),
        ("on_degenerate", "ignore"),
        ("equal_weights", "yes"),
        ("reg_covar_relative", -1.0),
        ("reg_covar_relative", "x"),
    ],
)
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of GaussianMixture must be"):
        GaussianMixture(2, **{name: value}).fit(X)
