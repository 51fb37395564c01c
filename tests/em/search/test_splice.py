from __future__ import annotations

import numpy as np
import pytest
from search_cases import TEAM, log_likelihood, problem_of

from fastgmm import datasets
from fastgmm.em.search.board import Board
from fastgmm.em.search.draws import Draws
from fastgmm.em.search.splice import LEAST, NOVEL, apart, reweighted, spliced
from fastgmm.em.search.table import Table
from fastgmm.initialise.overall import overall

X = datasets.load_faithful()


@pytest.fixture
def mixtures() -> list[Table]:
    problem = problem_of(X, 6, 4000.0)
    board = Board.of(problem)
    draws = Draws(board, overall(problem.rows, TEAM)[1])
    return [Table.of(board, draws.draw(6, 0.5)) for _ in range(3)]


def test_a_splice_has_components_of_both_sides_and_evaluates_no_pair(mixtures: list[Table]) -> None:
    one, other = mixtures[:2]
    meter = one.board.problem.budget.meter
    before = meter.passes
    found = spliced(one, other, mixtures, np.random.RandomState(0))
    assert meter.passes == before
    assert found is not None
    means = found.parameters.means
    assert len(means) == 7
    of_one, of_other = ((means[:, None] == table.parameters.means).all(axis=2).any(axis=1) for table in (one, other))
    assert of_one.any()
    assert of_other.any()
    assert (of_one ^ of_other).all()
    assert min(apart(found, table) for table in mixtures) >= NOVEL
    assert found.bound == pytest.approx(log_likelihood(one.board.problem, found.parameters), abs=1e-6)


def test_one_plane_parts_what_is_taken_from_what_is_left(mixtures: list[Table]) -> None:
    one, other = mixtures[:2]
    found = spliced(one, other, mixtures, np.random.RandomState(1))
    assert found is not None
    taken = (one.parameters.means[:, None] == found.parameters.means).all(axis=2).any(axis=1)
    angles = np.linspace(0, 2 * np.pi, 721)
    whitener = one.board.problem.guard.whitener
    along = one.parameters.means @ whitener.T @ np.stack([np.cos(angles), np.sin(angles)])
    assert (along[taken].max(axis=0) < along[~taken].min(axis=0)).any()


def test_a_splice_of_a_mixture_with_itself_is_nothing_new_where_none_is_spare(
    mixtures: list[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastgmm.em.search.splice.SPARE", 0)
    rested = mixtures[0]
    for _ in range(500):
        rested = reweighted(rested)
    assert spliced(rested, rested, [rested], np.random.RandomState(0)) is None


def test_weights_alone_raise_the_likelihood_and_end_where_each_is_its_share(mixtures: list[Table]) -> None:
    table = mixtures[0]
    for _ in range(500):
        before, table = table, reweighted(table)
        assert table.bound >= before.bound - 1e-12
    weights = table.parameters.weights
    assert weights.sum() == pytest.approx(1.0)
    shares = table.responsibilities.mean(axis=0)
    np.testing.assert_allclose(weights, np.maximum(shares, LEAST), atol=1e-4)
    assert table.bound == pytest.approx(log_likelihood(table.board.problem, table.parameters), abs=1e-6)
