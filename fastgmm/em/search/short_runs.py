"""Short runs: EM for a few iterations from many starts, the best few run on (Biernacki, Celeux and Govaert 2003).

References
----------
Biernacki, C., Celeux, G. and Govaert, G. (2003). Choosing starting values for the EM algorithm for getting the highest
likelihood in multivariate Gaussian mixture models. Computational Statistics and Data Analysis 41, 561-575.
"""

from __future__ import annotations

from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.starts import Starts

SHORT, LONG = 5, 100
"""Iterations of a short run, and at most of one that goes on."""

DRAWN = 0.6
"""Share of the budget, of what there is for short runs, that goes into drawing and running them."""

KEPT = 3
"""Runs that go on, the best first."""


def short_runs(problem: Problem, best: Candidate, share: float = 1.0) -> Candidate:
    """Return the best of a mixture and of what short runs lead to."""
    if problem.n_components < 2:
        return best
    begun = problem.budget.spent
    until = begun + DRAWN * (share - begun)
    starts, found = Starts(problem), list[Candidate]()
    while problem.budget.spent < until:
        candidate = problem.climb(starts.draw(), SHORT, share=until)
        if candidate is not None and problem.sound(candidate):
            found.append(candidate)
    found.sort(key=lambda candidate: -candidate.bound)
    for candidate in found[:KEPT]:
        if problem.budget.spent >= share:
            break
        ended = problem.climb(candidate.parameters, LONG, floor=best.bound, share=share)
        if ended is not None and problem.sound(ended) and ended.bound > best.bound:
            best = ended
    return best
