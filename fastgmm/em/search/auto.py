"""All strategies in turn, the one first that pays for this number of components."""

from __future__ import annotations

from fastgmm.em.search.annealing import anneal
from fastgmm.em.search.moves import FEW
from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.short_runs import LONG, SHORT
from fastgmm.em.search.split_merge import split_merge
from fastgmm.em.search.starts import Starts

RUNS = 3
"""Short runs that a fresh mixture is the best of."""


def auto(problem: Problem, best: Candidate, share: float = 1.0) -> Candidate:
    """Split and merge for as long as that helps; then do the same with fresh mixtures, and keep the best.

    Where components are few, the plain fit is annealed first.
    """
    if problem.n_components < 2:
        return best
    if problem.n_components < FEW:
        best = anneal(problem, best, share)  # a move is no cheaper than that
    best = split_merge(problem, best, share, patience=1)
    starts = Starts(problem)
    while problem.budget.spent < share:
        found = _fresh(problem, starts, share)
        if found is not None and problem.sound(found):
            found = split_merge(problem, found, share, patience=1)
            best = max(best, found, key=lambda candidate: candidate.bound)
    return best


def _fresh(problem: Problem, starts: Starts, share: float) -> Candidate | None:
    """Return what the best of a few short runs leads to."""
    found = list[Candidate]()
    for _ in range(RUNS):
        candidate = problem.climb(starts.draw(), SHORT, share=share)
        if candidate is not None and problem.sound(candidate):
            found.append(candidate)
    if not found:
        return None
    return problem.climb(max(found, key=lambda candidate: candidate.bound).parameters, LONG, share=share)
