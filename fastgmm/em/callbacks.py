"""What a fit tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastgmm.em.degeneracy import Degeneracy
from fastgmm.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Iteration:
    """One complete iteration of EM."""

    restart: int
    """Which of the `n_init` starts, from 0."""
    number: int
    """From 1."""
    log_likelihood: float
    """Mean over the rows, under the parameters before this iteration's M-step; with a prior, its log-density added."""
    change: float
    """From the iteration before; inf in the first."""
    seconds: float
    """Since the fit began."""
    parameters: Parameters
    """After the M-step, in the coordinates of the rows' frame."""
    evaluated: float = 1.0
    """Share of the pairs of rows and components that were computed; the others were ruled out by bounds."""
    degenerate: tuple[Degeneracy, ...] = ()
    """Components that collapsed in this M-step, and what was done."""


Callback = Callable[[Iteration], object]
"""Called after every iteration. Returning True stops the fit there; other values are ignored."""
