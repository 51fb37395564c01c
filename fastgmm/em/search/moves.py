"""Moves: parts of a mixture replaced by others, judged on the rows of those parts alone.

With weighted densities f and responsibilities γ of the components R that a move changes, the log-likelihood rises by at
least Σ_i γ_iR log(f'_R(x_i) / f_R(x_i)) (Jensen's inequality), so that EM on the rows of R, weighted by γ_R, with |R|
components is a fair and cheap trial, and moves of different components may be taken together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from fastgmm.em.run import Interrupted, Settings, run
from fastgmm.em.search.pieces import FREE, joined, merged, split_starts, taken
from fastgmm.em.search.problem import Problem, limit
from fastgmm.em.search.view import View
from fastgmm.errors import DataError, DegenerateComponentError
from fastgmm.models import MODELS
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows

FIRST, SECOND = 2, 4
"""Iterations of EM of each way to split a component, and of the best way."""

STAGES = (3, 4, 8)
"""Iterations of EM of a move's trial; after each stage the better half goes on."""

TRIALS = 8.0 / 60.0
"""Share of the budget that the trials of a round may take."""

FEW = 6
"""Components below which three of them are most of the mixture, and tried with all others at once."""

MOVES = 12
"""Plans that are tried in a round, at most."""


@dataclass(frozen=True, eq=False)
class Move:
    """Components in the place of others, and by how much the mean log-likelihood is to rise."""

    components: tuple[int, ...]
    by: Parameters
    gain: float
    rows: AbstractRows
    """The region: rows weighted by how far they belong to the components."""
    before: float
    """Mean objective of the region under the components that there are."""
    sound: bool = True


def found_moves(view: View) -> list[Move]:
    """Return the moves of a round, the one that promises most first."""
    problem = view.problem
    end = problem.budget.spent + TRIALS
    moves = _interleaved(_triples(view), _pairs(view))[:MOVES]
    whole = [move for move in moves if len(move.components) > 2] if problem.n_components < FEW else []
    moves = [move for move in moves if move not in whole]
    for number, iterations in enumerate(STAGES):
        if number:
            moves = moves[: max(2, (len(moves) + 1) // 2)]
        tried = []
        for move in moves:
            if problem.budget.spent >= end:
                break
            if (trial := attempted(problem, move, iterations)) is not None:
                tried.append(trial)
        moves = sorted(tried or moves, key=lambda move: -move.gain)
    moves = [move for move in moves if move.sound and math.isfinite(move.gain)]
    return _interleaved(whole, moves)


def attempted(problem: Problem, move: Move, iterations: int) -> Move | None:
    """Return a move after EM on its region; None if a component collapses."""
    settings = replace(local_settings(problem), max_iter=iterations, tol=0.0)
    try:
        found = run(move.rows, move.by, settings, problem.team)
    except Interrupted:
        raise KeyboardInterrupt from None
    except (DataError, DegenerateComponentError, np.linalg.LinAlgError):
        return None
    share = move.rows.weight / problem.rows.weight
    guard = replace(problem.guard, weight=problem.guard.weight * share)
    bound = found.lower_bound
    if len(found.lower_bounds) > 2:
        changes = np.diff(found.lower_bounds[-3:])
        bound = min(limit(bound, float(changes[0]), float(changes[1])), bound + AHEAD * max(float(changes[1]), 0.0))
    gain = (bound - move.before) * share
    return replace(move, by=found.parameters, gain=gain, sound=guard.passes(found.parameters))


AHEAD = 1.0
"""Last changes that a trial's limit is taken to be ahead, at most."""


def local_settings(problem: Problem) -> Settings:
    """Return how EM is to run on a region: every component free, as far as the form allows."""
    model = FREE[MODELS[problem.settings.model].form]
    return replace(problem.settings, model=model, equal_weights=False, algorithm="dense", on_degenerate="raise")


def _planned(view: View, components: tuple[int, ...], start: Parameters) -> Move:
    """Return a move that has not been tried."""
    rows = view.region(components)
    return Move(components, start, -math.inf, rows, view.objective(components))


def _triples(view: View) -> list[Move]:
    """Return plans to merge a pair and split a third component, by what that gains at least."""
    weights = view.parameters.weights
    splits = [split for component in view.present if (split := _split(view, component)) is not None]
    plans = [
        (split.gain - loss, split, pair)
        for split in splits
        for loss, pair in view.losses
        if split.components[0] not in pair
    ]
    plans.sort(key=lambda plan: -plan[0])
    seen, found = dict[int, int](), list[Move]()
    for gain, split, pair in plans:
        (component,) = split.components
        seen[component] = seen.get(component, 0) + 1
        if seen[component] <= SAME and len(found) < MOVES:
            one = merged(taken(view.parameters, pair))
            start = joined((float(weights[list(pair)].sum()), one), (float(weights[component]), split.by))
            found.append(replace(_planned(view, (*pair, component), start), gain=gain))
    return found


SAME = 3
"""Plans with the same split, so that one that misleads does not crowd out the others."""


def _pairs(view: View) -> list[Move]:
    """Return plans to fit a pair of components anew: where one of their moments would cost least."""
    k = view.parameters.n_components
    pairs = [pair for _, pair in view.losses[: max(2, k // 2)]]
    whitener, rng = view.problem.guard.whitener, view.problem.rng
    found = list[Move]()
    for pair in pairs:
        plan = _planned(view, pair, merged(taken(view.parameters, pair)))
        found += [replace(plan, by=start) for start in split_starts(plan.by, whitener, rng)[:3]]
    return found


def _split(view: View, component: int) -> Move | None:
    """Return the best way found to split one component."""
    problem = view.problem
    plan = _planned(view, (component,), taken(view.parameters, (component,)))
    starts = split_starts(plan.by, problem.guard.whitener, problem.rng)
    starts = starts[:2] if problem.n_components < FEW else starts
    tried = [attempted(problem, replace(plan, by=start), FIRST) for start in starts]
    found = [move for move in tried if move is not None and move.sound]
    if not found:
        return None
    return attempted(problem, max(found, key=lambda move: move.gain), SECOND)


def _interleaved(*plans: Sequence[Move]) -> list[Move]:
    """Return the first of each, then the second of each, and so on."""
    return [plan for row in zip_longest(*plans) for plan in row if plan is not None]
