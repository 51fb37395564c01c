"""Table: a mixture and the log-densities of its pairs, so that no pair is evaluated again that hardly matters.

Most rows belong to one or two components: a pair with a small responsibility keeps the density that it had when it was
last evaluated (Neal and Hinton 1998 freeze such responsibilities), and an iteration costs a share of a pass.

References
----------
Neal, R. M. and Hinton, G. E. (1998). A view of the EM algorithm that justifies incremental, sparse, and other variants.
In Learning in Graphical Models, 355-368.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.pieces import taken
from fastgmm.em.search.problem import Problem
from fastgmm.packed import packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.scoring import Results, score_rows

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

NEAR = math.log(1e-6)
"""Log-responsibility above which a pair is evaluated when parameters have moved."""

NOTHING = -1e30
"""Logarithm of a density that does not count."""


def log_sums(logs: Floats) -> Floats:
    """Return log Σ_k exp(logs_nk), (n,)."""
    top = logs.max(axis=1, initial=NOTHING)
    sums: Floats = top + np.log(np.maximum(np.exp(logs - top[:, None]).sum(axis=1), np.finfo(np.float64).tiny))
    return sums


@dataclass(frozen=True, eq=False)
class Board:
    """The rows of a problem as arrays: X (N, D) in the user's units and weights (N,)."""

    problem: Problem
    X: Floats
    weights: Floats

    @classmethod
    def of(cls, problem: Problem) -> Board:
        """Take all rows."""
        X, weights = problem.rows.take(np.arange(problem.rows.n_rows))
        return cls(problem, X, weights if weights.size else np.ones(len(X)))

    @property
    def everything(self) -> Indices:
        """The numbers of all rows."""
        return np.arange(len(self.X))

    def piece(self, rows: Indices) -> AbstractRows:
        """Return some rows, in the frame of all; what is done with them is not counted."""
        piece = ArrayRows(np.ascontiguousarray(self.X[rows]), self.weights[rows])
        return piece.in_frame(self.problem.rows.frame)

    def densities(self, component: Parameters, piece: AbstractRows) -> Floats:
        """Return the log-densities (n,), in the frame's units, of rows under one component; count them."""
        problem = self.problem
        problem.budget.meter.count(piece.n_rows, 1)
        results = Results(log_joints=np.empty((piece.n_rows, 1)))
        frame = problem.rows.frame
        score_rows(piece, packed_for_scoring(frame, component), results, problem.team)
        return results.log_joints[:, 0] - frame.log_volume


@dataclass(frozen=True, eq=False)
class Table:
    """A mixture and its weighted log-densities (N, K), in the frame's units."""

    board: Board
    parameters: Parameters
    logs: Floats
    age: int = 0
    """Times that only near pairs were evaluated since all were."""

    @classmethod
    def of(cls, board: Board, parameters: Parameters) -> Table:
        """Evaluate all pairs."""
        logs = np.empty((len(board.X), parameters.n_components))
        whole = board.piece(board.everything)
        for k, weight in enumerate(np.log(np.maximum(parameters.weights, 1e-300))):
            logs[:, k] = board.densities(taken(parameters, (k,)), whole) + weight
        return cls(board, parameters, logs)

    @cached_property
    def sums(self) -> Floats:
        """Log-densities of the mixture, (N,)."""
        return log_sums(self.logs)

    @cached_property
    def shares(self) -> Floats:
        """Logarithms of the responsibilities, (N, K)."""
        return self.logs - self.sums[:, None]

    @cached_property
    def bound(self) -> float:
        """The mean objective, in the user's units."""
        problem, settings = self.board.problem, self.board.problem.settings
        total = float((self.board.weights * self.sums).sum())  # not BLAS, whose sums depend on its threads
        if settings.prior is not None:
            total += settings.prior.log_density(self.parameters, settings.model)
        return total / problem.rows.weight + problem.rows.frame.log_volume

    def moved(self, parameters: Parameters) -> Table:
        """Return the table of other parameters: only pairs that were near are evaluated, or all every fourth time."""
        if self.age == RENEWED:
            return Table.of(self.board, parameters)
        logs = self.logs.copy()
        for k, weight in enumerate(np.log(np.maximum(parameters.weights, 1e-300))):
            rows = np.flatnonzero(self.shares[:, k] > NEAR)
            if len(rows):
                logs[rows, k] = self.board.densities(taken(parameters, (k,)), self.board.piece(rows)) + weight
        return Table(self.board, parameters, logs, self.age + 1)


RENEWED = 3
"""Age at which a table evaluates all pairs again."""
