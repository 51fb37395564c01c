"""Draws: mixtures from a few iterations of k-means on a sample, cheap enough to have many of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.board import Board
from fastgmm.em.search.pieces import formed
from fastgmm.initialise.distinct import distinct
from fastgmm.initialise.lloyd import assigned, lloyd, seeds
from fastgmm.initialise.seeding import measured
from fastgmm.models import MODELS
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows

Floats = NDArray[np.float64]

ROWS = 15
"""Of a sample, for each component, at least."""

ITERATIONS = 3
"""Of k-means."""

PRIOR, VOLUME = 1.0, 0.3
"""Rows, beside D, that a covariance is worth before any row is seen, and which part it is of that of K^(-2/D) Σ."""


class Draws:
    """Mixtures for the rows of a board, from centres in the user's units or in standard deviations, in turn."""

    def __init__(self, board: Board, covariance: Floats) -> None:
        self._board, self._covariance = board, covariance
        self._number = 0

    def draw(self, n_components: int, share: float) -> Parameters:
        """Return the next mixture, from a share of the rows, in the coordinates of their frame."""
        board, problem = self._board, self._board.problem
        frame = problem.rows.frame
        n = min(len(board.X), max(round(share * len(board.X)), ROWS * n_components))
        chosen = np.sort(distinct(len(board.X), n, problem.rng)) if n < len(board.X) else board.everything
        inside, weights = board.inside[chosen], board.weights[chosen]
        scale = 1 / frame.scale if self._number % 2 else self._deviations()
        self._number += 1
        meter = problem.budget.meter
        metric = meter.counted(ArrayRows(np.ascontiguousarray(inside / scale), weights))
        meter.count(n, measured(n_components))
        where, centres, _ = seeds(metric, n_components, problem.rng)
        centres = lloyd(metric, where, centres, problem.team, ITERATIONS)
        labels = assigned(metric, where, centres, problem.team)
        return self._fitted(inside, weights, labels, (centres / where.scale + where.centre) * scale)

    def _deviations(self) -> Floats:
        deviations = np.sqrt(np.diagonal(self._covariance))
        return np.where(deviations > 0, deviations, 1.0)

    def _fitted(self, inside: Floats, weights: Floats, labels: NDArray[np.int32], centres: Floats) -> Parameters:
        """Return a mixture of labelled rows, whose covariances lean to that of all rows."""
        k, d = centres.shape
        settings = self._board.problem.settings
        ridge = np.broadcast_to(np.asarray(settings.ridge), (d,)) + 1e-9 * np.diagonal(self._covariance)
        typical = VOLUME * k ** (-2 / d) * self._covariance
        means, matrices, counts = centres.copy(), np.empty((k, d, d)), np.empty(k)
        for component in range(k):
            mine = labels == component
            share = weights[mine]
            counts[component] = share.sum()
            if counts[component] > 0:
                means[component] = np.einsum("n,nd->d", share, inside[mine]) / counts[component]
            away = inside[mine] - means[component]
            scatter = np.einsum("n,nd,ne->de", share, away, away)
            matrices[component] = (scatter + (d + PRIOR) * typical) / (counts[component] + d + PRIOR) + np.diag(ridge)
        counts = np.maximum(counts, 1e-3 * weights.mean())
        return formed(counts / counts.sum(), means, matrices, MODELS[settings.model].form)
