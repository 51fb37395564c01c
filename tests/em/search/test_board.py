from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search_cases import plain, problem_of

from fastgmm import datasets
from fastgmm.em.search import board as boards
from fastgmm.em.search.board import Board, log_sums, stacked


@pytest.mark.parametrize("model", ["VVV", "VVI", "VII"])
def test_numpy_and_kernels_find_the_same(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(datasets.load_faithful(), 4, model=model)
    rng = np.random.RandomState(0)
    weights = rng.randint(3, size=272).astype(float)
    board, parameters = replace(Board.of(problem), weights=weights), plain(problem).parameters
    rows = np.sort(rng.choice(len(board.X), 100, replace=False))
    shares = rng.uniform(size=100)
    seen = []
    for small in (boards.SMALL, 0):
        monkeypatch.setattr(boards, "SMALL", small)
        before = problem.budget.meter.passes
        logs = board.densities(parameters, 2, rows)
        assert problem.budget.meter.passes - before == pytest.approx(100 / (4 * len(board.X)))
        seen.append((logs, board.moments(parameters, 2, rows, shares)))
    (logs, moments), (other_logs, other_moments) = seen
    np.testing.assert_allclose(logs, other_logs, rtol=1e-12)
    assert moments.form == other_moments.form == problem.settings.moments
    for name in ("origins", "sum_w", "sum_x", "sum_xx"):
        np.testing.assert_allclose(getattr(moments, name), getattr(other_moments, name), rtol=1e-11, atol=1e-12)


def test_moments_weighted_by_responsibilities_and_rows_are_an_expectation_s() -> None:
    problem = problem_of(datasets.load_faithful(), 4)
    board, parameters = Board.of(problem), plain(problem).parameters
    logs = np.column_stack([board.densities(parameters, k, board.everything) for k in range(4)])
    shares = np.exp(logs - log_sums(logs)[:, None])
    found = stacked([board.moments(parameters, k, board.everything, shares[:, k]) for k in range(4)])
    expected = problem.rows.expectation(parameters, problem.team)
    for name in ("origins", "sum_w", "sum_x", "sum_xx"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-10)
    assert found.weight == pytest.approx(len(board.X))
