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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.batch import Moments, Monomials

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Numbers = NDArray[np.intp]

LARGEST = 3
"""Components, at most, that are drawn afresh."""


def renewed(
    data: Monomials,
    metrics: Floats,
    found: Moments,
    covariances: Floats,
    origins: Origins,
    rng: np.random.RandomState,
    change: int = 0,
) -> Moments:
    """Return mixtures, some of whose components are seeded afresh on the rows that were theirs: `change` more of them.

    They are those most probable at a row, which is the first centre; k-means++ draws the others, in one of the metrics
    (M, N, D). Parents are of R mixtures with covariances (R, K, D, D).
    """
    k, count, most = found.shares.shape[1], len(origins.parents), int(origins.sizes.max())
    sizes = origins.sizes
    used, parents = np.unique(origins.parents, return_inverse=True)
    joints = log_joints(data.rows, found[used], covariances[used])
    order = np.argsort(-joints[parents, :, origins.rows], axis=1)
    inside = np.zeros((count, k), dtype=np.bool_)
    np.put_along_axis(inside, order, np.arange(k) < sizes[:, None], axis=1)
    labels = joints.argmax(axis=1)[parents]
    theirs = np.take_along_axis(inside, labels, axis=1)
    kept = np.cumsum(~inside, axis=1) - 1  # what stays comes first, what is new after it
    labels = np.where(theirs, (k - sizes)[:, None], np.take_along_axis(kept, labels, axis=1))
    features = metrics.swapaxes(1, 2)[rng.randint(len(metrics), size=count)]
    nearest = np.where(theirs, _squares(features, origins.rows), 0.0)
    for place in range(1, most + change):
        centre = _drawn(nearest * data.row_weights, rng)
        squares = _squares(features, centre)
        closer = (squares < nearest) & (place < sizes + change)[:, None]
        labels = np.where(closer, (k - sizes + place)[:, None], labels)
        nearest = np.where(closer, squares, nearest)
    return data.labelled(labels, k + change)


@dataclass(frozen=True, eq=False)
class Origins:
    """Where to seed afresh: C mixtures, rows, and how many of the components that are most probable there."""

    parents: Numbers
    rows: Numbers
    sizes: Numbers

    def __len__(self) -> int:
        return len(self.parents)

    def __getitem__(self, chosen: Numbers) -> Origins:
        return Origins(self.parents[chosen], self.rows[chosen], self.sizes[chosen])

    @classmethod
    def drawn(
        cls, data: Monomials, n_mixtures: int, n_components: int, count: int, rng: np.random.RandomState
    ) -> Origins:
        """Draw mixtures of so many, rows by their weights, and two or three components."""
        rows = rng.choice(len(data.rows), size=count, p=data.row_weights)
        sizes = rng.randint(2, min(LARGEST, n_components) + 1, size=count)
        return cls(rng.randint(n_mixtures, size=count), rows, sizes)

    @classmethod
    def every(cls, joints: Floats, size: int, each: int, rng: np.random.RandomState) -> Origins:
        """Take every set of so many components that are the most probable at a row, with `each` of its rows.

        They are few: 15 of a mixture of nine components in a plane. Rows drawn by their weights are those of the large
        components over and over. Joints are log π_k N(x_n | μ_k, Σ_k), (R, K, N).
        """
        chosen = np.sort(np.argsort(-joints, axis=1)[:, :size], axis=1)
        parents, rows = [], []
        for r, sets in enumerate(chosen):
            _, labels = np.unique(sets, axis=1, return_inverse=True)
            order = np.argsort(labels.ravel(), kind="stable")
            counts = np.bincount(labels.ravel())
            places = np.repeat(np.cumsum(counts) - counts, each) + rng.randint(np.repeat(counts, each))
            rows.append(order[places])
            parents.append(np.full(len(places), r))
        both = np.concatenate(parents), np.concatenate(rows)
        return cls(*both, np.full(len(both[0]), size))


def is_next(poorer: str, model: str) -> bool:
    """Return whether a model is another with one letter less free: what is an optimum of it starts the other well."""
    steps = ["IEV".index(b) - "IEV".index(a) for a, b in zip(poorer, model, strict=True) if a != b]
    return len(steps) == 1 and steps[0] > 0


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


def _squares(features: Floats, centres: Numbers) -> Floats:
    """Return squared distances of rows, features first (C, D, N), from one of each C."""
    away = features - features[np.arange(len(features)), :, centres][..., None]
    return np.asarray(np.einsum("cdn,cdn->cn", away, away))


def _drawn(weights: Floats, rng: np.random.RandomState) -> Numbers:
    """Draw one of N for each line of weights (C, N)."""
    sums = weights.cumsum(axis=1)
    wanted = rng.random_sample(len(weights)) * sums[:, -1]
    return np.minimum((sums <= wanted[:, None]).sum(axis=1), weights.shape[1] - 1)
