"""Children of the mixtures that are known of a candidate: some of one's components drawn afresh, or parts of two.

The optima of a likelihood lie close by one another: most of the components of the best are those of others too. So
what is next to the good ones is worth more than new starts are (Lourenço et al. 2003), and more so with parts of
several put together, as clusters of atoms are by cuts (Deaven and Ho 1995).

References
----------
Lourenço, H. R., Martin, O. C. and Stützle, T. (2003). Iterated local search. In: Handbook of Metaheuristics, 320-353.
Deaven, D. M. and Ho, K. M. (1995). Molecular geometry optimization with a genetic algorithm. Physical Review Letters
75, 288-291.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.batch import Moments, Monomials

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Numbers = NDArray[np.intp]

LARGEST = 3
"""Components, at most, that are drawn afresh."""


def renewed(
    data: Monomials, metrics: Floats, found: Moments, covariances: Floats, count: int, rng: np.random.RandomState
) -> Moments:
    """Return mixtures, two or three of whose components are seeded afresh on the rows that were theirs.

    They are those most probable at a row that is drawn, which is the first centre; k-means++ draws the others, in one
    of the metrics (M, N, D). Parents are drawn from R mixtures with covariances (R, K, D, D).
    """
    k, lines = found.shares.shape[1], np.arange(count)
    joints = log_joints(data.rows, found, covariances)
    parents = rng.randint(len(found), size=count)
    first = rng.choice(len(data.rows), size=count, p=data.row_weights)
    sizes = rng.randint(2, min(LARGEST, k) + 1, size=count)
    chosen = np.argsort(-joints[parents, :, first], axis=1)[:, :LARGEST]
    labels = joints.argmax(axis=1)[parents]
    inside = np.zeros((count, k), dtype=np.bool_)
    for place in range(min(LARGEST, k)):
        inside[lines[place < sizes], chosen[place < sizes, place]] = True
    theirs = np.take_along_axis(inside, labels, axis=1)
    rows = metrics[rng.randint(len(metrics), size=count)]
    nearest = _squares(rows, first)
    labels = np.where(theirs, chosen[:, :1], labels)
    for place in range(1, min(LARGEST, k)):
        centre = _drawn(np.where(theirs, nearest, 0.0) * data.row_weights, rng)
        squares = _squares(rows, centre)
        closer = theirs & (squares < nearest) & (place < sizes)[:, None]
        labels = np.where(closer, chosen[:, place : place + 1], labels)
        nearest = np.where(closer, squares, nearest)
    return data.labelled(labels, k)


def spliced(found: Moments, count: int, rng: np.random.RandomState) -> Moments:
    """Return mixtures of two parents each: of one the components this side of a cut, of the other those beyond.

    A cut is across a direction that is drawn, with as many components on either side as make K together.
    """
    r, k, d = found.means.shape
    one = rng.randint(r, size=count)
    other = (one + rng.randint(1, max(r, 2), size=count)) % r
    along = rng.standard_normal((count, d, 1))
    cut = rng.randint(1, max(k, 2), size=count)
    orders = [np.argsort((found.means[parents] @ along)[..., 0], axis=1) for parents in (one, other)]
    here = np.arange(k) < cut[:, None]
    parents = np.where(here, one[:, None], other[:, None])
    components = np.where(here, orders[0], orders[1])
    shares = found.shares[parents, components]
    return Moments(
        shares / shares.sum(axis=1, keepdims=True),
        found.means[parents, components],
        found.covariances[parents, components],
    )


def log_joints(rows: Floats, found: Moments, covariances: Floats) -> Floats:
    """Return log π_k N(x_n | μ_k, Σ_k) of R mixtures, (R, K, N)."""
    lower = np.linalg.cholesky(covariances)
    whiteners = np.linalg.inv(lower)
    logs = np.log(np.maximum(found.shares, 1e-300)) - np.log(np.diagonal(lower, axis1=2, axis2=3)).sum(axis=2)
    joints = np.empty((*logs.shape, len(rows)))
    for joint, whitener, means, log in zip(joints, whiteners, found.means, logs, strict=True):
        scaled = whitener @ rows.T - whitener @ means[..., None]
        joint[:] = (log - rows.shape[1] * math.log(2 * math.pi) / 2)[:, None] - 0.5 * (scaled**2).sum(axis=1)
    return joints


def _squares(rows: Floats, centres: Numbers) -> Floats:
    """Return squared distances of rows (C, N, D) from one of each C."""
    return np.asarray(((rows - rows[np.arange(len(rows)), centres][:, None]) ** 2).sum(axis=2))


def _drawn(weights: Floats, rng: np.random.RandomState) -> Numbers:
    """Draw one of N for each line of weights (C, N)."""
    sums = weights.cumsum(axis=1)
    wanted = rng.random_sample(len(weights)) * sums[:, -1]
    return np.minimum((sums <= wanted[:, None]).sum(axis=1), weights.shape[1] - 1)
