"""The best optima that are known of a cell, and which starts were made of them: none is made twice of one optimum."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.batch import Moments

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

SAME = 1e-5
"""Mean log-likelihoods that differ by less are taken for one optimum."""


@dataclass(eq=False)
class Found:
    """The best optima of a cell, best first."""

    moments: Moments
    covariances: Floats
    """(R, K, D, D), of the model, from the M-step before the moments."""
    log_likelihoods: Floats
    tried: dict[str, Booleans] = field(default_factory=dict)
    """Whether starts were made of each, (R,), by what was made."""

    def untried(self, move: str, count: int, most: int | None = None) -> Found:
        """Return those of the best few that were not tried, or some of them, and mark them."""
        tried = self._marks(move)
        which = np.flatnonzero(~tried[:count])[:most]
        self.tried[move] = tried
        tried[which] = True
        return Found(self.moments[which], self.covariances[which], self.log_likelihoods[which])

    def joined(self, other: Found, count: int) -> Found:
        """Return the best of both; of equal ones that which is here."""
        values = np.concatenate([self.log_likelihoods, other.log_likelihoods])
        order = distinct(values)[:count]
        moves = [*self.tried, *(move for move in other.tried if move not in self.tried)]
        return Found(
            Moments.joined([self.moments, other.moments])[order],
            np.concatenate([self.covariances, other.covariances])[order],
            values[order],
            {move: np.concatenate([self._marks(move), other._marks(move)])[order] for move in moves},
        )

    def __len__(self) -> int:
        return len(self.log_likelihoods)

    def _marks(self, move: str) -> Booleans:
        return self.tried.get(move, np.zeros(len(self), dtype=np.bool_))


def distinct(values: Floats) -> NDArray[np.intp]:
    """Return the order of values from the best, without those that are −inf or as good as equal to a better one."""
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > -np.inf]
    ordered, new = values[order], np.ones(len(order), dtype=np.bool_)
    new[1:] = ordered[:-1] - ordered[1:] > SAME
    return np.asarray(order[new])
