from __future__ import annotations

import numpy as np
import pytest
from search_cases import log_likelihood, table_of

from fastgmm.em.search import partial
from fastgmm.em.search.partial import Sweep, swept
from fastgmm.em.search.problem import Problem
from fastgmm.errors import DegenerateComponentError


def test_a_sweep_of_every_pair_is_em(faithful: Problem) -> None:
    table = table_of(faithful)
    expected = table.parameters
    for _ in range(partial.ITERATIONS):
        statistics = faithful.rows.expectation(expected, faithful.team)
        expected = faithful.settings.maximise(statistics, expected)
    found = Sweep(table, 0.0).run(1.0)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-7)


def test_a_sweep_costs_less_than_its_iterations_and_gains_like_them(faithful: Problem) -> None:
    table = table_of(faithful)
    before = faithful.budget.meter.passes
    found = swept(table, 1e-3)
    assert faithful.budget.meter.passes - before < 0.75 * partial.ITERATIONS
    expected = table.parameters
    for _ in range(4):
        statistics = faithful.rows.expectation(expected, faithful.team)
        expected = faithful.settings.maximise(statistics, expected)
    assert log_likelihood(faithful, found.parameters) > log_likelihood(faithful, expected)


def test_sweeps_end_near_an_optimum_of_em(faithful: Problem) -> None:
    table = table_of(faithful)
    for _ in range(60):
        table = swept(table, 1e-3)
    rested = faithful.climb(table.parameters, 2000, tol=1e-12)
    assert rested is not None
    assert log_likelihood(faithful, table.parameters) == pytest.approx(rested.bound, abs=1e-3)


def test_long_steps_that_lower_the_bound_are_taken_back(faithful: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(faithful)
    expected = table.moved(Sweep(table, partial.ACTIVE).run(1.0))
    monkeypatch.setattr(partial, "STRIDE", 40.0)
    found = swept(table)
    assert found.bound >= min(expected.bound, table.bound)


def test_a_component_without_rows_is_refused(faithful: Problem) -> None:
    table = table_of(faithful)
    logs = table.logs.copy()
    logs[:, 1] = -1e30
    lonely = partial.Table(table.board, table.parameters, logs, table.distances)
    with pytest.raises(DegenerateComponentError):
        swept(lonely)
