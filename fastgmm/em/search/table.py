"""Table: a mixture and the log-densities of its pairs, so that no pair is evaluated that hardly matters.

Most rows belong to one or two components. Of all other pairs a table keeps how far the row is from the component at
least: when the mixture moves, only pairs that may have come near are evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.board import NOTHING, Board, Indices, exponentials
from fastgmm.em.search.drift import drifted, far, highest
from fastgmm.em.search.pieces import joined, taken
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

NEAR = float(np.log(1e-3))
"""Log of the density, over that of the row's likeliest component, from which a pair is evaluated."""


@dataclass(frozen=True, eq=False)
class Table:
    """A mixture, its weighted log-densities (N, K) in the frame's units, and least distances (N, K) of its pairs.

    Densities of pairs that are far are left out (`NOTHING`), so that `bound` is at most the likelihood.
    """

    board: Board
    parameters: Parameters
    logs: Floats
    distances: Floats

    @classmethod
    def of(cls, board: Board, parameters: Parameters) -> Table:
        """Evaluate all pairs."""
        logs = np.empty((len(board.X), parameters.n_components))
        distances = np.empty_like(logs)
        for k in range(parameters.n_components):
            logs[:, k] = board.densities(parameters, k, board.everything)
            distances[:, k] = far(logs[:, k], parameters, k)
        return cls(board, parameters, logs, distances)

    @cached_property
    def _shared(self) -> tuple[Floats, Floats]:
        """Log-densities of the mixture, and responsibilities: with one array of their size, for speed."""
        top, shares = exponentials(self.logs)
        total = shares.sum(axis=1)
        shares /= total[:, None]
        return top + np.log(total), shares

    @property
    def sums(self) -> Floats:
        """Log-densities of the mixture, (N,)."""
        return self._shared[0]

    @property
    def responsibilities(self) -> Floats:
        """γ (N, K)."""
        return self._shared[1]

    @cached_property
    def bound(self) -> float:
        """The mean objective, in the user's units."""
        problem, settings = self.board.problem, self.board.problem.settings
        total = float((self.board.weights * self.sums).sum())  # not BLAS, whose sums depend on its threads
        if settings.prior is not None:
            total += settings.prior.log_density(self.parameters, settings.model)
        return total / problem.rows.weight + problem.rows.frame.log_volume

    def moved(self, parameters: Parameters) -> Table:
        """Return the table of as many other components: only pairs that may be near are evaluated.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        distances = drifted(self.distances, self.parameters, parameters)
        highs = highest(distances, parameters)
        logs = np.full_like(highs, NOTHING)
        likeliest = highs.argmax(axis=1)

        def evaluate(chosen: list[Indices]) -> None:
            for k, rows in enumerate(chosen):
                if len(rows):
                    logs[rows, k] = self.board.densities(parameters, k, rows)
                    distances[rows, k] = far(logs[rows, k], parameters, k)

        components = range(parameters.n_components)
        evaluate([np.flatnonzero(likeliest == k) for k in components])
        near = highs > logs.max(axis=1)[:, None] + NEAR
        evaluate([np.flatnonzero(near[:, k] & (likeliest != k)) for k in components])
        return Table(self.board, parameters, logs, distances)

    def part(self, components: list[int]) -> Table:
        """Return the mixture of some components by themselves."""
        weight = float(np.log(self.parameters.weights[components].sum()))
        logs = np.maximum(self.logs[:, components] - weight, NOTHING)
        return Table(self.board, taken(self.parameters, components), logs, self.distances[:, components])


def together(table: Table, more: Table) -> Table:
    """Return the mixture of two mixtures, each with half of the weight."""
    logs = np.maximum(np.column_stack([table.logs, more.logs]) - np.log(2), NOTHING)
    parameters = joined((0.5, table.parameters), (0.5, more.parameters))
    return Table(table.board, parameters, logs, np.column_stack([table.distances, more.distances]))
