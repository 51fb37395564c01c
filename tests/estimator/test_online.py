from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import problems
import pytest

from fastgmm import GaussianMixture
from fastgmm.errors import DataError, DegenerateComponentError, ParameterError
from fastgmm.models import MODELS
from fastgmm.models.prior import Prior

MIXTURE = problems.mixture(3, 2)._replace(means=4 * problems.mixture(3, 2).means)
X = problems.drawn(MIXTURE, 3000)


def batches(rows: Any = X, n: int = 30) -> list[Any]:
    return np.array_split(rows, n)


def streamed(rows: Any = X, n: int = 30, **options: Any) -> GaussianMixture:
    gm = GaussianMixture(**{"n_components": 3, "random_state": 0} | options)
    for batch in batches(rows, n):
        gm.partial_fit(batch)
    return gm


def batch_fit(**options: Any) -> GaussianMixture:
    """Exact EM on all rows, from where the stream began."""
    first = GaussianMixture(3, random_state=0, **options).partial_fit(X[:100])
    start = {"weights_init": first.weights_, "means_init": first.means_, "precisions_init": first.precisions_}
    return GaussianMixture(3, **options, **start).fit(X)


def state(gm: GaussianMixture) -> list[bytes]:
    return [a.tobytes() for a in (gm.weights_, gm.means_, gm.covariances_, gm.precisions_cholesky_)]


@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_comes_near_the_fit_of_all_rows(model: str) -> None:
    gm = streamed(np.concatenate([X, X]), 60, covariance_type=model)
    assert gm.score(X) > batch_fit(covariance_type=model).score(X) - 0.01


def test_attributes_after_each_batch() -> None:
    gm = GaussianMixture(3, random_state=0)
    for number, batch in enumerate(batches(), 1):
        assert gm.partial_fit(batch) is gm
        assert (gm.n_iter_, gm.n_features_in_, gm.converged_) == (number, 2, False)
        assert len(gm.lower_bounds_) == number
        assert gm.lower_bound_ == gm.lower_bounds_[-1]
        assert gm.predict(batch).shape == (100,)
    assert gm.degenerate_ == []


def test_bounds_are_of_each_batch_before_it_is_learnt_from() -> None:
    gm = GaussianMixture(3, random_state=0).partial_fit(X[:100])
    expected = gm.score(X[100:300])
    assert gm.partial_fit(X[100:300]).lower_bound_ == pytest.approx(expected, rel=1e-12)


def test_an_exact_fit_polishes_the_stream() -> None:
    gm = streamed(warm_start=True, tol=1e-10, max_iter=1000)
    before = gm.score(X)
    gm.fit(X)
    whole = GaussianMixture(3, random_state=0, tol=1e-10, max_iter=1000).fit(X)
    assert gm.converged_
    assert before <= gm.score(X)
    assert gm.score(X) == pytest.approx(whole.score(X), abs=1e-7)


def test_a_fit_may_start_online() -> None:
    options = {"n_components": 3, "tol": 1e-10, "max_iter": 2000, "random_state": 0}
    gm = GaussianMixture(**options, init_params="online").fit(X)
    again = GaussianMixture(**options, init_params="online", n_threads=2).fit(X)
    assert state(gm) == state(again)
    assert gm.score(X) == pytest.approx(GaussianMixture(**options).fit(X).score(X), abs=1e-6)


def test_a_fit_ends_the_stream() -> None:
    fresh = GaussianMixture(3, random_state=0).fit(X)
    assert state(streamed().fit(X)) == state(fresh)


def test_a_stream_after_a_fit_keeps_what_the_fit_knows() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    before = gm.score(X)
    gm.partial_fit(problems.drawn(MIXTURE, 30, seed=5))
    assert gm.n_iter_ == 1
    assert before - 0.01 < gm.score(X) <= before + 1e-6


def test_few_rows_begin_a_stream() -> None:
    gm = GaussianMixture(3, random_state=0).partial_fit(X[:3])
    for batch in batches(X[3:], 60):
        gm.partial_fit(batch)
    whole = GaussianMixture(3, random_state=0).fit(X)
    assert gm.score(X) > whole.score(X) - 0.05


def test_forgetting_follows_a_drift() -> None:
    """The mean of a stream that walks away: remembered as a whole, or where it is."""
    rng = np.random.default_rng(0)
    drift = [rng.standard_normal((200, 2)) + 0.05 * step for step in range(200)]
    ever, last = GaussianMixture(), GaussianMixture(forgetting=0.1)
    for batch in drift:
        ever.partial_fit(batch)
        last.partial_fit(batch)
    lag = 0.05 * (1 / 0.1 - 1)  # of an exponential mean, whose weights are η (1 − η)^j
    np.testing.assert_allclose(last.means_, 0.05 * 199 - lag, atol=0.1)
    assert (ever.means_ < last.means_ - 0.5).all()


def test_forgetting_everything_is_one_iteration_of_em() -> None:
    gm = GaussianMixture(3, random_state=0, forgetting=1.0).partial_fit(X[:500])
    again = GaussianMixture(
        3, weights_init=gm.weights_, means_init=gm.means_, precisions_init=gm.precisions_, max_iter=1
    )
    with pytest.warns(UserWarning, match="did not converge"):
        again.fit(X[500:])
    gm.partial_fit(X[500:])
    np.testing.assert_allclose(gm.means_, again.means_, rtol=1e-9)
    np.testing.assert_allclose(gm.covariances_, again.covariances_, rtol=1e-8)


def test_weights_are_repeated_rows() -> None:
    counts = np.random.default_rng(1).integers(0, 3, 600)
    start = {"weights_init": MIXTURE.weights, "means_init": MIXTURE.means}
    start["precisions_init"] = np.linalg.inv(MIXTURE.covariances)
    weighted = GaussianMixture(3, **start)
    repeated = GaussianMixture(3, **start)
    for part in (slice(0, 300), slice(300, 600)):
        weighted.partial_fit(X[part], sample_weight=counts[part])
        repeated.partial_fit(np.repeat(X[part], counts[part], axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-10)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-9)


def test_a_given_start_learns_from_the_first_batch() -> None:
    gm = GaussianMixture(3, means_init=MIXTURE.means, random_state=0).partial_fit(X[:300])
    assert gm.n_iter_ == 1
    assert np.isfinite(gm.lower_bound_)
    assert not np.array_equal(gm.means_, MIXTURE.means)


def test_streams_survive_pickling_and_ignore_threads() -> None:
    whole, parts = streamed(n_threads=1), GaussianMixture(3, random_state=0, n_threads=2)
    for batch in batches():
        parts = pickle.loads(pickle.dumps(parts)).partial_fit(batch)
    assert state(parts) == state(whole)


def test_priors_are_weighed_against_all_rows_seen() -> None:
    gm = streamed(np.concatenate([X, X]), 60, prior="mclust")
    assert gm.score(X) > batch_fit(prior="mclust").score(X) - 0.01
    heavy = Prior(np.zeros(2), 50.0, 50.0, 50.0 * np.eye(2))  # worth many rows, but few of those of a stream
    early = GaussianMixture(3, random_state=0, prior=heavy).partial_fit(X[:100])
    free, pulled, late = (np.abs(each.means_).max() for each in (streamed(), early, streamed(prior=heavy)))
    assert pulled < 0.8 * free
    assert late > 0.93 * free


def test_what_is_refused_leaves_the_stream_as_it_was() -> None:
    gm = streamed(n=3)
    before = state(gm)
    for bad, text in (
        (np.ones((5, 3)), "X has 3 features, but GaussianMixture is expecting 2 features"),
        (np.full((5, 2), np.nan), "NaN"),
        (np.empty((0, 2)), r"0 sample\(s\)"),
    ):
        with pytest.raises(DataError, match=text):
            gm.partial_fit(bad)
    assert (state(gm), gm.n_iter_) == (before, 3)
    gm.partial_fit(X[:1])
    assert gm.n_iter_ == 4


def test_a_collapse_leaves_the_stream_as_it_was() -> None:
    gm = GaussianMixture(2, reg_covar=0.0, forgetting=1.0, random_state=0).partial_fit(X[:300])
    before = state(gm)
    with pytest.raises(DegenerateComponentError):
        gm.partial_fit(np.repeat(X[:1], 50, axis=0))
    assert (state(gm), gm.n_iter_) == (before, 1)


def test_the_first_batch_must_have_a_row_for_each_component() -> None:
    gm = GaussianMixture(4)
    with pytest.raises(DataError, match=r"first batch must have a row for each component.*n_samples = 3. Collect"):
        gm.partial_fit(X[:3])
    assert not hasattr(gm, "means_")


@pytest.mark.parametrize("value", [0, -1, 1.5, "x", np.nan])
def test_bad_rates_are_refused(value: Any) -> None:
    with pytest.raises(ParameterError, match="'forgetting' parameter of GaussianMixture must be"):
        GaussianMixture(forgetting=value).partial_fit(X)
