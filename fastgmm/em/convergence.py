"""When to stop, and how a run ended."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """How a run of EM ended; the value is the sentence for users."""

    CONVERGED = "The change of the mean log-likelihood fell below tol."
    MAX_ITER = "The run reached max_iter before it converged."
    STOPPED = "A callback stopped the run."
    INTERRUPTED = "The run was interrupted; its last complete iteration is kept."


def converged(change: float, tol: float) -> bool:
    """Whether the mean log-likelihood rests: |change| < tol, scikit-learn's rule."""
    return abs(change) < tol
