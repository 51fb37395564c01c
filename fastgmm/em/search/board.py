"""Board: the rows of a search as arrays, and densities and moments of some of them under one component, counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.pieces import taken
from fastgmm.em.search.problem import Problem
from fastgmm.packed import packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.scoring import Results, score_rows
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

SMALL = 150_000
"""Rows times D² up to which NumPy is done before a kernel is called: some 0.15 ms."""

NOTHING = -1e30
"""Logarithm of a density that does not count."""


def exponentials(logs: Floats) -> tuple[Floats, Floats]:
    """Return the largest of each row (n,), and exp of how far all are from it (n, K)."""
    top = logs.max(axis=1, initial=NOTHING)
    shifted = logs - top[:, None]
    np.maximum(shifted, -700.0, out=shifted)  # exp is some twenty times as slow where it underflows
    return top, np.exp(shifted, out=shifted)


def log_sums(logs: Floats) -> Floats:
    """Return log Σ_k exp(logs_nk), (n,)."""
    top, shares = exponentials(logs)
    sums: Floats = top + np.log(shares.sum(axis=1))
    return sums


@dataclass(frozen=True, eq=False)
class Board:
    """The rows of a problem: X (N, D) in the user's units, `inside` (N, D) in those of their frame, weights (N,)."""

    problem: Problem
    X: Floats
    inside: Floats
    weights: Floats

    @classmethod
    def of(cls, problem: Problem) -> Board:
        """Take all rows."""
        X, weights = problem.rows.take(np.arange(problem.rows.n_rows))
        return cls(problem, X, problem.rows.frame.rows(X), weights if weights.size else np.ones(len(X)))

    @property
    def everything(self) -> Indices:
        """The numbers of all rows."""
        return np.arange(len(self.X))

    def densities(self, parameters: Parameters, k: int, rows: Indices) -> Floats:
        """Return the weighted log-densities (n,), in the frame's units, of rows under component `k`; count them."""
        problem = self.problem
        problem.budget.meter.count(len(rows), 1)
        if self._small(rows):  # sums by einsum, not BLAS, whose sums depend on its threads
            away = self.inside[rows] - parameters.means[k]
            away = np.einsum("nd,ed->ne", away, parameters.whiteners[k])
            logs: Floats = parameters.log_constants[k] - 0.5 * np.einsum("nd,nd->n", away, away)
        else:
            results, frame = Results(log_joints=np.empty((len(rows), 1))), problem.rows.frame
            score_rows(self._piece(rows), packed_for_scoring(frame, taken(parameters, (k,))), results, problem.team)
            weight = np.log(max(float(parameters.weights[k]), 1e-300))
            logs = results.log_joints[:, 0] - frame.log_volume + weight
        return np.maximum(logs, NOTHING)

    def moments(self, parameters: Parameters, k: int, rows: Indices, shares: Floats) -> SufficientStatistics:
        """Return the moments about the mean of component `k` of rows that belong to it by shares (n,)."""
        problem = self.problem
        form = problem.settings.moments
        if not self._small(rows):
            component, by = taken(parameters, (k,)), shares[:, None]
            return self._piece(rows).expectation(
                component, problem.team, moments=form, given=lambda start, stop: by[start:stop]
            )
        shares, origin = shares * self.weights[rows], parameters.means[k]
        away = self.inside[rows] - origin
        sum_w, sum_x = shares.sum(keepdims=True), np.einsum("n,nd->d", shares, away)[None]
        full = form == "full"
        weighted = shares[:, None] * away
        sum_xx = np.einsum("nd,ne->de" if full else "nd,nd->d", weighted, away)[None]
        found = SufficientStatistics(
            origin[None], sum_w, sum_x, sum_xx, 0.0, float(sum_w[0]), "full" if full else "diag"
        )
        return found.reduced(form)

    def _small(self, rows: Indices) -> bool:
        return len(rows) * self.X.shape[1] ** 2 <= SMALL

    def _piece(self, rows: Indices) -> AbstractRows:
        """Return some rows, in the frame of all; what is done with them is not counted."""
        piece = ArrayRows(np.ascontiguousarray(self.X[rows]), self.weights[rows])
        return piece.in_frame(self.problem.rows.frame)


def stacked(found: list[SufficientStatistics]) -> SufficientStatistics:
    """Return the statistics of one component each as those of a mixture."""
    origins, sum_w, sum_x, sum_xx = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("origins", "sum_w", "sum_x", "sum_xx")
    )
    return SufficientStatistics(origins, sum_w, sum_x, sum_xx, 0.0, float(sum_w.sum()), found[0].form)
