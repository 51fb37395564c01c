"""Overfitting and merging: a mixture with more components than are wanted, merged pair by pair down to their number.

What is left of too many components depends less on where they began than a mixture of just enough does. Components of
two mixtures joined and merged inherit from both, as in genetic algorithms of clustering (Fränti et al. 1997).

References
----------
Fränti, P., Kivijärvi, J., Kaukoranta, T. and Nevalainen, O. (1997). Genetic algorithms for large-scale clustering
problems. The Computer Journal 40, 547-554.
Runnalls, A. R. (2007). Kullback-Leibler approach to Gaussian mixture reduction. IEEE Transactions on Aerospace and
Electronic Systems 43, 989-999.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.search.board import NOTHING
from fastgmm.em.search.drift import drifted, far
from fastgmm.em.search.pieces import joined, merged, taken
from fastgmm.em.search.table import Table
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

CANDIDATES = 8
"""Pairs that Runnalls's bound finds cheapest to merge, whose loss on the rows is compared."""

SHARED = 1e-3
"""Responsibility of a pair of components from which a row counts for the loss of merging them."""

MERGED = 2e-3
"""Responsibility of a pair from which a row is evaluated under what replaces it."""


def merged_down(table: Table, n_components: int) -> Table:
    """Merge the pair that costs least until `n_components` are left.

    Raises
    ------
    DegenerateComponentError
        If a component collapses.
    """
    while table.parameters.n_components > n_components:
        table = _without(table, _cheapest(table))
    return table


def bounds(parameters: Parameters) -> Floats:
    """Return Runnalls's upper bound of what merging costs, for all pairs, (K, K): inf on the diagonal.

    ½ [(π_i + π_j) log |Σ_ij| − π_i log |Σ_i| − π_j log |Σ_j|], Σ_ij the covariance of both as one.
    """
    weights, means, matrices = parameters.weights, parameters.means, parameters.matrices
    volumes = weights * np.linalg.slogdet(matrices)[1]
    costs = np.full((len(weights), len(weights)), np.inf)
    for i in range(len(weights) - 1):
        both = weights[i] + weights[i + 1 :]
        share = (weights[i] / both)[:, None, None]
        away = means[i + 1 :] - means[i]
        spread = away[:, :, None] * away[:, None, :]
        together = share * matrices[i] + (1 - share) * (matrices[i + 1 :] + share * spread)
        costs[i, i + 1 :] = 0.5 * (both * np.linalg.slogdet(together)[1] - volumes[i] - volumes[i + 1 :])
    return np.minimum(costs, costs.T)


def _cheapest(table: Table) -> tuple[int, int]:
    """Return the pair whose rows lose least if one component takes the place of both."""
    costs = bounds(table.parameters)
    first, second = np.triu_indices(len(costs), 1)
    order = np.argsort(costs[first, second], kind="stable")[:CANDIDATES]
    pairs = [(int(first[n]), int(second[n])) for n in order]
    return min(pairs, key=lambda pair: _loss(table, pair))


def _loss(table: Table, pair: tuple[int, int]) -> float:
    """Return by how much the log-likelihood falls, at most, if one component with its moments replaces a pair."""
    both = table.responsibilities[:, pair[0]] + table.responsibilities[:, pair[1]]
    rows = np.flatnonzero(both > SHARED)
    shares = both[rows] * table.board.weights[rows]
    together = np.log(both[rows]) + table.sums[rows]
    one = merged(taken(table.parameters, pair))
    weight = math.log(float(table.parameters.weights[list(pair)].sum()))
    volume = float(np.linalg.slogdet(one.matrices[0])[1]) + one.n_features * (1 + math.log(2 * math.pi))
    return float((shares * together).sum()) - float(shares.sum()) * (weight - 0.5 * volume)


def _without(table: Table, pair: tuple[int, int]) -> Table:
    """Return a table with one component, the last, in the place of a pair."""
    parameters, board = table.parameters, table.board
    kept = [k for k in range(parameters.n_components) if k not in pair]
    rows = np.flatnonzero(table.responsibilities[:, pair].sum(axis=1) > MERGED)
    both = taken(parameters, pair)
    one = merged(both)
    distances = drifted(table.distances[:, pair], both, one).max(axis=1)
    weight = float(parameters.weights[list(pair)].sum())
    found = joined((1 - weight, taken(parameters, kept)), (weight, one)) if kept else one
    last = len(kept)
    logs = np.column_stack([table.logs[:, kept], np.full(len(board.X), NOTHING)])
    logs[rows, last] = board.densities(found, last, rows)
    distances[rows] = far(logs[rows, last], found, last)
    return Table(board, found, logs, np.column_stack([table.distances[:, kept], distances]))
