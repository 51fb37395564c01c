from __future__ import annotations

import numpy as np
import pytest
from search_cases import plain, problem_of

from fastgmm import datasets
from fastgmm.em.search import STRATEGIES
from fastgmm.em.search.annealing import annealing, betas, tempered_step
from fastgmm.em.search.moves import found_moves
from fastgmm.em.search.problem import Candidate, Problem, limit
from fastgmm.em.search.short_runs import short_runs
from fastgmm.em.search.split_merge import split_merge
from fastgmm.em.search.starts import KINDS, Starts
from fastgmm.em.search.view import View

BEST = -4.06629
"""Of Old Faithful with K = 4, see `bench.strategies`."""


def square(seed: int, k: int = 9) -> np.ndarray:
    """Rows of well-separated clusters."""
    rng = np.random.RandomState(seed)
    centres = 8.0 * np.stack(np.meshgrid(np.arange(3), np.arange(3)), axis=-1).reshape(-1, 2)[:k]
    return (centres[:, None] + rng.standard_normal((k, 60, 2))).reshape(-1, 2)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_returns_less_than_it_was_given(name: str) -> None:
    for seed in range(2):
        problem = problem_of(datasets.load_faithful(), 4, seed=seed)
        best = plain(problem)
        found = STRATEGIES[name](problem, best, 1.0)
        assert found.bound >= best.bound
        assert found is best or problem.sound(found)
        assert problem.budget.spent < 1.3


def misplaced(problem: Problem) -> Candidate:
    """An optimum of nine clusters in which two share a component, and one has two."""
    rng = np.random.RandomState(5)
    labels = np.repeat(np.arange(9), 60)
    labels[labels == 1] = 0
    labels[(labels == 8) & (rng.uniform(size=540) < 0.5)] = 1
    origin = plain(problem).parameters
    start = problem.settings.maximise(problem.rows.expectation(origin, problem.team, labels=labels.astype(np.int32)))
    found = problem.climb(start, 50, tol=1e-6)
    assert found is not None
    return found


def test_splits_and_merges_mend_what_em_cannot() -> None:
    problem = problem_of(square(0), 9, 200.0)
    stuck = misplaced(problem)
    view = View.of(problem, stuck.parameters, square(0), np.ones(540))
    gain = found_moves(view)[0].gain
    found = split_merge(problem, stuck)
    assert found.bound > stuck.bound + 0.05
    assert gain == pytest.approx(found.bound - stuck.bound, rel=0.3)
    np.testing.assert_allclose(np.sort(found.parameters.weights), np.full(9, 1 / 9), atol=0.01)


def test_short_runs_find_the_best_of_old_faithful() -> None:
    problem = problem_of(datasets.load_faithful(), 4, 400.0)
    assert short_runs(problem, plain(problem)).bound > -4.0982  # where plain fits end


def test_auto_finds_the_best_of_old_faithful() -> None:
    problem = problem_of(datasets.load_faithful(), 4, 400.0, seed=1)
    assert STRATEGIES["auto"](problem, plain(problem), 1.0).bound > BEST - 0.005


def test_annealing_finds_the_best_of_the_wines() -> None:
    X = pytest.importorskip("sklearn.datasets").load_wine().data
    problem = problem_of((X - X.mean(axis=0)) / X.std(axis=0), 3, model="VVI")
    stuck = plain(problem)
    assert stuck.bound == pytest.approx(-14.4447, abs=1e-3)
    assert annealing(problem, stuck).bound == pytest.approx(-14.4068, abs=1e-3)  # see `bench.strategies`


def test_betas_rise_to_one() -> None:
    np.testing.assert_allclose(betas(), [0.3, 0.45, 0.675])


def test_a_step_at_beta_one_is_em(faithful: Problem) -> None:
    start = plain(faithful).parameters
    statistics = faithful.rows.expectation(start, faithful.team)
    expected = faithful.settings.maximise(statistics, start)
    np.testing.assert_allclose(tempered_step(faithful, start, 1.0).means, expected.means, rtol=1e-12)


def test_starts_are_of_all_kinds_and_sound(faithful: Problem) -> None:
    starts = Starts(faithful)
    drawn = [starts.draw() for _ in range(2 * len(KINDS))]
    assert len({start.means.tobytes() for start in drawn}) == len(drawn)
    for start in drawn:
        assert np.isfinite(start.inverse_factors).all()
        assert start.n_components == 4


def test_aitken_s_limit() -> None:
    assert limit(1.75, 0.5, 0.25) == pytest.approx(2.0)
    assert limit(1.0, 0.1, 0.2) == np.inf
    assert limit(1.0, 0.1, 0.0) == limit(1.0, 0.1, -0.1) == 1.0


def test_hopeless_runs_are_given_up(faithful: Problem) -> None:
    start = plain(faithful).parameters
    stopped = faithful.climb(start, 200, tol=1e-9, floor=0.0)
    assert stopped is not None
    assert not stopped.rests
    before = faithful.budget.meter.passes
    faithful.climb(start, 200, tol=1e-9, floor=0.0)
    assert faithful.budget.meter.passes - before < 40
