from __future__ import annotations

import numpy as np
import pytest
import reference
from search_cases import TEAM, plain

from fastgmm.em.search.pieces import merged, replaced, taken
from fastgmm.em.search.problem import Problem
from fastgmm.em.search.view import View
from fastgmm.models.prior import Prior


def view_of(problem: Problem) -> View:
    X, _ = problem.rows.take(np.arange(problem.rows.n_rows))
    return View.of(problem, plain(problem).parameters, X, np.ones(len(X)))


def log_likelihood(problem: Problem, parameters: object) -> float:
    return problem.rows.expectation(parameters, TEAM).log_likelihood / problem.rows.n_rows


def test_responsibilities_are_those_of_the_oracle(faithful: Problem) -> None:
    view = view_of(faithful)
    p = faithful.rows.frame.leave(view.parameters)
    expected = reference.responsibilities(
        reference.log_joint(view.X, reference.Mixture(p.weights, p.means, p.covariances))
    )
    np.testing.assert_allclose(view.responsibilities, expected, atol=1e-9)


def test_an_objective_of_all_components_is_the_likelihood(faithful: Problem) -> None:
    view = view_of(faithful)
    found = view.objective((0, 1, 2, 3))
    assert found == pytest.approx(log_likelihood(faithful, view.parameters), abs=1e-10)


def test_a_region_s_objective_is_what_em_sees_on_it(faithful: Problem) -> None:
    view = view_of(faithful)
    part, rows = taken(view.parameters, (1, 3)), view.region((1, 3))
    seen = rows.expectation(part, TEAM)
    assert view.objective((1, 3)) == pytest.approx(seen.log_likelihood / seen.weight, abs=1e-10)


def test_no_merge_costs_more_than_its_loss(faithful: Problem) -> None:
    view = view_of(faithful)
    rested = faithful.climb(view.parameters, 2000, tol=1e-12)
    assert rested is not None
    view = View.of(faithful, rested.parameters, view.X, view.weights)
    before = log_likelihood(faithful, view.parameters)
    for loss, (i, j) in view.losses:
        one = merged(taken(view.parameters, (i, j)))
        twice = replaced(view.parameters, (i, j), taken(one, (0, 0)))  # one component, written as two equal ones
        fall = before - log_likelihood(faithful, twice)
        assert fall <= loss + 1e-6


def test_a_prior_belongs_to_the_objective(faithful: Problem) -> None:
    from dataclasses import replace

    view = view_of(faithful)
    prior = Prior(np.zeros(2), 0.01, 4.0, 0.1 * np.eye(2))
    other = replace(view, problem=replace(faithful, settings=replace(faithful.settings, prior=prior)))
    part, rows = taken(view.parameters, (0, 2)), view.region((0, 2))
    expected = other.problem.settings.objective(rows.expectation(part, TEAM), part)
    assert other.objective((0, 2)) == pytest.approx(expected, abs=1e-9)
