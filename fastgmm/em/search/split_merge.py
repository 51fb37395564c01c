"""Split and merge: two components become one where one more is needed elsewhere (Ueda et al. 2000).

What counts in the end is the likelihood of all rows after EM of the whole mixture: Ueda's own rule accepts moves that
lower it (Minagawa, Tagawa and Tanaka 2002).

References
----------
Ueda, N., Nakano, R., Ghahramani, Z. and Hinton, G. E. (2000). SMEM algorithm for mixture models. Neural Computation 12,
2109-2128.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgmm.em.search.moves import Move, found_moves
from fastgmm.em.search.pieces import FREE, replaced
from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.view import View
from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters

POLISH = 60
"""Iterations of EM of the whole mixture after a move, at most."""

TRIALS = 3
"""Moves of a round that the whole mixture is tried with."""

PATIENCE = 2
"""Rounds without a better mixture that end the search: each draws its directions anew."""


def split_merge(problem: Problem, best: Candidate, share: float = 1.0, patience: int = PATIENCE) -> Candidate:
    """Improve a mixture by rounds of moves until none helps or a share of the budget is spent."""
    if problem.n_components < 2:
        return best
    X, weights = problem.rows.take(np.arange(problem.rows.n_rows))
    weights = weights if weights.size else np.ones(len(X))
    waited = 0
    while problem.budget.spent < share and waited < patience:
        moves = found_moves(View.of(problem, best.parameters, X, weights))
        better = _better(problem, best, moves, share)
        waited = 0 if better is not best else waited + 1
        best = better
    return best


def _better(problem: Problem, best: Candidate, moves: list[Move], share: float) -> Candidate:
    """Return what EM makes of the moves, if that is better: of all that do not touch, or of one after the other."""
    trials = [replaced(best.parameters, move.components, move.by) for move in moves[:TRIALS]]
    together, touched, count = best.parameters, set[int](), 0
    for move in moves:
        if move.gain > 0 and not touched & set(move.components):
            together = replaced(together, move.components, move.by)
            touched, count = touched | set(move.components), count + 1
    for trial in [together, *trials] if count > 1 else trials:
        if problem.budget.spent >= share:
            break
        begun = _within(problem, trial)
        found = None if begun is None else problem.climb(begun, POLISH, floor=best.bound, share=share)
        if found is not None and problem.sound(found) and found.bound > best.bound + problem.tolerance:
            return found
    return best


def _within(problem: Problem, parameters: Parameters) -> Parameters | None:
    """Return a mixture of the model: after a step of EM, unless the model leaves its parts free.

    The likelihood of any other one is no mark for the model's own.
    """
    settings = problem.settings
    if settings.equal_weights:
        parameters = replace(parameters, weights=np.full(parameters.n_components, 1 / parameters.n_components))
    if settings.model in FREE.values():
        return parameters
    try:
        found = settings.maximise(problem.rows.expectation(parameters, problem.team, moments=settings.moments))
        found.inverse_factors  # noqa: B018 - a degenerate covariance is refused here
    except DegenerateComponentError:
        return None
    return found
