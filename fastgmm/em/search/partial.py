"""Partial EM: iterations that evaluate only the pairs of some components and of the rows that they have a share of.

The densities of all other components are held, so that each iteration raises the likelihood of the whole mixture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.pieces import taken
from fastgmm.em.search.table import NOTHING, Board, Table, log_sums
from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

ACTIVE = math.log(1e-3)
"""Log-responsibility above which a pair takes part in the iterations between two evaluations of the near pairs."""

ITERATIONS = 6
"""Of a sweep."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some components, the rows that each is evaluated on, and the densities of all others there."""

    board: Board
    parameters: Parameters
    """Of the components by themselves: weights sum to 1."""
    weight: float
    """Of all of them in the mixture."""
    rows: list[Indices]
    """Numbers of the rows of each component."""
    others: Floats
    """Logarithms of the densities of all other components, and of pairs left out, (N,)."""
    logs: Floats
    """Weighted log-densities (N, R) where `rows` says; else `NOTHING`."""

    def stepped(self, pieces: list[AbstractRows]) -> Part:
        """Take an M-step: the densities are still those before it.

        Raises
        ------
        DegenerateComponentError
            If a component collapses.
        """
        problem = self.board.problem
        sums = log_sums(np.column_stack([self.others, self.logs]))
        found = []
        for k, (rows, piece) in enumerate(zip(self.rows, pieces, strict=True)):
            shares = np.exp(self.logs[rows, k] - sums[rows])[:, None]
            found.append(_moments(self.board, taken(self.parameters, (k,)), piece, shares))
        parameters = problem.settings.maximise(_stacked(found), self.parameters)
        parameters.inverse_factors  # noqa: B018 - a degenerate covariance is refused here
        return replace(self, parameters=parameters)

    def evaluated(self, pieces: list[AbstractRows]) -> Part:
        """Return the same part with the densities that its parameters give."""
        logs = np.full_like(self.logs, NOTHING)
        for k, (rows, piece) in enumerate(zip(self.rows, pieces, strict=True)):
            weight = math.log(max(self.weight * float(self.parameters.weights[k]), 1e-300))
            logs[rows, k] = self.board.densities(taken(self.parameters, (k,)), piece) + weight
        return replace(self, logs=logs)

    def pieces(self) -> list[AbstractRows]:
        """Return the rows of each component.

        Raises
        ------
        DegenerateComponentError
            If a component has none.
        """
        if not all(len(rows) for rows in self.rows):
            raise DegenerateComponentError("no row has a share in a component.")
        return [self.board.piece(rows) for rows in self.rows]


def swept(table: Table) -> Table:
    """Return what iterations of EM on the active pairs make of a mixture, near pairs evaluated at the end."""
    active = table.shares > ACTIVE
    part = Part(
        table.board,
        table.parameters,
        1.0,
        [np.flatnonzero(column) for column in active.T],
        np.maximum(log_sums(np.where(active, NOTHING, table.logs)), NOTHING),
        np.where(active, table.logs, NOTHING),
    )
    pieces = part.pieces()
    part = part.stepped(pieces)
    for _ in range(ITERATIONS - 1):
        part = part.evaluated(pieces).stepped(pieces)
    return table.moved(part.parameters)


def _moments(board: Board, component: Parameters, piece: AbstractRows, shares: Floats) -> SufficientStatistics:
    """Return the moments of rows that belong to one component by shares (n, 1)."""
    problem = board.problem
    return piece.expectation(
        component, problem.team, moments=problem.settings.moments, given=lambda start, stop: shares[start:stop]
    )


def _stacked(found: list[SufficientStatistics]) -> SufficientStatistics:
    """Return the statistics of one component each as those of a mixture."""
    origins, sum_w, sum_x, sum_xx = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("origins", "sum_w", "sum_x", "sum_xx")
    )
    return SufficientStatistics(origins, sum_w, sum_x, sum_xx, 0.0, float(sum_w.sum()), found[0].form)
