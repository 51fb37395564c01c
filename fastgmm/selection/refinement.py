"""Starts of cells of many optima from what their neighbours know: K + 1, poorer models of K − 1, kin of the same K.

What leads to the best of a rich cell lies one move from an optimum that a neighbour has, often not from its best. Where
searches of Old Faithful had missed them, VVV with eight components came of the third or fourth of nine, two neighbours
made one and all rows assigned anew; VVI with nine of the seventh of VII with eight, split; VVE with nine of two that
were spliced, one of another model. Of children drawn afresh one in 300 to 600 led there, of merges by moments none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.batch import Moments, Monomials
from fastgmm.selection.children import Origins, is_next, log_joints, renewed, spliced
from fastgmm.selection.effort import Effort
from fastgmm.selection.found import Found
from fastgmm.selection.starts import splits

Floats = NDArray[np.float64]
Cell = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Refinement:
    """What it takes to make starts."""

    data: Monomials
    metrics: Floats
    """(M, N, D)."""
    effort: Effort
    rng: np.random.RandomState

    def starts(self, found: dict[Cell, Found], model: str, k: int) -> Moments:
        """Return starts of a cell, those first that are few and lead on most often."""
        effort, own = self.effort, found[model, k]
        parts = self.paired(found[model, k + 1]) if (model, k + 1) in found else []
        for (other, number), some in found.items():
            if number == k - 1 and is_next(other, model):
                parts += self.lent(some, model)
        kin = [some for (other, number), some in found.items() if number == k and are_kin(other, model)]
        both = Moments.joined([own.moments, *(some.moments for some in kin)])
        if len(both) > 1:
            parts.append(spliced(both, effort.kin, self.rng))
        return Moments.joined([*parts, self.afresh(own, effort.afresh)])

    def afresh(self, found: Found, count: int) -> Moments:
        """Return children of which two or three components are seeded afresh."""
        r, k = found.moments.shares.shape
        origins = Origins.drawn(self.data, r, k, count, self.rng)
        return renewed(self.data, self.metrics, found.moments, found.covariances, origins, self.rng)

    def paired(self, found: Found) -> list[Moments]:
        """Return those not tried with two neighbours made one, in all ways or in some: rows are assigned, not shared.

        Neighbours are the two most probable components at some row.
        """
        some = found.untried("pair", self.effort.paired)
        if not len(some):
            return []
        origins = Origins.every(log_joints(self.data.rows, some.moments, some.covariances), 2, 1, self.rng)
        if len(origins) > self.effort.neighbours:
            origins = origins[self.rng.choice(len(origins), self.effort.neighbours, replace=False)]
        return [renewed(self.data, self.metrics, some.moments, some.covariances, origins, self.rng, -1)]

    def lent(self, found: Found, model: str) -> list[Moments]:
        """Return those of a poorer model that were not yet split for this one, in all ways."""
        few = max(1, self.effort.neighbours // found.moments.shares.shape[1])
        some = found.untried(f"split for {model}", min(self.effort.lent, few))
        return [splits(some.moments)] if len(some) else []


def are_kin(one: str, other: str) -> bool:
    """Return whether two models differ by one letter's freedom."""
    return is_next(one, other) or is_next(other, one)
