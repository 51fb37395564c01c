"""Batches: EM on few rows for many mixtures of K components at once, where Python's time is what an iteration costs.

A start is a value of the full statistics, from which every model takes its own first M-step: one set of starts serves
all models. The kernel `runs` takes all iterations of a run; between its calls runs are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fastgmm.models import MODELS
from fastgmm.selection.crew import ALONE, Crew

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

PARTS, LEAST = 4, 8
"""Parts of a batch for each thread, as runs end at different times, and the least number of runs of a part."""

REST = -1.0
"""Gain of an iteration, a mean, at which a run rests: never."""

REACH = 40.0
"""Times what an iteration has gained that a run may still gain. Of those that pass the bar in the end, none was dropped
that became the best, and a tenth of the others; of those that do not pass it, half, after 18 iterations."""

NEAR = 0.02
"""Difference of signatures, in units, up to which a run heads for a known optimum: one in a hundred did not."""


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

    @classmethod
    def joined(cls, parts: list[Moments]) -> Moments:
        """Return one batch of several, in order."""
        return cls(
            np.concatenate([part.shares for part in parts]),
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.covariances for part in parts]),
        )

    @property
    def points(self) -> Floats:
        """All of each mixture in a row, as the kernel has them, (R, K + K D + K D²), an array of its own."""
        r = len(self)
        return np.concatenate([self.shares, self.means.reshape(r, -1), self.covariances.reshape(r, -1)], axis=1)

    @classmethod
    def of(cls, points: Floats, n_components: int, n_features: int) -> Moments:
        """Return views of rows that the kernel wrote."""
        r, k, d = len(points), n_components, n_features
        shares, means, covariances = np.split(points, [k, k + k * d], axis=1)
        return cls(shares, means.reshape(r, k, d), covariances.reshape(r, k, d, d))


@dataclass(frozen=True, eq=False)
class Monomials:
    """Rows as the batch reads them: 1, x, and the products x_d x_e of the lower triangle, with the rows' weights."""

    rows: Floats
    """(N, D), centred and of unit size."""
    values: Floats
    """(F, stride): rows in the lanes, padded by zeros to whole groups."""
    weights: Floats
    """(stride,), summing to 1, padded by zeros."""

    @classmethod
    def of(cls, rows: Floats, weights: Floats | None = None) -> Monomials:
        """Form the monomials of rows (N, D) with weights (N,)."""
        from fastgmm.kernels.layout import WIDTH

        n, d = rows.shape
        i, j = triangle(d)
        stride = -(-n // WIDTH) * WIDTH
        values, shares = np.zeros((1 + d + len(i), stride)), np.zeros(stride)
        values[0] = 1.0
        values[1 : d + 1, :n] = rows.T
        values[d + 1 :, :n] = (rows[:, i] * rows[:, j]).T
        shares[:n] = 1 / n if weights is None else weights / weights.sum()
        return cls(rows, values, shares)

    @property
    def row_weights(self) -> Floats:
        """(N,)."""
        return self.weights[: len(self.rows)]

    def labelled(self, labels: NDArray[np.intp], n_components: int) -> Moments:
        """Return the moments of R assignments (R, N) of the rows."""
        n, d = self.rows.shape
        i, j = triangle(d)
        hard = (labels[:, None, :] == np.arange(n_components)[:, None]).astype(np.float64)
        sums = hard @ (self.values[:, :n] * self.row_weights).T
        shares = sums[..., 0]
        safe = np.maximum(shares, 1e-300)[..., None]
        means = sums[..., 1 : d + 1] / safe
        second = sums[..., d + 1 :] / safe
        covariances = np.empty((*shares.shape, d, d))
        covariances[..., i, j] = covariances[..., j, i] = second - means[..., i] * means[..., j]
        return Moments(shares, means, covariances)


@dataclass(frozen=True, eq=False)
class Limits:
    """What makes it vain to go on with a run, of R."""

    bars: Floats
    """Likelihoods to pass, means, (R,)."""
    units: Floats
    """Of signatures, (F,)."""
    known: Floats
    """Likelihoods and signatures of known optima, (A, 1 + F)."""
    ranges: NDArray[np.int64]
    """Which of them concern a run, (R, 2)."""

    @classmethod
    def none(cls, n_runs: int) -> Limits:
        """Let all runs go on."""
        ranges = np.zeros((n_runs, 2), dtype=np.int64)
        return cls(np.full(n_runs, -np.inf), np.ones(1), np.empty((0, 2)), ranges)

    def __getitem__(self, chosen: NDArray[np.intp]) -> Limits:
        return Limits(self.bars[chosen], self.units, self.known, self.ranges[chosen])


class Batch:
    """Runs of EM under several models, those of one model side by side: R of them in all."""

    def __init__(self, data: Monomials, groups: tuple[tuple[str, int], ...], moments: Moments, crew: Crew) -> None:
        self.data, self.groups, self.moments, self._crew = data, groups, moments, crew
        r, k, d = moments.means.shape
        self.log_likelihoods = np.full(r, -np.inf)
        """Means over the rows, (R,); −inf for runs that collapsed."""
        self.covariances = np.zeros((r, k, d, d))
        """Of the models, from the M-step before the moments."""
        self._states = np.zeros((r, 1 + k + d * d))

    @classmethod
    def start(cls, data: Monomials, starts: dict[str, Moments], crew: Crew = ALONE) -> Batch:
        """Begin at some moments for each model."""
        groups = tuple((model, len(moments)) for model, moments in starts.items())
        return cls(data, groups, Moments.joined(list(starts.values())), crew)

    def __len__(self) -> int:
        return len(self.moments)

    def spans(self) -> Iterator[tuple[str, slice]]:
        """Walk the models and their runs."""
        first = 0
        for model, count in self.groups:
            yield model, slice(first, first + count)
            first += count

    def chosen(self, which: NDArray[np.intp]) -> Batch:
        """Return some of the runs, given in ascending order of their models."""
        groups = []
        for model, span in self.spans():
            count = int(((which >= span.start) & (which < span.stop)).sum())
            if count:
                groups.append((model, count))
        part = Batch(self.data, tuple(groups), self.moments[which], self._crew)
        part.log_likelihoods, part.covariances = self.log_likelihoods[which], self.covariances[which]
        part._states = self._states[which]
        return part

    def iterate(self, n_iter: int) -> None:
        """Take plain iterations of EM."""
        self.climb(n_iter, 0)

    def accelerate(self, rounds: int, tolerance: float = REST) -> None:
        """Take rounds of SQUAREM: two iterations and one from where they point, kept where the likelihood is no lower.

        Moments are extrapolated, as log shares, means and log-Cholesky factors: whatever the point, the M-step from it
        is in the model. A run rests where an iteration gains `tolerance` or less.
        """
        self.climb(0, rounds, tolerance)

    def climb(self, plain: int, rounds: int, tolerance: float = REST, limits: Limits | None = None) -> int:
        """Take plain iterations and then rounds of SQUAREM, the runs shared among threads; return how many in all.

        Runs that are vain to go on with end in −inf, as those do that collapse.
        """
        from fastgmm.kernels.runs import runs_kernel

        _, k, d = self.moments.means.shape
        codes = np.array([CODES[model] for model, count in self.groups for _ in range(count)], dtype=np.int64)
        rules, kinds = np.ascontiguousarray(codes.T)
        points, fitted = self.moments.points, np.ascontiguousarray(self.covariances.reshape(len(self), -1))
        states, values = np.ascontiguousarray(self._states), self.log_likelihoods.copy()
        rows = self.data.values[1:].reshape(-1), self.data.weights
        kernel, steps = runs_kernel(), np.zeros(len(self), dtype=np.int64)
        some = Limits.none(len(self)) if limits is None else limits
        vain = some.bars, REACH, some.units, np.ascontiguousarray(some.known), some.ranges, NEAR
        arguments = (*rows, d, k, rules, kinds, points, states, fitted, plain, rounds, tolerance, *vain, values, steps)
        parts = max(1, min(len(self) // LEAST, PARTS * self._crew.size))
        self._crew.share(lambda part: kernel.one_part(part, parts, *arguments), parts)
        self.moments, self.covariances = Moments.of(points, k, d), fitted.reshape(-1, k, d, d)
        self._states, self.log_likelihoods = states, values
        return int(steps.sum())


def code(model: str) -> tuple[int, int]:
    """Return the kernel's rule of a model and its kind of axes."""
    volume, shape, orientation = tuple(model)
    if shape == "I":
        return "EV".index(volume), 0
    return 2 * "EV".index(shape) + "EV".index(volume), "IEV".index(orientation) + 1


CODES = {model: code(model) for model in MODELS}
