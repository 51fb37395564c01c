"""Batches: EM on few rows for many mixtures of K components at once, where Python's time is what an iteration costs.

A start is a value of the full statistics, from which every model takes its own first M-step: one set of starts serves
all models. Iterations of R mixtures share the rows' monomials 1, x, xxᵀ: log-densities and sums are two products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.steps import STEPS, State

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

RIDGE = 1e-10
"""Added to the variances (of standardised features), so that a component on a line comes to rest and can be refused."""

NUMBERS = 1 << 16
"""Responsibilities (R, K, N) at a time: half a MiB, which stays in the cache."""


TINY = 1e-280
"""Densities of rows from here on are summed as they are."""


@lru_cache(maxsize=8)
def triangle(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the entries of a lower triangle."""
    return np.tril_indices(d)


@dataclass(frozen=True, eq=False)
class Moments:
    """What EM needs to know of the rows for R mixtures: shares n_k / n, means, covariances W_k / n_k of components."""

    shares: Floats
    """(R, K)."""
    means: Floats
    """(R, K, D)."""
    covariances: Floats
    """(R, K, D, D)."""

    def __len__(self) -> int:
        return len(self.shares)

    def __getitem__(self, chosen: NDArray[np.intp] | Booleans | slice | list[int]) -> Moments:
        return Moments(self.shares[chosen], self.means[chosen], self.covariances[chosen])

    def replace(self, which: NDArray[np.intp] | Booleans, by: Moments) -> None:
        """Put those of another batch in the place of some."""
        self.shares[which], self.means[which] = by.shares[which], by.means[which]
        self.covariances[which] = by.covariances[which]

    @classmethod
    def joined(cls, parts: list[Moments]) -> Moments:
        """Return one batch of several, in order."""
        return cls(
            np.concatenate([part.shares for part in parts]),
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.covariances for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class Monomials:
    """Rows as the batch reads them: 1, x, and the products x_d x_e of the lower triangle, with the rows' weights."""

    rows: Floats
    """(N, D), centred and of unit size."""
    values: Floats
    """(F, N)."""
    weighted: Floats
    """(N, F), times the weights, divided by their sum."""
    weights: Floats
    """(N,), summing to 1."""

    @classmethod
    def of(cls, rows: Floats, weights: Floats | None = None) -> Monomials:
        """Form the monomials of rows (N, D) with weights (N,)."""
        i, j = triangle(rows.shape[1])
        values = np.concatenate([np.ones((1, len(rows))), rows.T, (rows[:, i] * rows[:, j]).T])
        shares = np.full(len(rows), 1 / len(rows)) if weights is None else weights / weights.sum()
        return cls(rows, np.ascontiguousarray(values), np.ascontiguousarray((values * shares).T), shares)

    def moments(self, sums: Floats) -> Moments:
        """Turn sums (R, K, F) into moments."""
        d = self.rows.shape[1]
        i, j = triangle(d)
        shares = sums[..., 0]
        safe = np.maximum(shares, 1e-300)[..., None]
        means = sums[..., 1 : d + 1] / safe
        second = sums[..., d + 1 :] / safe
        covariances = np.empty((*shares.shape, d, d))
        covariances[..., i, j] = covariances[..., j, i] = second - means[..., i] * means[..., j]
        return Moments(shares, means, covariances)

    def expected(self, coefficients: Floats) -> tuple[Moments, Floats]:
        """Return moments and mean log-likelihoods (R,) under log-joint densities of coefficients (R, K, F)."""
        r, k, f = coefficients.shape
        n = len(self.rows)
        sums, values = np.empty(coefficients.shape), np.empty(r)
        size = max(1, min(NUMBERS // (k * n), r))
        joints, kept = np.empty((size * k, n)), np.empty((size * k, n))
        for first in range(0, r, size):
            some = slice(first, first + size)
            count = min(size, r - first)
            joint, flat = joints[: count * k], kept[: count * k]
            np.matmul(coefficients[some].reshape(-1, f), self.values, out=joint)
            shares, largest = np.exp(joint, out=flat).reshape(-1, k, n), np.zeros(1)
            totals = shares.sum(axis=1, keepdims=True)
            if not (totals.min() > TINY and totals.max() < np.inf):  # rows that are far from everything
                joint = joint.reshape(-1, k, n)
                largest = joint.max(axis=1, keepdims=True)
                np.exp(joint - largest, out=shares)
                totals = shares.sum(axis=1, keepdims=True)
            shares /= totals
            sums[some] = (flat @ self.weighted).reshape(-1, k, f)
            values[some] = (np.log(totals) + largest)[:, 0] @ self.weights
        return self.moments(sums), values

    def labelled(self, labels: NDArray[np.intp], n_components: int) -> Moments:
        """Return the moments of R assignments (R, N) of the rows."""
        hard = (labels[:, None, :] == np.arange(n_components)[:, None]).astype(np.float64)
        return self.moments(hard @ self.weighted)


@dataclass(eq=False)
class Batch:
    """Runs of EM under several models, those of one model side by side: R of them in all."""

    data: Monomials
    groups: tuple[tuple[str, int, State], ...]
    """Models, how many runs each has, and where its alternations stand."""
    moments: Moments

    @classmethod
    def start(cls, data: Monomials, starts: dict[str, Moments]) -> Batch:
        """Begin at some moments for each model."""
        groups = tuple((model, len(moments), State()) for model, moments in starts.items())
        return cls(data, groups, Moments.joined(list(starts.values())))

    def __post_init__(self) -> None:
        self.log_likelihoods = np.full(len(self.moments), -np.inf)
        self.covariances = np.empty(0)

    def spans(self) -> Iterator[tuple[str, slice]]:
        """Walk the models and their runs."""
        first = 0
        for model, count, _ in self.groups:
            yield model, slice(first, first + count)
            first += count

    def chosen(self, which: NDArray[np.intp]) -> Batch:
        """Return some of the runs, given in ascending order of their models."""
        groups = []
        for (model, span), (_, _, state) in zip(self.spans(), self.groups, strict=True):
            own = which[(which >= span.start) & (which < span.stop)]
            if len(own):
                groups.append((model, len(own), state.chosen(own - span.start)))
        part = Batch(self.data, tuple(groups), self.moments[which])
        part.log_likelihoods, part.covariances = self.log_likelihoods[which], self.covariances[which]
        return part

    def iterate(self, n_iter: int) -> None:
        """Take plain iterations of EM."""
        for _ in range(n_iter):
            self.moments, self.log_likelihoods = self.step(self.moments)

    def step(self, moments: Moments) -> tuple[Moments, Floats]:
        """Maximise, then expect: return the next moments, and the mean log-likelihoods (R,) between the two."""
        covariances = np.empty_like(moments.covariances)
        for (model, span), (_, _, state) in zip(self.spans(), self.groups, strict=True):
            covariances[span] = STEPS[model](moments.shares[span], moments.covariances[span], state)
        d = covariances.shape[-1]
        covariances[..., range(d), range(d)] += RIDGE
        self.covariances = covariances
        coefficients, alive = _coefficients(moments, covariances)
        found, values = self.data.expected(coefficients)
        dead = np.flatnonzero(~(alive & np.isfinite(values)))
        values[dead] = -np.inf
        if len(dead):  # a dead run stays where it was
            found.replace(dead, moments)
        return found, values

    def accelerate(self, rounds: int) -> None:
        """Take rounds of SQUAREM: two iterations and one from where they point, kept where the likelihood is no lower.

        Moments are extrapolated, as log shares, means and log-Cholesky factors: whatever the point, the M-step from it
        is in the model.
        """
        for _ in range(rounds):
            first, _ = self.step(self.moments)
            second, before = self.step(first)
            start, one, two = (_vector(m) for m in (self.moments, first, second))
            r, v = one - start, two - 2 * one + start
            norms = np.sqrt((v * v).sum(axis=1))
            lengths = np.maximum(np.sqrt((r * r).sum(axis=1)) / np.where(norms > 0, norms, 1.0), 1.0)[:, None]
            far = _from_vector(start + 2 * lengths * r + lengths**2 * v, second)
            states, here = [state.copy() for _, _, state in self.groups], self.covariances
            found, value = self.step(far)
            worse = ~(value >= before)
            if worse.any():
                for (_, span), (_, _, state), old in zip(self.spans(), self.groups, states, strict=True):
                    state.restore(old, worse[span])
                self.covariances[worse] = here[worse]
                found.replace(worse, second)
                value = np.where(worse, before, value)
            self.moments, self.log_likelihoods = found, value


def _coefficients(moments: Moments, covariances: Floats) -> tuple[Floats, Booleans]:
    """Return the log-joint densities as coefficients (R, K, F) of the monomials, and which mixtures have any."""
    from fastgmm.kernels.variants import factors_kernel

    r, k, d = moments.means.shape
    flat = np.ascontiguousarray(covariances.reshape(-1, d, d))
    factors, whiteners, definite = np.empty_like(flat), np.empty_like(flat), np.empty(r * k, dtype=np.bool_)
    factors_kernel()(1, flat, factors, whiteners, definite)
    factors[~definite] = whiteners[~definite] = np.eye(d)
    precisions = whiteners.swapaxes(1, 2) @ whiteners
    means = moments.means.reshape(-1, d)
    linear = np.einsum("kde,ke->kd", precisions, means)
    with np.errstate(divide="ignore"):
        logs = np.log(moments.shares.reshape(-1))
    constants = logs - 0.5 * d * math.log(2 * math.pi) - np.log(np.einsum("kdd->kd", factors)).sum(axis=1)
    constants -= 0.5 * np.einsum("kd,kd->k", linear, means)
    i, j = triangle(d)
    quadratic = precisions[:, i, j] * np.where(i == j, -0.5, -1.0)
    found = np.concatenate([constants[:, None], linear, quadratic], axis=1).reshape(r, k, -1)
    return found, definite.reshape(r, k).all(axis=1) & np.isfinite(found[..., 1:]).all(axis=(1, 2))


def _vector(moments: Moments) -> Floats:
    """Return coordinates (R, P) of moments: log shares, means, Cholesky factors with logarithms on their diagonals."""
    from fastgmm.kernels.variants import factors_kernel

    r, k, d = moments.means.shape
    flat = moments.covariances.reshape(-1, d, d) + RIDGE * np.eye(d)
    factors, spare, definite = np.empty_like(flat), np.empty_like(flat), np.empty(r * k, dtype=np.bool_)
    factors_kernel()(1, flat, factors, spare, definite)
    factors[~definite] = np.eye(d)
    places = np.arange(d)
    factors[:, places, places] = np.log(factors[:, places, places])
    i, j = triangle(d)
    logs = np.log(np.maximum(moments.shares, 1e-300))
    return np.concatenate([logs, moments.means.reshape(r, -1), factors[:, i, j].reshape(r, -1)], axis=1)


def _from_vector(vectors: Floats, like: Moments) -> Moments:
    """Return the moments that have these coordinates."""
    r, k, d = like.means.shape
    shares = np.exp(vectors[:, :k] - vectors[:, :k].max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    means = vectors[:, k : k * (d + 1)].reshape(r, k, d)
    i, j = triangle(d)
    factors, places = np.zeros((r, k, d, d)), np.arange(d)
    factors[..., i, j] = vectors[:, k * (d + 1) :].reshape(r, k, -1)
    factors[..., places, places] = np.exp(np.clip(factors[..., places, places], -300, 300))
    return Moments(shares, means, factors @ factors.swapaxes(2, 3))
