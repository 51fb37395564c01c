"""The search that a fit begins with: the plain fit, a strategy on a sample or on all rows, and all rows at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.progressive import is_worth, sample_size
from fastgmm.em.run import Interrupted, Settings, Start, run
from fastgmm.em.search.annealing import annealing
from fastgmm.em.search.auto import auto
from fastgmm.em.search.budget import Budget
from fastgmm.em.search.evolution import Evolution, suits
from fastgmm.em.search.guard import Guard
from fastgmm.em.search.meter import CountedRows, Meter
from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.short_runs import short_runs
from fastgmm.em.search.split_merge import split_merge
from fastgmm.initialise.lloyd import drawn
from fastgmm.initialise.overall import overall
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

Floats = NDArray[np.float64]

SEARCHED, ENDED, POLISHED = 0.92, 0.96, 100
"""Share of the budget after which the best mixture is run to its end, and iterations of that at most."""


Strategy = Callable[[Problem, Candidate, float], Candidate]

STRATEGIES: dict[str, Strategy] = {
    "short-runs": short_runs,
    "split-merge": split_merge,
    "annealing": annealing,
    "auto": auto,
}
"""By the names that `GaussianMixture(search=…)` takes."""


@dataclass(frozen=True, eq=False)
class Search:
    """What a user asked for."""

    strategy: str
    limit: float
    seconds: bool = False
    given: bool = False
    """Whether the user gave means, weights or precisions to begin with: the plain fit from there comes first."""


def searched(
    rows: AbstractRows,
    make: Callable[[AbstractRows], Start],
    search: Search,
    settings: Settings,
    team: Team,
    rng: np.random.RandomState,
    n_components: int,
) -> Start:
    """Return where a run should begin: with the best mixture that a search finds.

    "auto" draws its own starts where components are free and none were given. All else begins with the plain fit from
    the start that `make` makes, and ends no lower.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the best mixture so far.
    """
    counted = rows if isinstance(rows, CountedRows) else Meter(rows.n_rows, n_components).counted(rows)
    budget = Budget(counted.meter, search.limit, search.seconds)
    _, covariance = overall(counted, team)
    problem = Problem(counted, n_components, settings, team, rng, budget, Guard.of(covariance, rows.weight))
    if search.strategy == "auto" and not search.given and suits(problem):
        evolved = _evolved(problem, covariance)
        if evolved is not None:
            return Start(evolved.parameters)
    start = make(counted)
    plain = run(counted, start.parameters, settings, team, degenerate=start.degenerate)
    best = Candidate(plain.parameters, plain.lower_bound)
    if plain.parameters.n_components != n_components or n_components < 2:  # components were removed on the way
        return Start(best.parameters, plain.degenerate)
    try:
        problem = replace(problem, guard=problem.guard.loosened(plain.parameters))
        best = _found(problem, best, STRATEGIES[search.strategy])
    except KeyboardInterrupt:
        raise Interrupted(plain) from None
    return Start(best.parameters, plain.degenerate if best.parameters is plain.parameters else ())


def _evolved(problem: Problem, covariance: Floats) -> Candidate | None:
    """Search without the plain fit, on a sample if that saves much; None if nothing sound is found."""
    if not is_worth(problem.rows, problem.n_components):
        return Evolution(problem, covariance).run(1.0)
    found = Evolution(_sampled(problem), covariance).run(SEARCHED)
    return None if found is None else problem.climb(found.parameters, POLISHED, tol=problem.tolerance, share=ENDED)


def _found(problem: Problem, plain: Candidate, strategy: Strategy) -> Candidate:
    """Search, on a sample if that saves much, and polish on all rows; never return less than the plain fit."""
    small = _sampled(problem) if is_worth(problem.rows, problem.n_components) else problem
    best = plain
    if small is problem:
        best = strategy(problem, best, SEARCHED)
    else:
        before = small.climb(plain.parameters, POLISHED)
        if before is not None:
            there = strategy(small, before, SEARCHED)
            if there.bound > before.bound + small.tolerance:
                found = problem.climb(there.parameters, POLISHED, floor=plain.bound)
                if found is not None and problem.sound(found) and found.bound > best.bound:
                    best = found
    last = problem.climb(best.parameters, POLISHED, tol=problem.tolerance, share=ENDED)
    if last is not None and problem.sound(last) and last.bound > best.bound:
        best = last
    return best


def _sampled(problem: Problem) -> Problem:
    """Return the same problem on a sample of the rows, in the same frame."""
    rows = problem.rows
    sample = drawn(rows, sample_size(problem.n_components, rows.n_features), problem.rng)
    if problem.settings.prior is not None:  # which is to weigh as much against the sample as against all rows
        X, weights = sample.take(np.arange(sample.n_rows))
        sample = ArrayRows(X, (weights if weights.size else np.ones(len(X))) * (rows.weight / sample.weight))
    guard = replace(problem.guard, weight=sample.weight)
    return replace(problem, rows=problem.budget.meter.counted(sample.in_frame(rows.frame)), guard=guard)
