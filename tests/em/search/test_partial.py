from __future__ import annotations

import numpy as np
import pytest
import reference
from search_cases import TEAM, plain

from fastgmm.em.search.overfit import bounds, doubled, merged_down, together
from fastgmm.em.search.partial import Part, swept
from fastgmm.em.search.pieces import halves, merged, taken
from fastgmm.em.search.problem import Problem
from fastgmm.em.search.table import Board, Table


def table_of(problem: Problem) -> Table:
    return Table.of(Board.of(problem), plain(problem).parameters)


def log_likelihood(problem: Problem, parameters: object) -> float:
    return problem.rows.expectation(parameters, TEAM).log_likelihood / problem.rows.n_rows


def test_a_table_s_densities_are_those_of_the_oracle(faithful: Problem) -> None:
    table = table_of(faithful)
    frame = faithful.rows.frame
    p = frame.leave(table.parameters)
    expected = reference.log_joint(table.board.X, reference.Mixture(p.weights, p.means, p.covariances))
    np.testing.assert_allclose(table.logs + frame.log_volume, expected, atol=1e-9)
    assert table.bound == pytest.approx(log_likelihood(faithful, table.parameters), abs=1e-10)


def test_evaluations_are_counted_pair_by_pair(faithful: Problem) -> None:
    meter = faithful.budget.meter
    table = table_of(faithful)
    before = meter.passes
    moved = table.moved(table.parameters)
    near = (table.shares > np.log(1e-6)).mean()
    assert meter.passes - before == pytest.approx(near)
    np.testing.assert_allclose(moved.logs, table.logs, atol=1e-12)
    old = moved.moved(table.parameters).moved(table.parameters)
    assert [table.age, moved.age, old.age] == [0, 1, 3]
    before = meter.passes
    assert old.moved(table.parameters).age == 0
    assert meter.passes - before == pytest.approx(1.0)


def test_partial_em_is_em_where_every_pair_takes_part(faithful: Problem) -> None:
    table = table_of(faithful)
    n, k = table.logs.shape
    everything = [np.arange(n)] * k
    part = Part(table.board, table.parameters, 1.0, everything, np.full(n, -1e30), table.logs)
    stepped = part.stepped(part.pieces())
    statistics = faithful.rows.expectation(table.parameters, TEAM)
    expected = faithful.settings.maximise(statistics, table.parameters)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(stepped.parameters, name), getattr(expected, name), rtol=1e-9)


def test_em_of_some_components_never_lowers_the_likelihood_of_all(faithful: Problem) -> None:
    table = table_of(faithful)
    n = len(table.board.X)
    others = np.logaddexp(table.logs[:, 2], table.logs[:, 3])
    weight = float(table.parameters.weights[:2].sum())
    start = merged(taken(table.parameters, (0, 1)))
    start = halves(start, np.linalg.cholesky(start.matrices[0]) @ np.array([0.6, 0.8]))
    part = Part(table.board, start, weight, [np.arange(n)] * 2, others, np.full((n, 2), -1e30))
    pieces = part.pieces()
    seen = []
    for _ in range(12):
        part = part.evaluated(pieces)
        seen.append(float(np.logaddexp.reduce(np.column_stack([others, part.logs]), axis=1).mean()))
        part = part.stepped(pieces)
    assert (np.diff(seen) > -1e-10).all()
    assert seen[-1] > seen[0]


def test_a_sweep_costs_less_than_its_iterations_and_gains_like_them(faithful: Problem) -> None:
    table = table_of(faithful)
    before = faithful.budget.meter.passes
    found = swept(table)
    assert faithful.budget.meter.passes - before < 5.0
    dense = faithful.climb(table.parameters, 4, tol=0.0)
    assert dense is not None
    assert found.bound > dense.bound - 1e-3


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


def test_equal_components_merge_back_to_what_they_were(faithful: Problem) -> None:
    rested = faithful.climb(plain(faithful).parameters, 2000, tol=1e-12)
    assert rested is not None
    table = Table.of(Board.of(faithful), rested.parameters)
    twice = together(table, table)
    assert twice.parameters.n_components == 8
    assert twice.bound == pytest.approx(table.bound, abs=1e-12)
    back = merged_down(twice, 4)
    assert back.bound == pytest.approx(table.bound, abs=1e-6)
    np.testing.assert_allclose(np.sort(back.parameters.weights), np.sort(table.parameters.weights), atol=1e-4)


def test_doubled_components_have_the_moments_of_those_they_replace(faithful: Problem) -> None:
    table = table_of(faithful)
    components = [3, 1]
    by = [
        halves(one, np.linalg.cholesky(one.matrices[0])[:, 0])
        for one in (taken(table.parameters, (k,)) for k in components)
    ]
    more = doubled(table, components, by)
    p = more.parameters
    assert p.n_components == 6
    np.testing.assert_allclose(p.weights @ p.means, table.parameters.weights @ table.parameters.means, rtol=1e-12)
    np.testing.assert_allclose(p.weights[2:4].sum(), table.parameters.weights[3], rtol=1e-12)
    assert more.bound == pytest.approx(log_likelihood(faithful, p), abs=1e-5)
