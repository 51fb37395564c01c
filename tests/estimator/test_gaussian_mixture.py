"""GaussianMixture beside scikit-learn's: the same names, numbers, errors and manners."""

import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from problems import overlapping as problem
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture as Reference

import fastgmm
from fastgmm import GaussianMixture
from fastgmm.em.run import Interrupted

MIXTURE = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
PATH = str(Path(fastgmm.__file__).parents[1])


def pair(X, **options):
    """Both libraries' estimators, fitted alike; their warnings are for other tests."""
    fitted = []
    for kind in (GaussianMixture, Reference):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.append(kind(**options).fit(X))
    return fitted


def refusal(kind, X, **options):
    """Type and text of the error that fit raises."""
    with pytest.raises((ValueError, TypeError)) as caught:
        kind(**options).fit(X)
    return str(caught.value)


def with_sorted_choices(text):
    """scikit-learn prints the choices in the order of a set."""
    return re.sub(r"(?<={)[^}]*", lambda found: ", ".join(sorted(found[0].split(", "))), text)


# --- the constructor ---


def test_shared_parameters_have_the_same_names_order_and_defaults():
    def parameters(kind):
        return list(inspect.signature(kind.__init__).parameters.values())[1:]

    theirs, ours = parameters(Reference), parameters(GaussianMixture)
    assert [(p.name, p.default, p.kind) for p in ours[: len(theirs)]] == [(p.name, p.default, p.kind) for p in theirs]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])
    beyond = {p.name: p.default for p in ours[len(theirs) :] if p.default is not None}
    assert beyond == {
        "algorithm": "auto",
        "skip_below": 2.0**-53,
        "equal_weights": False,
        "weight_type": "frequency",
        "assignment": "soft",
        "convergence": "change",
        "on_degenerate": "raise",
        "reg_covar_relative": 0.0,
        "search_budget": 60.0,
    }


def test_public_methods_of_the_reference_are_there():
    names = {name for name in dir(Reference) if not name.startswith("_")}
    assert names <= set(dir(GaussianMixture))


# --- the same numbers ---


@pytest.mark.parametrize("d", [2, 3, 8, 16])
@pytest.mark.parametrize(("max_iter", "tol"), [(1, 1e-3), (12, 0.0), (200, 1e-3)])
def test_same_fit_as_the_reference(d, max_iter, tol):
    X, start = problem(d=d)
    ours, theirs = pair(X, n_components=4, max_iter=max_iter, tol=tol, **start)
    for name in MIXTURE:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-8, atol=1e-9, err_msg=name)
    assert (ours.n_iter_, ours.converged_, ours.n_features_in_) == (theirs.n_iter_, theirs.converged_, d)
    if hasattr(theirs, "lower_bounds_"):  # since scikit-learn 1.7
        np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-10)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-10)
    assert ours._n_parameters() == theirs._n_parameters()

    new, _ = problem(n=700, d=d, seed=1)
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))
    np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.score_samples(new), theirs.score_samples(new), rtol=1e-9)
    for method in ("score", "bic", "aic"):
        assert getattr(ours, method)(new) == pytest.approx(getattr(theirs, method)(new), rel=1e-10)


@pytest.mark.parametrize("missing", ["weights_init", "means_init", "precisions_init"])
def test_partly_given_starts_keep_what_was_given(missing):
    X, start = problem(d=2)
    del start[missing]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        gm = GaussianMixture(4, max_iter=0, random_state=0, **start).fit(X)
    for given, fitted in (("weights_init", "weights_"), ("means_init", "means_"), ("precisions_init", "precisions_")):
        if given in start:
            np.testing.assert_allclose(getattr(gm, fitted), start[given], rtol=1e-12)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_own_starts_reach_the_references_optimum(init_params):
    X = np.vstack([problem(n=400, d=2, k=1, seed=s)[0] * 0.3 + 8 * s for s in range(3)])
    best = Reference(3, n_init=5, random_state=0, tol=1e-6, max_iter=500).fit(X).score(X)
    ours = GaussianMixture(
        3, init_params=init_params, n_init=5, random_state=0, tol=1e-6, max_iter=2000, reg_covar=1e-6
    ).fit(X)
    assert ours.score(X) == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shapes_and_dtypes_of_attributes(dtype):
    X, start = problem(n=600, d=3, dtype=dtype)
    ours, theirs = pair(X, n_components=4, max_iter=5, **start)
    for name in MIXTURE:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine.shape, mine.dtype) == (other.shape, dtype), name
    for name in ("converged_", "n_iter_", "lower_bound_", "n_features_in_"):
        assert isinstance(getattr(ours, name), int | float), name
    assert isinstance(ours.lower_bounds_, list)
    assert len(ours.lower_bounds_) == ours.n_iter_
    for method, shape in (("predict", (600,)), ("predict_proba", (600, 4)), ("score_samples", (600,))):
        assert getattr(ours, method)(X).shape == shape
    assert ours.predict(X).dtype == np.int64
    assert isinstance(ours.score(X), float)
    assert isinstance(ours.bic(X), float)


def test_float32_rows_are_summed_in_float64():
    X, start = problem(d=3, dtype=np.float32)
    exact = GaussianMixture(4, tol=0, max_iter=5, **start)
    rounded = clone(exact)
    with pytest.warns(ConvergenceWarning):
        exact.fit(X.astype(np.float64))
    with pytest.warns(ConvergenceWarning):
        rounded.fit(X)
    np.testing.assert_allclose(rounded.mixture_.parameters.covariances, exact.covariances_, rtol=1e-4, atol=1e-5)
    assert rounded.score(X) == pytest.approx(exact.score(X), rel=1e-6)


def test_precisions_belong_to_covariances():
    X, start = problem(d=3)
    gm = GaussianMixture(4, **start).fit(X)
    np.testing.assert_allclose(gm.covariances_ @ gm.precisions_, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-10)
    factors = gm.precisions_cholesky_
    np.testing.assert_allclose(factors @ factors.swapaxes(1, 2), gm.precisions_, rtol=1e-12)
    np.testing.assert_array_equal(np.tril(factors, -1), 0)


def test_fit_predict_is_fit_then_predict():
    X, start = problem(d=2)
    for options in ({"max_iter": 3, "tol": 0.0}, {"max_iter": 200}):
        ours, theirs = (kind(4, **options, **start) for kind in (GaussianMixture, Reference))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            labels, reference = ours.fit_predict(X), theirs.fit_predict(X)
        np.testing.assert_array_equal(labels, ours.predict(X))
        np.testing.assert_array_equal(labels, reference)


def test_no_iterations_at_all():
    X, start = problem(n=200, d=2)
    gm = GaussianMixture(4, max_iter=0, **start).fit(X)
    for name, given in (("weights_", "weights_init"), ("means_", "means_init"), ("precisions_", "precisions_init")):
        np.testing.assert_allclose(getattr(gm, name), start[given], rtol=1e-12)
    theirs = Reference(4, max_iter=0, random_state=0, means_init=start["means_init"]).fit(X)
    for name in ("n_iter_", "converged_", "lower_bound_"):
        assert getattr(gm, name) == getattr(theirs, name), name


def test_several_starts_keep_the_best():
    X, _ = problem(d=2, k=6, seed=3)
    options = {"init_params": "random_from_data", "tol": 1e-6, "max_iter": 500}
    rng = np.random.RandomState(0)
    alone = [GaussianMixture(6, random_state=rng, **options).fit(X) for _ in range(4)]
    best = GaussianMixture(6, n_init=4, random_state=np.random.RandomState(0), **options).fit(X)
    winner = max(alone, key=lambda gm: gm.lower_bound_)
    assert best.lower_bound_ == winner.lower_bound_
    np.testing.assert_array_equal(best.means_, winner.means_)
    assert (best.n_iter_, best.lower_bounds_) == (winner.n_iter_, winner.lower_bounds_)


def test_same_seed_same_bits():
    X, _ = problem(d=2)
    first, second = (GaussianMixture(4, random_state=7).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.means_, second.means_)
    third = GaussianMixture(4, random_state=np.random.RandomState(7)).fit(X)
    np.testing.assert_array_equal(first.means_, third.means_)


def test_warm_start_continues():
    X, start = problem(d=2)
    whole = GaussianMixture(4, tol=1e-9, max_iter=12, **start)
    parts = GaussianMixture(4, tol=1e-9, max_iter=4, warm_start=True, **start)
    with pytest.warns(ConvergenceWarning):
        whole.fit(X)
    for _ in range(3):
        with pytest.warns(ConvergenceWarning):
            parts.fit(X)
    assert parts.n_iter_ == 4
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-10)
    np.testing.assert_allclose(parts.lower_bounds_, whole.lower_bounds_[8:], rtol=1e-12)


def test_warm_start_detects_convergence_at_once():
    X, start = problem(d=2)
    counts = []
    for kind in (GaussianMixture, Reference):
        gm = kind(4, max_iter=300, warm_start=True, n_init=3, **start).fit(X)
        counts.append(gm.fit(X).n_iter_)
        assert gm.converged_
    assert counts == [counts[1]] * 2


def test_warm_start_with_other_columns_is_refused():
    gm = GaussianMixture(2, warm_start=True, random_state=0).fit(problem(d=2)[0])
    with pytest.raises(ValueError, match="features"):
        gm.fit(problem(d=3)[0])


# --- sample weights ---


def test_integer_weights_are_repeated_rows():
    X, start = problem(n=500, d=3)
    weights = np.random.RandomState(0).randint(0, 4, size=500)
    options = {"tol": 0.0, "max_iter": 8, **start}
    weighted, repeated = GaussianMixture(4, **options), GaussianMixture(4, **options)
    with pytest.warns(ConvergenceWarning):
        weighted.fit(X, sample_weight=weights)
    with pytest.warns(ConvergenceWarning):
        repeated.fit(np.repeat(X, weights, axis=0))
    for name in MIXTURE:
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-12)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_weights_of_one_change_nothing(init_params):
    X, _ = problem(n=500, d=2)
    plain = GaussianMixture(3, random_state=0, init_params=init_params, max_iter=300).fit(X)
    ones = GaussianMixture(3, random_state=0, init_params=init_params, max_iter=300).fit(X, sample_weight=np.ones(500))
    np.testing.assert_allclose(ones.means_, plain.means_, rtol=1e-10)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_rows_of_weight_zero_do_not_count(init_params):
    X, _ = problem(n=400, d=2)
    far = np.vstack([X, np.full((50, 2), 1e6)])
    weights = np.r_[np.ones(400), np.zeros(50)]
    gm = GaussianMixture(3, random_state=0, init_params=init_params, max_iter=300).fit(far, sample_weight=weights)
    assert np.abs(gm.means_).max() < 100


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (np.zeros(50), "zero"),
        (np.r_[np.ones(49), -1.0], "Negative.*row 49"),
        (np.r_[np.nan, np.ones(49)], "row 0"),
        (np.r_[np.ones(49), np.inf], "row 49"),
        (np.ones(49), r"\(49,\).*\(50,\)"),
        (np.ones((50, 2)), r"1D.*\(50, 2\)"),
        (["a"] * 50, "sample_weight"),
        (np.ones(50) * 1j, "sample_weight"),
    ],
    ids=["zero", "negative", "nan", "inf", "short", "matrix", "words", "complex"],
)
def test_bad_weights_are_refused(weights, text):
    gm = GaussianMixture(2)
    with pytest.raises((ValueError, TypeError), match=f"(?i){text}") as caught:
        gm.fit(problem(n=50, d=2)[0], sample_weight=weights)
    assert "\n" not in str(caught.value)
    assert not [name for name in vars(gm) if name.endswith("_")]


# --- errors and warnings ---

BAD = [
    *[("n_components", value) for value in (0, -3, "2", 1.5, None, np.nan)],
    *[("tol", value) for value in (-1, "x", None, np.nan)],
    *[("reg_covar", value) for value in (-1, -1e-9, "x", np.nan)],
    *[("max_iter", value) for value in (-1, 1.5, "10", None)],
    *[("n_init", value) for value in (0, -1, 2.0)],
    *[("verbose", value) for value in (-1, "yes")],
    *[("verbose_interval", value) for value in (0, 1.5)],
    *[("warm_start", value) for value in ("yes", 3)],
    *[("random_state", value) for value in (-1, "seed", 1.5)],
    *[("init_params", value) for value in ("x", 3, None)],
    *[("covariance_type", value) for value in ("x", 3, None)],
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={value!r}" for name, value in BAD])
def test_bad_parameters_are_refused_in_the_references_words(name, value):
    X, _ = problem(n=50, d=2)
    ours, theirs = refusal(GaussianMixture, X, **{name: value}), refusal(Reference, X, **{name: value})
    if name in ("covariance_type", "init_params"):  # which take the names of models, and "online", too
        ours, theirs = (re.sub(r"{.*}", "{}", text) for text in (ours, theirs))
    assert with_sorted_choices(ours) == with_sorted_choices(theirs)


def bad_starts():
    weights, means, precisions = np.full(2, 0.5), np.zeros((2, 2)), np.repeat(np.eye(2)[None], 2, axis=0)
    return {
        "weights short": {"weights_init": np.ones(1)},
        "weights matrix": {"weights_init": np.ones((2, 2))},
        "weights above one": {"weights_init": np.array([1.5, -0.5])},
        "weights negative": {"weights_init": np.array([0.5, -0.5])},
        "weights sum": {"weights_init": weights * 0.9},
        "means short": {"means_init": means[:1]},
        "means wide": {"means_init": np.zeros((2, 3))},
        "precisions shape": {"precisions_init": precisions[:1]},
        "precisions flat": {"precisions_init": np.ones((2, 2))},
        "precisions skew": {"precisions_init": precisions + np.array([[0, 0.5], [0, 0]])},
        "precisions indefinite": {"precisions_init": precisions * np.array([[1, 1], [1, -1]])},
        "precisions singular": {"precisions_init": np.ones((2, 2, 2))},
    }


@pytest.mark.parametrize("case", bad_starts())
def test_bad_starts_are_refused_in_the_references_words(case):
    X, _ = problem(n=50, d=2)
    options = bad_starts()[case]
    ours, theirs = (refusal(kind, X, n_components=2, **options) for kind in (GaussianMixture, Reference))
    if "range" in theirs:  # where scikit-learn 1.9 calls the least value the largest
        ours, theirs = (text.partition(", but got max")[0] for text in (ours, theirs))
    assert ours == theirs


def test_collapse_is_the_references_error():
    X = np.repeat(np.eye(2), 20, axis=0)
    start = {
        "weights_init": [0.5, 0.5],
        "means_init": np.eye(2),
        "precisions_init": np.repeat(np.eye(2)[None] * 1e6, 2, 0),
    }
    ours = refusal(GaussianMixture, X, n_components=2, reg_covar=0, **start)
    theirs = refusal(Reference, X, n_components=2, reg_covar=0, **start)
    assert ours.startswith(theirs[: theirs.index(" Try to decrease")])  # 1.6 goes on in other words
    assert "omponent 0" in ours


def test_not_converged_warns_once_as_the_reference_does():
    X, start = problem(d=2)
    messages = []
    for kind in (GaussianMixture, Reference):
        with pytest.warns(ConvergenceWarning) as caught:
            kind(4, tol=1e-12, max_iter=2, **start).fit(X)
        messages.append([str(w.message) for w in caught])
        assert caught[0].filename == __file__ or kind is Reference
    assert messages[0] == messages[1]


def test_unfitted_is_the_references_error():
    X, _ = problem(n=20, d=2)
    for method in ("predict", "predict_proba", "score", "score_samples", "bic", "aic"):
        with pytest.raises(NotFittedError) as theirs:
            getattr(Reference(), method)(X)
        with pytest.raises(NotFittedError) as ours:
            getattr(GaussianMixture(), method)(X)
        assert str(ours.value) == str(theirs.value)
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()


def test_without_scikit_learn_the_classes_are_our_own():
    code = """
import sys, warnings, numpy as np, fastgmm
X = np.random.RandomState(0).normal(size=(60, 2))
try:
    fastgmm.GaussianMixture().predict(X)
except ValueError as error:
    assert type(error).__name__ == "NotFitted" and isinstance(error, AttributeError)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    fastgmm.GaussianMixture(2, tol=0, max_iter=2, random_state=0).fit(X)
assert [w.category for w in caught] == [fastgmm.errors.ConvergenceNote], caught
assert not any(name.split(".")[0] in ("sklearn", "matplotlib") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PATH, timeout=120)


def test_interrupt_leaves_the_last_complete_iteration():
    X, start = problem(d=2)
    seen = []

    def callback(done):
        seen.append(done)
        if done.number == 3:
            raise KeyboardInterrupt

    gm = GaussianMixture(4, tol=0, callback=callback, **start)
    with pytest.raises(KeyboardInterrupt) as caught:
        gm.fit(X)
    assert isinstance(caught.value, Interrupted)
    assert (gm.n_iter_, gm.converged_, gm.lower_bound_) == (3, False, seen[-1].log_likelihood)
    assert [done.number for done in seen] == [1, 2, 3]
    np.testing.assert_array_equal(gm.lower_bounds_, [done.log_likelihood for done in seen])
    reference = GaussianMixture(4, tol=0, max_iter=3, **start)
    with pytest.warns(ConvergenceWarning):
        reference.fit(X)
    np.testing.assert_array_equal(gm.means_, reference.means_)


def test_callback_stops_the_fit():
    X, start = problem(d=2)
    gm = GaussianMixture(4, tol=0, callback=lambda done: done.number == 2, **start).fit(X)
    assert (gm.n_iter_, gm.converged_) == (2, False)


def test_an_error_in_a_callback_reaches_the_caller():
    X, start = problem(d=2)

    def callback(done):
        raise OSError("disk full")

    gm = GaussianMixture(4, callback=callback, **start)
    with pytest.raises(OSError, match="disk full"):
        gm.fit(X)
    assert not hasattr(gm, "means_")


@pytest.mark.parametrize("options", [{}, {"n_init": 2}, {"max_iter": 3, "tol": 0.0}, {"max_iter": 2, "n_init": 3}])
@pytest.mark.parametrize("verbose", [1, 2])
def test_verbose_lines_have_the_references_format(verbose, options, capsys):
    X, start = problem(d=2)
    printed = []
    for kind in (GaussianMixture, Reference):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            kind(4, verbose=verbose, verbose_interval=1, **{**start, **options}).fit(X)
        text = capsys.readouterr().out
        printed.append(re.sub(r"-?\d+\.\d+s", "0s", re.sub(r"(?<=change )-?[\w.]+", "0", text)).splitlines())
    assert printed[0] == printed[1]


# --- sampling ---


def test_sample_has_the_moments_of_the_mixture():
    X, start = problem(d=3)
    gm = GaussianMixture(4, random_state=0, **start).fit(X)
    drawn, labels = gm.sample(100_000)
    assert drawn.shape == (100_000, 3)
    assert labels.shape == (100_000,)
    counts = np.bincount(labels, minlength=4)
    np.testing.assert_allclose(counts / 1e5, gm.weights_, atol=0.01)
    for k in range(4):
        spread = np.sqrt(np.diag(gm.covariances_[k]).max())
        np.testing.assert_allclose(drawn[labels == k].mean(axis=0), gm.means_[k], atol=5 * spread / np.sqrt(counts[k]))
        np.testing.assert_allclose(np.cov(drawn[labels == k].T), gm.covariances_[k], atol=0.06 * spread**2)


def test_sample_is_ordered_by_component_and_seeded():
    X, start = problem(d=2)
    gm = GaussianMixture(4, random_state=5, **start).fit(X)
    first, labels = gm.sample(50)
    assert (np.diff(labels) >= 0).all()
    np.testing.assert_array_equal(gm.sample(50)[0], first)


@pytest.mark.parametrize("n", [0, -1])
def test_sample_of_nothing_is_refused(n):
    gm = GaussianMixture(1).fit(problem(n=50, d=2)[0])
    with pytest.raises(ValueError, match=f"Invalid value for 'n_samples': {n} . The sampling requires at least one"):
        gm.sample(n)
