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

from fastgmm.em.search.partial import Part
from fastgmm.em.search.pieces import joined, merged, taken
from fastgmm.em.search.table import NEAR, NOTHING, Table, log_sums
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

CANDIDATES = 8
"""Pairs that Runnalls's bound finds cheapest to merge, whose loss on the rows is compared."""

SHARED = 1e-3
"""Responsibility of a pair of components from which a row counts for the loss of merging them."""


def merged_down(table: Table, n_components: int) -> Table:
    """Merge the pair that costs least, with an iteration of EM of what replaces it, until `n_components` are left.

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
    logs = table.logs[:, pair]
    together = log_sums(logs)
    shares = np.exp(together - table.sums)
    shares = np.where(shares > SHARED, shares, 0.0) * table.board.weights
    one = merged(taken(table.parameters, pair))
    weight = math.log(float(table.parameters.weights[list(pair)].sum()))
    volume = float(np.linalg.slogdet(one.matrices[0])[1]) + one.n_features * (1 + math.log(2 * math.pi))
    return float((shares * together).sum()) - float(shares.sum()) * (weight - 0.5 * volume)


def _without(table: Table, pair: tuple[int, int]) -> Table:
    """Return a table with one component, the last, in the place of a pair."""
    parameters, board = table.parameters, table.board
    kept = [k for k in range(parameters.n_components) if k not in pair]
    rows = np.flatnonzero(log_sums(table.shares[:, pair]) > NEAR)
    weight = float(parameters.weights[list(pair)].sum())
    others = log_sums(table.logs[:, kept]) if kept else np.full(len(board.X), NOTHING)
    empty = np.full((len(board.X), 1), NOTHING)
    part = Part(board, merged(taken(parameters, pair)), weight, [rows], others, empty)
    pieces = part.pieces()
    part = part.evaluated(pieces).stepped(pieces).evaluated(pieces)
    found = joined((1 - weight, taken(parameters, kept)), (weight, part.parameters)) if kept else part.parameters
    return Table(board, found, np.column_stack([table.logs[:, kept], part.logs]), table.age)


def together(table: Table, more: Table) -> Table:
    """Return the mixture of two mixtures, each with half of the weight."""
    logs = np.column_stack([table.logs, more.logs]) - math.log(2)
    return Table(table.board, joined((0.5, table.parameters), (0.5, more.parameters)), logs, table.age)


def doubled(table: Table, components: list[int], halves: list[Parameters]) -> Table:
    """Return a mixture with two components, near by, in the place of each of some; near pairs are evaluated."""
    kept = [k for k in range(table.parameters.n_components) if k not in components]
    weights = table.parameters.weights
    parts = [(float(weights[k]), by) for k, by in zip(components, halves, strict=True)]
    if kept:
        parts.insert(0, (float(weights[kept].sum()), taken(table.parameters, kept)))
    each = np.repeat(table.logs[:, components], 2, axis=1) - math.log(2)
    rough = Table(table.board, table.parameters, np.column_stack([table.logs[:, kept], each]), min(table.age, 2))
    return rough.moved(joined(*parts))
