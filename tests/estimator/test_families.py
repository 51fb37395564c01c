"""Families and models: scikit-learn's numbers and shapes for its four, laws for the fourteen."""

import itertools
import warnings

import numpy as np
import pytest
from problems import overlapping
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Reference

from fastgmm import GaussianMixture, datasets
from fastgmm.em import progressive as progressive_module
from fastgmm.forms import FORMS
from fastgmm.kernels.layout import block_rows
from fastgmm.models import FAMILIES, MODELS

ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
METHODS = ("kmeans", "k-means++", "random", "random_from_data")


def in_form(precisions, form):
    """Starts of a form from full precisions (K, D, D)."""
    diagonals = np.einsum("kdd->kd", precisions)
    return {"full": precisions, "tied": precisions[0], "diag": diagonals, "spherical": diagonals.mean(axis=1)}[form]


def problem(form, n=1500, d=3, dtype=np.float64):
    X, start = overlapping(n=n, d=d, dtype=dtype)
    return X, {**start, "precisions_init": in_form(start["precisions_init"], form)}


def fit(X, kind=GaussianMixture, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return kind(**options).fit(X)


# --- beside scikit-learn ---


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("unit", [1.0, np.array([1.0, 300.0, 0.01])], ids=["one unit", "many units"])
@pytest.mark.parametrize(("max_iter", "tol"), [(1, 1e-3), (12, 0.0), (200, 1e-3)])
def test_same_fit_as_the_reference(family, unit, max_iter, tol):
    X, start = problem(family)
    if not np.isscalar(unit):
        X, start["means_init"] = X * unit, start["means_init"] * unit
        full = np.repeat(np.diag(0.5 / unit**2)[None], 4, axis=0)
        start["precisions_init"] = in_form(full, family) if family != "spherical" else np.full(4, 1e-4)
    options = {"n_components": 4, "covariance_type": family, "max_iter": max_iter, "tol": tol, **start}
    ours, theirs = fit(X, **options), fit(X, Reference, **options)
    for name in ARRAYS:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-9 * np.abs(other).max(), err_msg=name)
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-9)
    assert ours._n_parameters() == theirs._n_parameters()
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6, atol=1e-8)
    for method in ("score", "bic", "aic"):
        assert getattr(ours, method)(X) == pytest.approx(getattr(theirs, method)(X), rel=1e-9)
    assert ours.sample(7)[0].shape == (7, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_attributes_of_float32_rows_are_float32(family):
    X, start = problem(family, n=600, dtype=np.float32)
    ours = fit(X, n_components=4, covariance_type=family, max_iter=5, **start)
    exact = fit(X.astype(np.float64), n_components=4, covariance_type=family, max_iter=5, **start)
    for name in ARRAYS:
        assert getattr(ours, name).dtype == np.float32
        np.testing.assert_allclose(getattr(ours, name), getattr(exact, name), rtol=1e-3, atol=1e-4)
    assert ours.score_samples(X).dtype == ours.predict_proba(X).dtype == np.float32
    assert ours.score_samples(X.astype(np.float64)).dtype == np.float64


def bad_precisions():
    full = np.repeat(np.eye(2)[None], 2, axis=0)
    skew, indefinite = full + np.array([[0, 0.5], [0, 0]]), full * np.array([[1, 1], [1, -1]])
    return {
        "tied shape": ("tied", np.eye(3)),
        "tied skew": ("tied", skew[0]),
        "tied indefinite": ("tied", indefinite[0]),
        "diag shape": ("diag", np.ones((3, 2))),
        "diag of matrices": ("diag", np.ones((2, 2)) * [[1.0, 0.0], [1.0, 1.0]]),
        "diag negative": ("diag", -np.ones((2, 2))),
        "spherical shape": ("spherical", np.ones(3)),
        "spherical zero": ("spherical", np.array([1.0, 0.0])),
    }


@pytest.mark.parametrize("case", bad_precisions())
def test_bad_precisions_are_refused_in_the_references_words(case):
    family, precisions = bad_precisions()[case]
    texts = []
    for kind in (GaussianMixture, Reference):
        with pytest.raises(ValueError, match="precision") as caught:
            kind(2, covariance_type=family, precisions_init=precisions).fit(overlapping(n=50, d=2)[0])
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("init_params", METHODS)
def test_own_starts_reach_the_references_optimum(family, init_params):
    X = np.vstack([overlapping(n=400, d=2, k=1, seed=s)[0] * 0.3 + 8 * s for s in range(3)])
    # From random shares tied covariances leave the saddle slowly, in both libraries.
    tol = 1e-10 if init_params == "random" else 1e-6
    options = {"n_components": 3, "covariance_type": family, "tol": tol, "max_iter": 3000, "random_state": 0}
    best = fit(X, Reference, n_init=5, **options).score(X)
    assert fit(X, init_params=init_params, n_init=5, **options).score(X) == pytest.approx(best, abs=1e-3)


# --- laws of all models ---


@pytest.mark.parametrize("model", MODELS)
def test_precisions_belong_to_covariances(model):
    X, _ = overlapping(d=2)
    gm = fit(X, n_components=4, covariance_type=model, max_iter=4, random_state=0)
    form = MODELS[model].form
    assert gm.covariances_.shape == gm.precisions_.shape == FORMS[form].shape(4, 2)
    full = [FORMS[form].matrices(getattr(gm, name), 4, 2) for name in ARRAYS[2:]]
    np.testing.assert_allclose(full[0] @ full[1], np.broadcast_to(np.eye(2), (4, 2, 2)), atol=1e-9)
    np.testing.assert_allclose(full[2] @ full[2].swapaxes(1, 2), full[1], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(np.tril(full[2], -1), 0)


@pytest.mark.parametrize(("family", "model"), FAMILIES.items())
def test_families_are_models(family, model):
    X, start = problem(family, d=2)
    one, other = (fit(X, n_components=4, covariance_type=name, max_iter=5, **start) for name in (family, model))
    assert one.covariances_.tobytes() == other.covariances_.tobytes()


@pytest.mark.parametrize("options", [{}, {"prior": "mclust"}, {"equal_weights": True}], ids=["plain", "prior", "equal"])
@pytest.mark.parametrize("model", MODELS)
def test_em_ascends(model, options):
    X = datasets.load_faithful()
    gm = fit(X, n_components=3, covariance_type=model, random_state=0, tol=1e-7, reg_covar=0, max_iter=400, **options)
    assert np.diff(gm.lower_bounds_).min() > -1e-12
    if "equal_weights" in options:
        np.testing.assert_array_equal(gm.weights_, np.full(3, 1 / 3))


@pytest.mark.parametrize(("model", "k", "bic"), [("EEE", 3, 2314.30), ("VVV", 2, 2322.19)])
def test_faithful_has_mclusts_bic(model, k, bic):
    """Scrucca et al. (2016): −2314.316 and −2322.192, with a looser tolerance."""
    X = datasets.load_faithful()
    gm = fit(X, n_components=k, covariance_type=model, n_init=5, random_state=0, tol=1e-8, reg_covar=0, max_iter=2000)
    assert gm.bic(X) == pytest.approx(bic, abs=0.02)


@pytest.mark.parametrize("model", MODELS)
def test_units_of_powers_of_two_change_no_bit(model):
    X, _ = overlapping(n=400, d=2)
    options = {"n_components": 3, "covariance_type": model, "reg_covar": 0, "random_state": 0, "max_iter": 5}
    plain, scaled = fit(X, **options), fit(64 * X, **options)
    assert (scaled.means_ / 64).tobytes() == plain.means_.tobytes()
    assert (scaled.covariances_ / 64**2).tobytes() == plain.covariances_.tobytes()


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.isotropic])
def test_models_of_one_scale_are_fitted_in_one(model):
    """Their optimum is that of the rows as they are: in a frame with a scale for each feature it would be another."""
    X, _ = overlapping(n=400, d=2)
    X = X * [1.0, 40.0]
    gm = fit(X, n_components=2, covariance_type=model, reg_covar=0, random_state=0, tol=1e-9, max_iter=3000)
    # The frame of rows in this box has one scale for both features.
    boxed = np.vstack([X, [[200.0, 200.0], [-200.0, -200.0]]])
    weights = np.r_[np.ones(400), np.zeros(2)]
    start = {"weights_init": gm.weights_, "means_init": gm.means_, "precisions_init": gm.precisions_}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        other = GaussianMixture(2, covariance_type=model, reg_covar=0, tol=0, max_iter=3, **start)
        other.fit(boxed, sample_weight=weights)
    np.testing.assert_allclose(other.means_, gm.means_, rtol=1e-3)
    np.testing.assert_allclose(other.lower_bound_, gm.lower_bound_, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_warm_start_continues(model):
    X, _ = overlapping(n=400, d=2)
    options = {"n_components": 3, "covariance_type": model, "tol": 1e-9, "random_state": 0}
    whole, parts = fit(X, max_iter=6, **options), GaussianMixture(max_iter=3, warm_start=True, **options)
    for _ in range(2):
        with pytest.warns(ConvergenceWarning):
            parts.fit(X)
    np.testing.assert_allclose(parts.lower_bounds_, whole.lower_bounds_[3:], rtol=1e-11)
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-9)


@pytest.mark.parametrize(("old", "new"), [*itertools.permutations(["full", "tied", "spherical"], 2)])
def test_warm_start_with_another_family(old, new):
    X, _ = overlapping(n=400, d=2)
    X = X * [1.0, 40.0]
    gm = GaussianMixture(3, covariance_type=old, random_state=0, warm_start=True, max_iter=300, tol=1e-4).fit(X)
    before = gm.score(X)
    gm.set_params(covariance_type=new).fit(X)
    assert gm.lower_bounds_[0] == pytest.approx(before, rel=1e-3)
    assert gm.covariances_.shape == FORMS[new].shape(3, 2)


@pytest.mark.parametrize("model", MODELS)
def test_progressive_starts(model, monkeypatch):
    monkeypatch.setattr(progressive_module, "SAMPLE_ROWS", 1)
    monkeypatch.setattr(progressive_module, "ROWS_PER_PARAMETER", 0)
    X, _ = overlapping(n=10 * block_rows(2), d=2, k=3)
    taken = []
    original = progressive_module.progressive

    def watched(*arguments):
        taken.append(original(*arguments))
        return taken[-1]

    monkeypatch.setattr("fastgmm.estimator.plan.progressive", watched)
    gm = fit(X * [1.0, 30.0], n_components=3, covariance_type=model, random_state=0, prior="mclust", max_iter=2)
    assert taken[0].form == MODELS[model].form
    assert gm.lower_bounds_[1] >= gm.lower_bounds_[0] - 1e-12


def test_names_of_models_are_checked():
    with pytest.raises(ValueError, match=r"'covariance_type' parameter of GaussianMixture must be a str among .*'VVV'"):
        GaussianMixture(covariance_type="VVW").fit(np.eye(3))
