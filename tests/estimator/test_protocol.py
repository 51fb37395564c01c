"""scikit-learn's protocol without its base class: parameters, clones, pickles, searches, routing, names of features."""

import copy
import inspect
import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from problems import overlapping as problem
from sklearn import config_context
from sklearn.base import clone
from sklearn.mixture import GaussianMixture as Reference
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastgmm
from fastgmm import GaussianMixture

PATH = str(Path(fastgmm.__file__).parents[1])


# --- scikit-learn's protocol ---


def test_get_and_set_params():
    gm = GaussianMixture(3, tol=0.5)
    assert gm.get_params()["tol"] == 0.5
    assert set(gm.get_params()) == set(inspect.signature(GaussianMixture).parameters)
    assert set(Reference().get_params()) <= set(gm.get_params())
    assert gm.set_params(tol=0.1, n_components=2) is gm
    assert (gm.tol, gm.n_components) == (0.1, 2)
    with pytest.raises(ValueError, match=r"Invalid parameter 'depth'.*Valid parameters are"):
        gm.set_params(depth=3, tol=9)
    assert gm.tol == 0.1


def test_clone_keeps_parameters_and_drops_the_fit():
    X, start = problem(d=2)
    gm = GaussianMixture(4, random_state=3, **start).fit(X)
    other = clone(gm)
    assert not hasattr(other, "means_")
    assert {k: v for k, v in other.get_params().items() if k not in start} == {
        k: v for k, v in gm.get_params().items() if k not in start
    }
    np.testing.assert_array_equal(other.means_init, start["means_init"])


def through_joblib(gm):
    file = io.BytesIO()
    joblib.dump(gm, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("copied", [lambda gm: pickle.loads(pickle.dumps(gm)), copy.deepcopy, through_joblib])
def test_copies_predict_the_same_bits(copied):
    X, start = problem(d=2)
    gm = GaussianMixture(4, **start).fit(X)
    gm.predict(X)
    other = copied(gm)
    np.testing.assert_array_equal(other.score_samples(X), gm.score_samples(X))
    np.testing.assert_array_equal(other.predict_proba(X), gm.predict_proba(X))
    assert vars(other).keys() == vars(gm).keys()


def test_pickles_stay_small():
    X, start = problem(d=2)
    gm = GaussianMixture(4, **start).fit(X)
    assert len(pickle.dumps(gm)) < 10_000


@pytest.mark.parametrize("options", [{}, {"n_components": 2, "random_state": 0}, {"tol": 0.1, "init_params": "random"}])
def test_repr_is_the_references(options):
    assert repr(GaussianMixture(**options)) == repr(Reference(**options))


def test_repr_with_arrays_does_not_fail():
    assert "means_init" in repr(GaussianMixture(2, means_init=np.zeros((2, 2))))


def test_works_in_a_pipeline():
    X, _ = problem(d=2)
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0, max_iter=300))
    labels = pipeline.fit_predict(X)
    np.testing.assert_array_equal(labels, pipeline.predict(X))
    assert isinstance(pipeline.score(X), float)
    pipeline.fit(X, gaussianmixture__sample_weight=np.ones(len(X)))
    assert "GaussianMixture" in repr(pipeline)
    assert "GaussianMixture" in pipeline._repr_html_()


def test_works_in_a_grid_search():
    X = np.vstack([problem(n=200, d=2, k=1, seed=s)[0] * 0.3 + 9 * s for s in range(2)])
    X = X[np.random.RandomState(0).permutation(400)]
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, 2]}, cv=3, error_score="raise").fit(X)
    assert search.best_params_ == {"n_components": 2}
    assert isinstance(search.best_estimator_, GaussianMixture)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that the estimator does not inherit from BaseEstimator
    CHECKS = [
        pair
        for options in (
            {},
            {"n_init": 2, "max_iter": 5},  # scikit-learn's own choice for its class
            {"covariance_type": "tied"},
            {"covariance_type": "diag"},
            {"covariance_type": "spherical"},
            {"covariance_type": "VEV", "prior": "mclust"},
        )
        for pair in estimator_checks_generator(GaussianMixture(**options))
    ]


@pytest.mark.filterwarnings("ignore:Estimator GaussianMixture does not inherit:UserWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[c.func.__name__ for _, c in CHECKS])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


# --- metadata routing ---


def test_searches_route_weights():
    X, _ = problem(n=300, d=2)
    weights = np.random.RandomState(0).randint(0, 3, 300).astype(float)
    seen = []

    class Watched(GaussianMixture):
        def fit(self, X, y=None, sample_weight=None):
            seen.append(("fit", sample_weight is not None))
            return super().fit(X, y, sample_weight)

        def score(self, X, y=None, sample_weight=None):
            seen.append(("score", sample_weight is not None))
            return super().score(X, y, sample_weight)

    with config_context(enable_metadata_routing=True):
        gm = Watched(random_state=0).set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        GridSearchCV(gm, {"n_components": [1, 2]}, cv=2, error_score="raise").fit(X, sample_weight=weights)
        assert set(seen) == {("fit", True), ("score", False)}
        seen.clear()
        gm.set_score_request(sample_weight=True)
        search = GridSearchCV(gm, {"n_components": [1]}, cv=2, error_score="raise").fit(X, sample_weight=weights)
        assert set(seen) == {("fit", True), ("score", True)}
        direct = GaussianMixture(1).fit(X, sample_weight=weights)
        np.testing.assert_array_equal(search.best_estimator_.means_, direct.means_)


def test_pipelines_route_weights():
    X, _ = problem(n=300, d=2)
    weights = np.r_[np.ones(150), np.zeros(150)]
    with config_context(enable_metadata_routing=True):
        step = GaussianMixture(1).set_fit_request(sample_weight="w")
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), step).fit(X, w=weights)
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(pipeline[-1].means_[0], scaled[:150].mean(axis=0), atol=1e-12)


def test_requests_are_kept_by_clones_and_pickles():
    gm = GaussianMixture()
    before = set(vars(gm))
    assert gm.get_metadata_routing().fit.requests == {"sample_weight": None}
    with config_context(enable_metadata_routing=True):
        gm.set_fit_request(sample_weight=True).set_score_request()
        assert gm.get_metadata_routing().fit.requests == {"sample_weight": True}
        assert gm.get_metadata_routing().score.requests == {"sample_weight": None}
        for other in (clone(gm), pickle.loads(pickle.dumps(gm)), copy.deepcopy(gm)):
            assert other.get_metadata_routing().fit.requests == {"sample_weight": True}
        gm.get_metadata_routing().fit.add_request(param="sample_weight", alias=False)
        assert gm.get_metadata_routing().fit.requests == {"sample_weight": True}
    assert set(vars(gm)) - before == {"_metadata_request"}


def test_partial_fit_asks_for_weights_where_it_is():
    with config_context(enable_metadata_routing=True):
        gm = GaussianMixture().set_partial_fit_request(sample_weight=True)
        assert gm.get_metadata_routing().partial_fit.requests == {"sample_weight": True}
        assert gm.get_metadata_routing().fit.requests == {"sample_weight": None}
        assert fastgmm.BayesianGaussianMixture().get_metadata_routing().partial_fit.requests == {}


def test_requests_need_routing():
    for method in ("set_fit_request", "set_score_request"):
        texts = []
        for kind in (GaussianMixture, StandardScaler):
            with pytest.raises(RuntimeError) as caught:
                (kind().set_fit_request if kind is StandardScaler else getattr(kind(), method))(sample_weight=True)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]


# --- notebooks ---


def test_notebooks_show_scikit_learns_diagram():
    gm = GaussianMixture(3, covariance_type="tied")
    page = gm._repr_html_()
    assert "sk-top-container" in page
    assert "GaussianMixture" in page
    assert "tied" in page
    assert set(gm._repr_mimebundle_()) == {"text/plain", "text/html"}
    with config_context(display="text"):
        assert gm._repr_mimebundle_() == {"text/plain": "GaussianMixture(covariance_type='tied', n_components=3)"}
    fitted = GaussianMixture(1).fit(problem(n=50, d=2)[0])
    assert "fitted" in fitted._repr_html_()


def test_notebooks_without_scikit_learn_show_text():
    code = """
import sys
from fastgmm import GaussianMixture
shown = GaussianMixture(3, random_state=0)._repr_mimebundle_(include=None, exclude=None)
assert shown == {
    "text/plain": "GaussianMixture(n_components=3, random_state=0)",
    "text/html": "<pre>GaussianMixture(n_components=3, random_state=0)</pre>",
}, shown
assert "sklearn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PATH, timeout=120)


def test_pickles_of_the_old_place_are_read():
    """Before the estimator was a package, its class was ``fastgmm.estimator.GaussianMixture``."""
    assert fastgmm.estimator.GaussianMixture is GaussianMixture
    old = pickle.dumps(GaussianMixture(3), protocol=0).replace(
        b"fastgmm.estimator.gaussian_mixture", b"fastgmm.estimator"
    )
    assert pickle.loads(old).n_components == 3


# --- names of features ---


class Table:
    """As much of a data frame as estimators look at."""

    def __init__(self, values, columns):
        self.values, self.columns = values, columns

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


def test_feature_names_are_remembered_and_compared():
    X, _ = problem(n=100, d=2)
    gm = GaussianMixture(2, random_state=0).fit(Table(X, ["a", "b"]))
    assert gm.feature_names_in_.tolist() == ["a", "b"]
    assert gm.feature_names_in_.dtype == object
    np.testing.assert_array_equal(gm.predict(Table(X, ["a", "b"])), gm.mixture_.predict(X))
    with pytest.raises(ValueError, match=r"feature names should match.*order"):
        gm.predict(Table(X, ["b", "a"]))
    with pytest.raises(ValueError, match=r"unseen.*'c'.*missing.*'b'"):
        gm.score(Table(X, ["a", "c"]))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but GaussianMixture was fitted with"):
        gm.predict(X)
    gm.fit(X)
    assert not hasattr(gm, "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but GaussianMixture was fitted without"):
        gm.predict(Table(X, ["a", "b"]))


def test_feature_names_that_are_no_strings():
    X, _ = problem(n=100, d=2)
    assert not hasattr(GaussianMixture(2, random_state=0).fit(Table(X, [0, 1])), "feature_names_in_")
    with pytest.raises(TypeError, match="only supported if all input features have string names"):
        GaussianMixture(2).fit(Table(X, ["a", 1]))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library):
    frames = pytest.importorskip(library)
    X, _ = problem(n=100, d=2)
    frame = frames.DataFrame({"long": X[:, 0], "wide": X[:, 1]})
    gm = GaussianMixture(2, random_state=0).fit(frame)
    assert gm.feature_names_in_.tolist() == ["long", "wide"]
    np.testing.assert_array_equal(gm.predict_proba(frame), gm.mixture_.responsibilities(X))
    np.testing.assert_array_equal(gm.means_, GaussianMixture(2, random_state=0).fit(X).means_)
    with pytest.raises(ValueError, match="order"):
        gm.predict(frame[["wide", "long"]])
    weights = frames.Series(np.arange(100.0))
    weighted = GaussianMixture(2, random_state=0).fit(frame, sample_weight=weights)
    expected = GaussianMixture(2, random_state=0).fit(X, sample_weight=np.arange(100.0))
    np.testing.assert_array_equal(weighted.means_, expected.means_)
