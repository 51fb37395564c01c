from __future__ import annotations

import numpy as np
import pytest
import reference
from search_cases import log_likelihood, problem_of, table_of

from fastgmm import datasets
from fastgmm.em.search.problem import Problem
from fastgmm.em.search.table import NEAR, Table, together


def test_a_table_s_densities_are_those_of_the_oracle(faithful: Problem) -> None:
    table = table_of(faithful)
    frame = faithful.rows.frame
    p = frame.leave(table.parameters)
    expected = reference.log_joint(table.board.X, reference.Mixture(p.weights, p.means, p.covariances))
    np.testing.assert_allclose(table.logs + frame.log_volume, expected, atol=1e-9)
    assert table.bound == pytest.approx(log_likelihood(faithful, table.parameters), abs=1e-10)


def test_pairs_that_are_far_are_not_evaluated_and_none_that_is_near_is_left_out() -> None:
    problem = problem_of(datasets.load_faithful(), 6, 4000.0)
    table, meter = table_of(problem), problem.budget.meter
    for _ in range(8):
        statistics = problem.rows.expectation(table.parameters, problem.team)
        parameters = problem.settings.maximise(statistics, table.parameters)
        before = meter.passes
        table = table.moved(parameters)
        share = meter.passes - before
        dense = Table.of(table.board, parameters)
        near = dense.logs > dense.logs.max(axis=1, keepdims=True) + NEAR
        assert near.mean() <= share + 1e-12
        assert share < 0.8
        np.testing.assert_allclose(table.logs[near], dense.logs[near], atol=1e-9)
        assert (table.distances <= dense.distances + 1e-9).all()
        assert dense.bound - 6e-3 < table.bound <= dense.bound + 1e-12


def test_a_part_is_a_mixture_by_itself(faithful: Problem) -> None:
    table = table_of(faithful)
    part = table.part([3, 1])
    assert part.parameters.weights.sum() == pytest.approx(1.0)
    assert part.bound == pytest.approx(log_likelihood(faithful, part.parameters), abs=1e-10)


def test_a_mixture_joined_with_itself_is_the_same(faithful: Problem) -> None:
    table = table_of(faithful)
    twice = together(table, table)
    assert twice.parameters.n_components == 8
    assert twice.bound == pytest.approx(table.bound, abs=1e-12)
