"""Deterministic annealing: EM with responsibilities ∝ (π f)^β, β from small to 1 (Ueda and Nakano 1998).

A small β lets all components share all rows, and makes the objective smooth; its optima part as β grows. Where a
component ends is no longer a matter of where it began, but no better for it in general: a token that cools alone may
follow the wrong branch.

References
----------
Ueda, N. and Nakano, R. (1998). Deterministic annealing EM algorithm. Neural Networks 11, 271-282.
"""

from __future__ import annotations

import numpy as np

from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.starts import Starts
from fastgmm.em.search.tempered import tempered
from fastgmm.errors import DataError, DegenerateComponentError
from fastgmm.parameters import Parameters

FIRST, COOLING = 0.3, 1.5
"""First β, and the factor from one to the next."""

STEPS, LAST = 5, 100
"""Iterations at each β below 1, and at most with β = 1."""


def betas() -> list[float]:
    """Return the β below 1."""
    found = [FIRST]
    while found[-1] * COOLING < 1:
        found.append(found[-1] * COOLING)
    return found


def annealing(problem: Problem, best: Candidate, share: float = 1.0) -> Candidate:
    """Return the best of a mixture and of what it, and then other starts, anneal to."""
    if problem.n_components < 2:
        return best
    best = anneal(problem, best, share)
    starts = Starts(problem)
    while problem.budget.spent < share:
        best = anneal(problem, best, share, starts.draw())
    return best


def anneal(problem: Problem, best: Candidate, share: float, start: Parameters | None = None) -> Candidate:
    """Return the best of a mixture and of what a start, or it itself, anneals to."""
    cooled = _cooled(problem, best.parameters if start is None else start, share)
    if cooled is None:
        return best
    found = problem.climb(cooled, LAST, floor=best.bound, share=share)
    return found if found is not None and problem.sound(found) and found.bound > best.bound else best


def _cooled(problem: Problem, parameters: Parameters, share: float) -> Parameters | None:
    """Return what iterations of EM at each β lead to; None if the budget ends or a component collapses."""
    try:
        for beta in betas():
            for _ in range(STEPS):
                if problem.budget.spent >= share:
                    return None
                parameters = tempered_step(problem, parameters, beta)
    except (DataError, DegenerateComponentError, np.linalg.LinAlgError):
        return None
    return parameters


def tempered_step(problem: Problem, parameters: Parameters, beta: float) -> Parameters:
    """Take an iteration of EM at β.

    Raises
    ------
    DegenerateComponentError
        If a component collapses.
    """
    warm = tempered(parameters, beta)
    statistics = problem.rows.expectation(warm, problem.team, moments=problem.settings.moments)
    found = problem.settings.maximise(statistics, parameters)
    found.inverse_factors  # noqa: B018 - a degenerate covariance ends the iteration that made it
    return found
