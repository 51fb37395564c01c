"""View: what one scoring pass tells of a mixture: responsibilities, and what merging each pair would cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.pieces import FREE, merged, taken
from fastgmm.em.search.problem import Problem
from fastgmm.packed import packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.scoring import Results, score_rows

Floats = NDArray[np.float64]

NEGLIGIBLE = 1e-3
"""Responsibility below which a row is no part of a component's region."""


@dataclass(frozen=True, eq=False)
class View:
    """A mixture on the rows of a problem."""

    problem: Problem
    parameters: Parameters
    X: Floats
    weights: Floats
    """Of the rows, (N,)."""
    log_joints: Floats
    """(N, K), in the frame's units."""

    @classmethod
    def of(cls, problem: Problem, parameters: Parameters, X: Floats, weights: Floats) -> View:
        """Score all rows."""
        rows = problem.rows
        results = Results(log_joints=np.empty((rows.n_rows, parameters.n_components)))
        problem.budget.meter.count(rows.n_rows, parameters.n_components)
        score_rows(rows, packed_for_scoring(rows.frame, parameters), results, problem.team)
        return cls(problem, parameters, X, weights, results.log_joints - rows.frame.log_volume)

    @cached_property
    def responsibilities(self) -> Floats:
        """γ (N, K)."""
        shares = np.exp(self.log_joints - self.log_joints.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    @cached_property
    def present(self) -> list[int]:
        """The components that some rows belong to."""
        there = (self.responsibilities > NEGLIGIBLE) & (self.weights > 0)[:, None]
        return [int(k) for k in np.flatnonzero(there.any(axis=0))]

    def region(self, components: tuple[int, ...]) -> AbstractRows:
        """Return the rows that belong to some components, weighted by how far they do."""
        shares = self.responsibilities[:, components].sum(axis=1)
        inside = np.flatnonzero((shares > NEGLIGIBLE) & (self.weights > 0))
        rows = ArrayRows(np.ascontiguousarray(self.X[inside]), (shares * self.weights)[inside])
        return self.problem.budget.meter.counted(rows.in_frame(self.problem.rows.frame))

    def objective(self, components: tuple[int, ...]) -> float:
        """Return the mean objective, in the user's units, of some components by themselves over their region."""
        shares = self.responsibilities[:, components].sum(axis=1) * self.weights
        inside = shares > NEGLIGIBLE * self.weights
        shares = shares[inside]
        logs = self.log_joints[inside][:, components]
        top = logs.max(axis=1)
        values = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
        total = float(shares @ values) - float(shares.sum()) * math.log(self.parameters.weights[list(components)].sum())
        settings = self.problem.settings
        if settings.prior is not None:
            model = FREE[self.parameters.form]
            total += settings.prior.log_density(taken(self.parameters, components), model)
        return total / float(shares.sum()) + self.problem.rows.frame.log_volume

    @cached_property
    def losses(self) -> list[tuple[float, tuple[int, int]]]:
        """`loss` of all pairs that are present, the least first."""
        return sorted((self.loss(pair), pair) for pair in combinations(self.present, 2))

    def loss(self, pair: tuple[int, int]) -> float:
        """Return by how much the mean log-likelihood falls, at most, if one component with its moments replaces a pair.

        This is a bound where EM rests, and close to one elsewhere.

        Σ_i (γ_i + γ_j) [log(f_i + f_j) − log f] with weighted densities f; the likelihood falls by no more, by
        Jensen's inequality, and that component's mean log-density over the region follows from the moments.
        """
        shares = self.responsibilities[:, pair].sum(axis=1) * self.weights
        together = float(shares @ np.logaddexp(self.log_joints[:, pair[0]], self.log_joints[:, pair[1]]))
        both = taken(self.parameters, pair)
        one = merged(both)
        away = both.means - one.means
        moments = np.einsum("k,kde->de", both.weights, both.matrices + away[:, :, None] * away[:, None, :])
        distance = float(((one.whiteners[0] @ moments) * one.whiteners[0]).sum())
        weight = math.log(self.parameters.weights[list(pair)].sum())
        alone = float(shares.sum()) * (weight + float(one.log_constants[0]) - 0.5 * distance)
        return (together - alone) / float(self.weights.sum())
