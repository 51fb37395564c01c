"""When to stop, and how a run ended."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from enum import Enum


class Status(Enum):
    """How a run of EM ended; the value is the sentence for users."""

    CONVERGED = "The change of the mean log-likelihood fell below tol."
    MAX_ITER = "The run reached max_iter before it converged."
    DRAWN = "All of max_iter draws were made; the best mixture that one of them saw is kept."
    STOPPED = "A callback stopped the run."
    INTERRUPTED = "The run was interrupted; its last complete iteration is kept."


def converged(change: float, tol: float) -> bool:
    """Whether the mean log-likelihood rests: |change| < tol, scikit-learn's rule."""
    return abs(change) < tol


NOISE = 2.0**-46
"""A change up to this share of the objective is rounding, of which no rate can be taken."""


def left(earlier: float, change: float, bound: float) -> float:
    """Return Aitken's estimate of how far the limit is, from the last two changes; inf where they do not shrink.

    Changes that shrink by a rate a sum up to change · a / (1 − a).

    References
    ----------
    Böhning, Dietz, Schaub, Schlattmann and Lindsay (1994), The distribution of the likelihood ratio for mixtures of
    densities from the one-parameter exponential family. Annals of the Institute of Statistical Mathematics 46, 373-388.
    """
    if abs(change) <= NOISE * abs(bound):
        return abs(change)
    if not 0.0 < change < earlier < math.inf:
        return math.inf
    return change * change / (earlier - change)


class AbstractTest(ABC):
    """Whether a run has converged. Only steps of EM count: a proposal that gains nothing says nothing."""

    def __init__(self, tol: float, previous: float) -> None:
        self._tol, self._last = tol, previous
        self.doubts = False
        """Whether the next step must be EM's, to see whether there is anything to gain."""

    def change(self, bound: float) -> float:
        """Return what was gained since the iteration before."""
        return bound - self._last

    @abstractmethod
    def rests(self, bound: float, jumped: bool) -> bool:
        """Take note of an iteration; `jumped`: the step to it was not EM's."""


class Change(AbstractTest):
    """scikit-learn's test: a step changes the objective by less than tol."""

    def rests(self, bound: float, jumped: bool) -> bool:
        """Return whether the last step changed little."""
        small, self._last = converged(self.change(bound), self._tol), bound
        self.doubts = small and jumped
        return small and not jumped


class Aitken(AbstractTest):
    """Aitken's estimate of what all further steps would gain is less than tol: two steps of EM in succession tell."""

    _earlier = math.inf

    def rests(self, bound: float, jumped: bool) -> bool:
        """Return whether little is left."""
        change, earlier, self._last = self.change(bound), self._earlier, bound
        self._earlier = math.inf if jumped else change
        if jumped or earlier == math.inf:
            self.doubts = self.doubts or (jumped and converged(change, self._tol))
            return False
        self.doubts = False
        return left(earlier, change, bound) < self._tol


CONVERGENCE: dict[str, type[AbstractTest]] = {"change": Change, "aitken": Aitken}
"""By the names that users give."""


def convergence_test(name: str, tol: float, previous: float) -> AbstractTest:
    """Return the test of a run, where `previous` is the objective before it (−inf if unknown)."""
    return CONVERGENCE[name](tol, previous)
