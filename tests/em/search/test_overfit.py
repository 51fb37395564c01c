from __future__ import annotations

import numpy as np
import pytest
from search_cases import log_likelihood, plain, table_of

from fastgmm.em.search.board import Board
from fastgmm.em.search.overfit import bounds, merged_down
from fastgmm.em.search.pieces import merged, taken
from fastgmm.em.search.problem import Problem
from fastgmm.em.search.table import Table, together


def test_runnalls_s_bound_is_its_formula_and_no_merge_costs_more(faithful: Problem) -> None:
    rested = faithful.climb(plain(faithful).parameters, 2000, tol=1e-12)
    assert rested is not None
    table = Table.of(Board.of(faithful), rested.parameters)
    p, costs = table.parameters, bounds(table.parameters)
    np.testing.assert_array_equal(costs, costs.T)
    for i, j in [(0, 1), (1, 3), (0, 2)]:
        w = p.weights[[i, j]]
        one = merged(taken(p, (i, j))).matrices[0]
        expected = 0.5 * (
            w.sum() * np.linalg.slogdet(one)[1]
            - w[0] * np.linalg.slogdet(p.matrices[i])[1]
            - w[1] * np.linalg.slogdet(p.matrices[j])[1]
        )
        assert costs[i, j] == pytest.approx(expected, abs=1e-12)
    fewer = merged_down(table, 3)
    assert log_likelihood(faithful, fewer.parameters) >= table.bound - costs.min() - 1e-6


def test_equal_components_merge_back_to_what_they_were(faithful: Problem) -> None:
    table = table_of(faithful)
    back = merged_down(together(table, table), 4)
    assert back.bound == pytest.approx(table.bound, abs=1e-3)
    order, before = np.argsort(back.parameters.means[:, 0]), np.argsort(table.parameters.means[:, 0])
    for name in ("weights", "means", "covariances"):
        found, expected = getattr(back.parameters, name)[order], getattr(table.parameters, name)[before]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_merging_evaluates_only_rows_that_what_is_merged_has_a_share_of(faithful: Problem) -> None:
    table = table_of(faithful)
    before = faithful.budget.meter.passes
    fewer = merged_down(table, 3)
    cost = faithful.budget.meter.passes - before
    assert 0 < cost < 0.25
    dense = Table.of(table.board, fewer.parameters)
    assert (fewer.distances <= dense.distances + 1e-9).all()
    assert fewer.bound == pytest.approx(dense.bound, abs=6e-3)
