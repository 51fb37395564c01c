"""BayesianGaussianMixture beside scikit-learn's: the same names, numbers, errors and manners."""

import inspect
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import problems
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import BayesianGaussianMixture as Reference
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastgmm
from fastgmm import BayesianGaussianMixture, Mixture
from fastgmm.em.run import Interrupted
from fastgmm.parameters import Parameters

FORMS = ("full", "tied", "diag", "spherical")
KINDS = ("dirichlet_process", "dirichlet_distribution")
POSTERIOR = (
    "weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "weight_concentration_",
    "mean_precision_", "degrees_of_freedom_",
)  # fmt: skip
PRIOR = (
    "weight_concentration_prior_", "mean_precision_prior_", "mean_prior_", "degrees_of_freedom_prior_",
    "covariance_prior_",
)  # fmt: skip
PATH = str(Path(fastgmm.__file__).parents[1])
K = 5
GIVEN = {
    "weight_concentration_prior": 2.0, "mean_precision_prior": 0.1, "mean_prior": [90.0, 3.0],
    "degrees_of_freedom_prior": 4.5,
}  # fmt: skip


def problem(n=400, d=2, seed=0):
    """Rows of features of different scales, off the origin, and responsibilities to start from."""
    scale = np.r_[np.ones(d - 1), 30.0]
    X = problems.drawn(problems.mixture(3, d, seed), n, seed) * scale + 100 * (np.arange(d) == 0)
    return X, np.random.default_rng(seed).dirichlet(np.full(K, 0.3), n)


def covariance_prior(form):
    return {"diag": [2.0, 700.0], "spherical": 30.0}.get(form, [[2.0, 5.0], [5.0, 700.0]])


@pytest.fixture
def started(monkeypatch):
    """Make both libraries start from given responsibilities."""

    def begin(resp):
        def ours(rows, n_components, method, rng, team, moments):
            ones = np.ones(n_components)
            origin = Parameters(ones / n_components, np.zeros((n_components, rows.n_features)), ones, "spherical")
            return rows.expectation(origin, team, moments=moments, given=lambda start, stop: resp[start:stop])

        def theirs(self, X, random_state, xp=None):
            self._initialize(X, resp)

        monkeypatch.setattr("fastgmm.bayesian_estimator.start", ours)
        monkeypatch.setattr(Reference, "_initialize_parameters", theirs)

    return begin


def pair(X, **options):
    fitted = []
    for kind in (BayesianGaussianMixture, Reference):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.append(kind(**options).fit(X))
    return fitted


def fitted(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return BayesianGaussianMixture(**{"random_state": 0, **options}).fit(problem()[0])


def refusal(kind, X, **options):
    with pytest.raises((ValueError, TypeError)) as caught:
        kind(**options).fit(X)
    return str(caught.value)


# --- the constructor ---


def test_history_is_of_equal_length_and_true():
    X = fastgmm.datasets.load_faithful()
    gm = BayesianGaussianMixture(n_components=2, random_state=0, init_params="random", max_iter=300).fit(X)
    assert list(gm.history_) == ["lower_bound", "seconds", "passes", "evaluated"]
    np.testing.assert_array_equal(gm.history_["lower_bound"], gm.lower_bounds_)
    np.testing.assert_array_equal(np.diff(gm.history_["passes"]), 1)
    assert gm.history_["passes"][0] >= 2  # responsibilities, perhaps the prior's moments, and the first pass
    assert (np.diff(gm.history_["seconds"]) > 0).all()
    np.testing.assert_array_equal(gm.history_["evaluated"], 1.0)


def test_shared_parameters_have_the_same_names_order_and_defaults():
    def parameters(kind):
        return [(p.name, p.default, p.kind) for p in list(inspect.signature(kind.__init__).parameters.values())[1:]]

    theirs, ours = parameters(Reference), parameters(BayesianGaussianMixture)
    assert ours[: len(theirs)] == theirs
    assert {name for name, *_ in ours[len(theirs) :]} == {"n_threads", "callback"}


def test_public_methods_are_the_references():
    theirs = {name for name in dir(Reference) if not name.startswith("_")}
    beyond = {"set_fit_request", "set_score_request", "get_metadata_routing"}
    assert theirs - set(dir(BayesianGaussianMixture)) <= beyond
    for name in ("aic", "bic"):
        assert not hasattr(Reference(), name)
        assert not hasattr(BayesianGaussianMixture(), name)


# --- the same numbers ---


@pytest.mark.parametrize("given", [False, True], ids=["defaults", "given"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_same_fit_as_the_reference(started, form, kind, given):
    X, resp = problem()
    started(resp)
    options = {**GIVEN, "covariance_prior": covariance_prior(form)} if given else {}
    ours, theirs = pair(
        X, n_components=K, covariance_type=form, weight_concentration_prior_type=kind, max_iter=60, tol=1e-3, **options
    )
    for name in POSTERIOR + PRIOR:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert np.shape(mine) == np.shape(other), name
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-9, err_msg=name)
    assert (ours.n_iter_, ours.converged_, ours.n_features_in_) == (theirs.n_iter_, theirs.converged_, 2)
    np.testing.assert_allclose(ours.lower_bounds_, np.ravel(theirs.lower_bounds_), rtol=1e-11)
    assert ours.lower_bound_ == ours.lower_bounds_[-1]

    new, _ = problem(300, seed=1)
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))
    np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.score_samples(new), theirs.score_samples(new), rtol=1e-8)
    assert ours.score(new) == pytest.approx(theirs.score(new), rel=1e-9)


@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("form", FORMS)
def test_same_fit_in_other_dimensions(started, form, d):
    X, resp = problem(d=d)
    started(resp)
    ours, theirs = pair(X, n_components=K, covariance_type=form, max_iter=20, tol=0.0)
    np.testing.assert_allclose(ours.lower_bounds_, np.ravel(theirs.lower_bounds_), rtol=1e-11)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-100, 1e100])
@pytest.mark.parametrize("form", FORMS)
def test_same_fit_in_units_far_from_one(started, form, unit):
    X, resp = problem()
    started(resp)
    ours, theirs = pair(X * unit, n_components=K, covariance_type=form, max_iter=20, tol=0.0, reg_covar=0.0)
    np.testing.assert_allclose(ours.lower_bounds_, np.ravel(theirs.lower_bounds_), rtol=1e-11)
    np.testing.assert_allclose(ours.covariances_ / unit**2, theirs.covariances_ / unit**2, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_no_iterations_are_the_start(started, form):
    X, resp = problem()
    started(resp)
    ours, theirs = pair(X, n_components=K, covariance_type=form, max_iter=0)
    for name in POSTERIOR:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-12, err_msg=name)
    for name in ("n_iter_", "converged_", "lower_bound_", "lower_bounds_"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_the_same_components_are_found_from_own_starts():
    X = np.vstack([problems.drawn(problems.mixture(1, 2, s), 200, s) * 0.3 + 10 * s for s in range(3)])
    options = {"n_components": 6, "weight_concentration_prior": 1e-3, "max_iter": 1000, "tol": 1e-4, "n_init": 5}
    ours, theirs = pair(X, random_state=0, init_params="random", **options)
    alive = ours.weights_ > 0.01
    assert alive.sum() == 3 == (theirs.weights_ > 0.01).sum()
    np.testing.assert_allclose(np.sort(ours.weights_[alive]), 1 / 3, atol=0.01)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_every_start_works(init_params):
    gm = fitted(n_components=3, init_params=init_params, max_iter=500)
    assert gm.converged_
    assert gm.weights_.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("form", FORMS)
def test_float32_rows_give_float32_attributes(form):
    X, _ = problem()
    options = {"n_components": 3, "covariance_type": form, "random_state": 0, "max_iter": 500}
    narrow, wide = (BayesianGaussianMixture(**options).fit(X.astype(dtype)) for dtype in (np.float32, np.float64))
    for name in POSTERIOR[:5]:
        assert getattr(narrow, name).dtype == np.float32
        assert getattr(wide, name).dtype == np.float64
    assert narrow.weight_concentration_[0].dtype == np.float64
    assert isinstance(narrow.lower_bound_, float)
    assert narrow.lower_bound_ == pytest.approx(wide.lower_bound_, rel=1e-4)
    np.testing.assert_allclose(narrow.score_samples(X), wide.score_samples(X), rtol=1e-2)


def test_precisions_belong_to_covariances():
    for form in FORMS:
        gm = fitted(n_components=3, covariance_type=form, max_iter=5)
        if form in ("full", "tied"):
            unit = np.broadcast_to(np.eye(2), gm.covariances_.shape)
            np.testing.assert_allclose(gm.covariances_ @ gm.precisions_, unit, atol=1e-10)
            np.testing.assert_array_equal(np.tril(gm.precisions_cholesky_, -1), 0)
        else:
            np.testing.assert_allclose(gm.covariances_ * gm.precisions_, 1, rtol=1e-12)


# --- laws ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_the_lower_bound_never_falls(form, kind):
    gm = fitted(n_components=6, covariance_type=form, weight_concentration_prior_type=kind, max_iter=300, reg_covar=0.0)
    assert np.diff(gm.lower_bounds_).min() >= -1e-12 * abs(gm.lower_bound_)


@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@pytest.mark.parametrize("form", FORMS)
def test_translation_changes_means_only(form):
    X = np.round(problem()[0] * 64) / 64  # so that the sum is exact
    options = {"n_components": 4, "covariance_type": form, "random_state": 0, "max_iter": 20}
    here, there = (BayesianGaussianMixture(**options).fit(X + at) for at in (0.0, 2.0**30))
    np.testing.assert_allclose(there.means_ - 2.0**30, here.means_, rtol=1e-10, atol=2.0**-22)
    np.testing.assert_allclose(there.weights_, here.weights_, rtol=1e-10)
    np.testing.assert_allclose(there.covariances_, here.covariances_, rtol=1e-10, atol=1e-9)
    assert there.lower_bound_ == pytest.approx(here.lower_bound_, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@pytest.mark.parametrize("form", FORMS)
def test_powers_of_two_change_units_only(form):
    X, _ = problem()
    options = {"n_components": 4, "covariance_type": form, "random_state": 0, "max_iter": 20, "reg_covar": 0.0}
    here, there = (BayesianGaussianMixture(**options).fit(X * unit) for unit in (1.0, 1024.0))
    np.testing.assert_array_equal(there.means_, here.means_ * 1024)
    np.testing.assert_array_equal(there.covariances_, here.covariances_ * 2.0**20)
    np.testing.assert_array_equal(there.weights_, here.weights_)


@pytest.mark.parametrize("form", FORMS)
def test_whole_weights_are_repetitions(started, form):
    X, resp = problem(200)
    counts = np.arange(200) % 3
    options = {"n_components": K, "covariance_type": form, "tol": 1e-4, "max_iter": 500}
    started(resp)
    weighted = BayesianGaussianMixture(**options).fit(X, sample_weight=counts)
    started(np.repeat(resp, counts, axis=0))
    repeated = BayesianGaussianMixture(**options).fit(np.repeat(X, counts, axis=0))
    for name in POSTERIOR + PRIOR:
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-6, atol=1e-8, err_msg=name)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-10)
    assert weighted.n_iter_ == repeated.n_iter_


def test_any_number_of_threads_gives_the_same_bits():
    one, two = (fitted(n_components=3, n_threads=n, max_iter=5) for n in (1, 2))
    assert one.lower_bounds_ == two.lower_bounds_
    np.testing.assert_array_equal(one.covariances_, two.covariances_)


# --- manners ---


def test_fit_predict_is_fit_then_predict():
    X, _ = problem()
    for form in FORMS:
        gm = BayesianGaussianMixture(n_components=4, covariance_type=form, max_iter=3, random_state=0)
        with pytest.warns(ConvergenceWarning) as caught:
            labels = gm.fit_predict(X)
        assert caught[0].filename == __file__
        np.testing.assert_array_equal(labels, gm.predict(X))


@pytest.mark.parametrize("form", FORMS)
def test_a_warm_start_goes_on(form):
    X, _ = problem()
    options = {"n_components": 4, "covariance_type": form, "random_state": 0, "tol": 0.0}
    with pytest.warns(ConvergenceWarning):
        whole = BayesianGaussianMixture(max_iter=6, **options).fit(X)
    gm = BayesianGaussianMixture(max_iter=3, warm_start=True, **options)
    bounds = []
    for _ in range(2):
        with pytest.warns(ConvergenceWarning):
            bounds += gm.fit(X).lower_bounds_
    np.testing.assert_allclose(bounds, whole.lower_bounds_, rtol=1e-13)
    np.testing.assert_allclose(gm.means_, whole.means_, rtol=1e-12)
    with pytest.raises(ValueError, match="3 features, but the fit to go on from has 2"):
        gm.fit(np.random.default_rng(0).normal(size=(50, 3)))


def test_several_starts_keep_the_best():
    X, _ = problem()
    options = {"n_components": 5, "init_params": "random_from_data", "max_iter": 300}
    rng = np.random.RandomState(0)
    alone = [BayesianGaussianMixture(random_state=rng, **options).fit(X) for _ in range(3)]
    best = BayesianGaussianMixture(n_init=3, random_state=np.random.RandomState(0), **options).fit(X)
    assert best.lower_bound_ == max(gm.lower_bound_ for gm in alone)


def test_mixture_is_the_density_of_the_attributes():
    gm = fitted(n_components=3, max_iter=5)
    density = Mixture(Parameters(gm.weights_, gm.means_, gm.covariances_))
    X, _ = problem()
    np.testing.assert_array_equal(gm.mixture_.log_prob(X), density.log_prob(X))
    assert (gm.score_samples(X) < gm.mixture_.log_prob(X)).all()
    drawn, labels = gm.sample(20_000)
    np.testing.assert_allclose(np.bincount(labels, minlength=3) / 20_000, gm.weights_, atol=0.02)
    np.testing.assert_allclose(drawn.mean(axis=0), gm.weights_ @ gm.means_, rtol=0.3, atol=0.5)


def test_copies_predict_the_same_bits():
    gm = fitted(n_components=3, max_iter=5)
    X, _ = problem()
    other = pickle.loads(pickle.dumps(gm))
    np.testing.assert_array_equal(other.score_samples(X), gm.score_samples(X))
    assert vars(other).keys() == vars(gm).keys()
    assert not hasattr(clone(gm), "means_")


def test_callbacks_hear_of_the_bound_and_stop_the_fit():
    seen = []
    gm = fitted(n_components=3, callback=lambda done: seen.append(done) or done.number == 2)
    assert (gm.n_iter_, gm.converged_) == (2, False)
    assert [done.lower_bound for done in seen] == gm.lower_bounds_


def test_interrupt_leaves_the_last_complete_iteration():
    def callback(done):
        if done.number == 3:
            raise KeyboardInterrupt

    X, _ = problem()
    gm = BayesianGaussianMixture(n_components=3, callback=callback, random_state=0)
    with pytest.raises(Interrupted):
        gm.fit(X)
    assert (gm.n_iter_, gm.converged_) == (3, False)
    np.testing.assert_array_equal(gm.means_, fitted(n_components=3, max_iter=3).means_)


@pytest.mark.parametrize("options", [{}, {"n_init": 2}, {"max_iter": 3, "tol": 0.0}])
@pytest.mark.parametrize("verbose", [1, 2])
def test_verbose_lines_have_the_references_format(started, verbose, options, capsys):
    X, resp = problem()
    started(resp)
    printed = []
    for kind in (BayesianGaussianMixture, Reference):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            kind(n_components=K, verbose=verbose, verbose_interval=1, **{"tol": 1.0, **options}).fit(X)
        text = capsys.readouterr().out
        printed.append(re.sub(r"-?\d+\.\d+s", "0s", re.sub(r"(?<=change )-?[\w.]+", "0", text)).splitlines())
    assert printed[0] == printed[1]


@pytest.mark.parametrize("options", [{}, {"n_components": 2, "random_state": 0}, {"mean_precision_prior": 0.1}])
def test_repr_is_the_references(options):
    assert repr(BayesianGaussianMixture(**options)) == repr(Reference(**options))


def test_works_in_a_pipeline():
    X, _ = problem()
    pipeline = make_pipeline(StandardScaler(), BayesianGaussianMixture(n_components=3, random_state=0, max_iter=300))
    np.testing.assert_array_equal(pipeline.fit_predict(X), pipeline.predict(X))


def test_fits_without_scikit_learn():
    code = """
import sys, fastgmm
fastgmm.BayesianGaussianMixture(n_components=2, random_state=0).fit(fastgmm.datasets.load_faithful())
assert not {"sklearn", "matplotlib"} & {name.split(".")[0] for name in sys.modules}
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PATH, timeout=120)


# --- errors ---

BAD = [
    *[("weight_concentration_prior", value) for value in (0, -1.0, "x", np.nan, np.inf)],
    *[("mean_precision_prior", value) for value in (0, -1.0, "x")],
    *[("degrees_of_freedom_prior", value) for value in (0, 0.5, 1.0, -3, np.inf)],
    *[("mean_prior", value) for value in (3, "ab", [1, 2, 3], [[1, 2]])],
    *[("covariance_prior", value) for value in (-1, 0, "x", [1, 1], [[1, 1], [1, 1]], [[1, 2], [0, 1]])],
    ("weight_concentration_prior_type", "x"),
    ("covariance_type", "x"),
    *[("n_components", value) for value in (0, 1.5)],
    *[("tol", value) for value in (-1, "x")],
    ("reg_covar", -1),
    ("max_iter", -1),
    ("n_init", 0),
    ("init_params", "x"),
    ("random_state", "seed"),
    ("warm_start", 3),
    ("verbose", -1),
    ("verbose_interval", 0),
]


def with_sorted_choices(text):
    """scikit-learn prints the choices in the order of a set."""
    return re.sub(r"(?<={)[^}]*", lambda found: ", ".join(sorted(found[0].split(", "))), text)


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={value!r}" for name, value in BAD])
def test_bad_parameters_are_refused_in_the_references_words(name, value):
    X, _ = problem(50)
    ours, theirs = (refusal(kind, X, **{name: value}) for kind in (BayesianGaussianMixture, Reference))
    assert with_sorted_choices(ours) == with_sorted_choices(theirs)


@pytest.mark.parametrize(
    ("form", "value"), [("diag", [1.0, -1.0]), ("diag", np.eye(2)), ("tied", np.ones((2, 2))), ("tied", np.eye(3))]
)
def test_bad_covariances_are_refused_in_the_references_words(form, value):
    X, _ = problem(50)
    options = {"covariance_type": form, "covariance_prior": value}
    assert refusal(BayesianGaussianMixture, X, **options) == refusal(Reference, X, **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mean_prior": [np.nan, 1]}, "'means' contains NaN"),
        ({"covariance_prior": [[1, np.nan], [np.nan, 1]]}, "covariance_prior' contains NaN"),
        ({"covariance_prior": 2.0}, r"'full covariance_prior' should have the shape of \(2, 2\), but got \(\)"),
        ({"covariance_type": "spherical", "covariance_prior": [1, 1]}, r"shape of \(\), but got \(2,\)"),
        ({"weight_concentration_prior": True}, "None or a float"),
        ({"n_components": 51}, "Expected n_samples >= n_components but got n_components = 51, n_samples = 50"),
    ],
)
def test_refusals_of_our_own(options, text):
    gm = BayesianGaussianMixture(**options)
    with pytest.raises((ValueError, TypeError), match=text):
        gm.fit(problem(50)[0])
    assert not [name for name in vars(gm) if name.endswith("_")]


def test_a_constant_column_needs_a_prior_or_a_ridge():
    X = np.column_stack([problem(50)[0][:, 0], np.ones(50)])
    gm = BayesianGaussianMixture(reg_covar=0.0)
    with pytest.raises(ValueError, match="Column 1 of X is constant"):
        gm.fit(X)
    assert gm.set_params(covariance_prior=np.eye(2)).fit(X).covariances_[0, 1, 1] == pytest.approx(1 / 52)
    spherical = gm.set_params(covariance_prior=None, covariance_type="spherical").fit(X)
    assert spherical.covariances_[0] == pytest.approx(X[:, 0].var() * 25 / 52 + X[:, 0].var(ddof=1) / 2 / 52)
    with pytest.raises(ValueError, match="Column 0 of X is constant"):
        gm.fit(np.ones((50, 2)))
    assert BayesianGaussianMixture(reg_covar=1e-3).fit(X).covariances_[0, 1, 1] == pytest.approx(50e-3 / 52)


def test_unfitted_is_the_references_error():
    X, _ = problem(50)
    for method in ("predict", "predict_proba", "score", "score_samples"):
        texts = []
        for kind in (Reference, BayesianGaussianMixture):
            with pytest.raises(NotFittedError) as caught:
                getattr(kind(), method)(X)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that the estimator does not inherit from BaseEstimator
    CHECKS = list(estimator_checks_generator(BayesianGaussianMixture()))


@pytest.mark.filterwarnings("ignore:Estimator BayesianGaussianMixture does not inherit:UserWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[c.func.__name__ for _, c in CHECKS])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)
