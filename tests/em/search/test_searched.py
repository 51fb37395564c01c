from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm import GaussianMixture, datasets
from fastgmm.em import progressive
from fastgmm.em.run import Interrupted
from fastgmm.em.search import STRATEGIES
from fastgmm.em.search.evolution import Evolution
from fastgmm.em.search.meter import Meter
from fastgmm.errors import ParameterError
from fastgmm.models import MODELS
from fastgmm.rows.memory import ArrayRows

X = datasets.load_faithful()


@pytest.mark.parametrize("name", STRATEGIES)
def test_not_below_the_plain_fit(name: str) -> None:
    for seed in range(3):
        plain = GaussianMixture(4, random_state=seed, n_threads=1).fit(X)
        found = GaussianMixture(4, random_state=seed, n_threads=1, search=name).fit(X)
        assert found.score(X) >= plain.score(X) - 1e-9
        assert found.converged_


def test_auto_goes_on_from_a_start_that_is_given_and_never_ends_below_it() -> None:
    best = GaussianMixture(4, random_state=0, n_threads=1, search="auto", search_budget=400, tol=1e-6).fit(X)
    given = {"weights_init": best.weights_, "means_init": best.means_, "precisions_init": best.precisions_}
    found = GaussianMixture(4, random_state=1, n_threads=1, search="auto", search_budget=8, **given).fit(X)
    assert found.score(X) >= best.score(X) - 1e-9


def test_auto_takes_the_plain_fit_where_rows_lie_in_a_line() -> None:
    flat = np.repeat(np.arange(12.0), 5)[:, None] * [1.0, 2.0]
    plain = GaussianMixture(2, random_state=0, n_threads=1).fit(flat)
    found = GaussianMixture(2, random_state=0, n_threads=1, search="auto").fit(flat)
    assert found.score(flat) >= plain.score(flat) - 1e-3


def test_auto_ends_little_above_its_budget() -> None:
    for budget in (20, 60):
        meter = Meter(len(X), 4)
        GaussianMixture(4, random_state=0, n_threads=1, search="auto", search_budget=budget).fit(
            meter.counted(ArrayRows(X))
        )
        assert meter.passes < budget + 20  # the last child, and the last run


def test_a_budget_in_seconds_ends() -> None:
    gm = GaussianMixture(4, random_state=0, n_threads=1, search="auto", search_budget="0.2s").fit(X)
    assert gm.score(X) > -4.12


@pytest.mark.parametrize("model", MODELS)
def test_every_model_with_weights_and_a_prior(model: str) -> None:
    weights = problems.row_weights(len(X))
    options = {"covariance_type": model, "prior": "mclust", "random_state": 0, "n_threads": 1, "tol": 1e-4}
    plain = GaussianMixture(3, **options).fit(X, sample_weight=weights)
    found = GaussianMixture(3, search="auto", search_budget=100, **options).fit(X, sample_weight=weights)
    assert found.lower_bound_ >= plain.lower_bound_ - 1e-4


def test_equal_weights_stay_equal() -> None:
    gm = GaussianMixture(4, random_state=0, n_threads=1, equal_weights=True, search="split-merge").fit(X)
    np.testing.assert_array_equal(gm.weights_, 0.25)


def test_the_same_bits_for_any_number_of_threads_and_for_a_seed() -> None:
    fits = [GaussianMixture(4, random_state=7, n_threads=n, search="auto").fit(X) for n in (1, 2, 1)]
    assert len({gm.means_.tobytes() for gm in fits}) == 1


def test_a_sample_is_searched_where_there_are_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progressive, "SAMPLE_ROWS", 1)
    monkeypatch.setattr(progressive, "ROWS_PER_PARAMETER", 0)
    many = problems.drawn(problems.mixture(4, 2), 9000)
    plain = GaussianMixture(4, random_state=1, n_threads=1).fit(many)
    found = GaussianMixture(4, random_state=1, n_threads=1, search="auto", search_budget=20).fit(many)
    assert found.score(many) >= plain.score(many) - 5e-3


def test_one_component_needs_no_search() -> None:
    gm = GaussianMixture(1, n_threads=1, search="auto").fit(X)
    np.testing.assert_allclose(gm.means_[0], X.mean(axis=0))


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_search_leaves_the_plain_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "split-merge", stop)
    gm = GaussianMixture(4, random_state=0, n_threads=1, search="split-merge")
    with pytest.raises(Interrupted):
        gm.fit(X)
    plain = GaussianMixture(4, random_state=0, n_threads=1).fit(X)
    np.testing.assert_array_equal(gm.means_, plain.means_)


def test_an_interrupted_evolution_leaves_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Evolution, "_child", stop)
    gm = GaussianMixture(4, random_state=0, n_threads=1, search="auto")
    with pytest.raises(Interrupted):
        gm.fit(X)
    assert gm.score(X) > -4.2


def test_what_is_not_taken_is_refused() -> None:
    with pytest.raises(ParameterError, match="'search' parameter of GaussianMixture must be a str among"):
        GaussianMixture(2, search="everything").fit(X)
    with pytest.raises(ParameterError, match="search_budget must be a positive number"):
        GaussianMixture(2, search="auto", search_budget=0).fit(X)
    with pytest.raises(ParameterError, match="needs assignment='soft'"):
        GaussianMixture(2, search="auto", assignment="hard").fit(X)
