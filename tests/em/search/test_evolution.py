from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from search_cases import TEAM, plain, problem_of

from fastgmm import datasets
from fastgmm.em.search.board import Board
from fastgmm.em.search.draws import Draws
from fastgmm.em.search.evolution import MOST, POPULATION, Evolution, suits
from fastgmm.em.search.splice import spliced
from fastgmm.em.search.table import Table
from fastgmm.initialise.overall import overall

X = datasets.load_faithful()


def evolution(limit: float, seed: int = 0) -> Evolution:
    problem = problem_of(X, 6, limit, seed)
    return Evolution(problem, overall(problem.rows, TEAM)[1])


def test_children_find_more_than_plain_fits() -> None:
    best = max(plain(problem_of(X, 6, 1000.0, seed)).bound for seed in range(5))
    for seed in range(2):
        found = evolution(120.0, seed).run(1.0)
        assert found is not None
        assert found.bound > best


def test_a_bound_is_the_mean_log_likelihood_of_what_is_found() -> None:
    problem = problem_of(X, 6, 60.0)
    found = Evolution(problem, overall(problem.rows, TEAM)[1]).run(1.0)
    assert found is not None
    assert problem.sound(found)
    seen = problem.rows.expectation(found.parameters, TEAM).log_likelihood / len(X)
    assert found.bound == pytest.approx(seen, abs=6e-3)
    assert found.bound <= seen + 1e-9


def test_draws_are_varied_mixtures_of_any_size_and_are_counted() -> None:
    problem = problem_of(X, 4, 1000.0)
    draws = Draws(Board.of(problem), overall(problem.rows, TEAM)[1])
    before = problem.budget.meter.passes
    seen = set()
    for k in (1, 3, 3, 8):
        drawn = draws.draw(k, 0.5)
        assert drawn.n_components == k
        assert np.isfinite(drawn.inverse_factors).all()
        assert drawn.weights.sum() == pytest.approx(1.0)
        seen.add(drawn.means.tobytes())
    assert len(seen) == 4
    assert problem.budget.meter.passes > before + 4


@pytest.mark.parametrize(
    ("k", "model", "expected"), [(1, "VVV", False), (4, "VVV", True), (4, "EEE", False), (4, "VEV", False)]
)
def test_children_are_for_components_that_are_free(k: int, model: str, expected: bool) -> None:
    assert suits(problem_of(X, k, 60.0, model=model)) is expected


def test_a_large_budget_begins_with_more_mixtures_and_splices_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, splices = [], []
    begin, splice = Evolution._fresh, spliced

    def begun(self: Evolution) -> Table:
        fresh.append(1)
        return begin(self)

    def counted(*arguments: Any) -> Table | None:
        splices.append(splice(*arguments))
        return splices[-1]

    monkeypatch.setattr(Evolution, "_fresh", begun)
    monkeypatch.setattr("fastgmm.em.search.evolution.spliced", counted)
    assert evolution(60.0).run(1.0) is not None
    assert len(fresh) <= POPULATION
    assert not splices
    fresh.clear()
    assert evolution(600.0).run(1.0) is not None
    assert POPULATION < len(fresh) <= MOST
    assert any(found is not None for found in splices)
