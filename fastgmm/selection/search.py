"""The search over candidates: starts shared by all models of one K, and handed on to the neighbouring numbers.

Every (model, K) keeps its best few optima. A round goes up, K = 1, 2, …, with seeds, with splits of what K − 1 found
and with what the other models found for this K; and down, with merges of what K + 1 found. Runs that lag behind are
dropped early, and only those are kept that are no accidents of a few rows (`Guard`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.batch import Batch, Moments, Monomials
from fastgmm.selection.starts import merges, seeded, splits

Floats = NDArray[np.float64]
Cell = tuple[str, int]


ROWS_PER_NUMBER = 2.0


@dataclass(frozen=True)
class Guard:
    """Which optima count: the likelihood of mixtures has no maximum, and many that say nothing but of a few rows."""

    min_rows: float | None = None
    """Least weight of a component, in rows. None: `ROWS_PER_NUMBER` for each number that is a component's own."""
    min_variance: float = 1e-3
    """Least variance of a component in any direction, as a share of that of all rows in that direction."""

    def rows_wanted(self, model: str, n_features: int) -> float:
        """Return how many rows a component must hold, by the numbers that are its own.

        Those are D of its mean and, where they vary, one of the volume and D − 1 of the shape and of the orientation;
        that has more than D − 1 beyond two features, but asking for D² rows would refuse what is well determined.
        """
        if self.min_rows is not None:
            return self.min_rows
        volume, shape, orientation = (letter == "V" for letter in model)
        return ROWS_PER_NUMBER * (n_features + volume + (n_features - 1) * (shape + orientation))

    def admits(
        self, shares: Floats, covariances: Floats, least_share: Floats | float, whitener: Floats
    ) -> NDArray[np.bool_]:
        """Return which mixtures count, by shares (R, K), covariances (R, K, D, D) and what whitens all rows (D, D)."""
        relative = whitener @ covariances @ whitener.T
        finite = np.asarray(np.isfinite(relative).all(axis=(1, 2, 3)))
        least = least_eigenvalues(np.where(finite[:, None, None, None], relative, 0.0)).min(axis=1)
        return finite & (shares.min(axis=1) >= least_share) & (least >= self.min_variance)


def least_eigenvalues(matrices: Floats) -> Floats:
    """Return the least eigenvalues of symmetric matrices (…, D, D)."""
    if matrices.shape[-1] != 2:
        return np.asarray(np.linalg.eigvalsh(matrices)[..., 0])
    a, b, c = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    return np.asarray((a + c) / 2 - np.hypot((a - c) / 2, b))


def whitener_of(covariance: Floats) -> Floats:
    """Return W with W Σ Wᵀ = 1; directions in which nothing varies are left as they are small."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(np.maximum(values, 1e-14 * max(values[-1], 1e-300)))).T)


@dataclass(frozen=True)
class Effort:
    """How long to search."""

    seeds: int = 12
    """Fresh starts of each K and round."""
    rounds: int = 1
    """Times to go up and down."""
    exchanges: int = 0
    """Times to exchange components of the best, in each round."""
    kept: int = 3
    """Optima of each cell that are known."""
    screen: int = 4
    """Plain iterations of all starts."""
    stages: tuple[tuple[int, int], ...] = ((16, 2), (8, 3), (3, 5))
    """How many runs are left, and rounds of SQUAREM that they then take."""
    final: int = 25
    """Rounds of what is known of each cell, at the end."""
    handed: int = 3
    """How many optima of a cell other models start from."""


@dataclass(eq=False)
class Found:
    """The best optima of a cell, best first."""

    moments: Moments
    covariances: Floats
    """(R, K, D, D), of the model, from the M-step before the moments."""
    log_likelihoods: Floats


class Search:
    """Candidates on some rows."""

    def __init__(
        self,
        data: Monomials,
        n_rows: float,
        models: list[str],
        guard: Guard,
        effort: Effort,
        rng: np.random.RandomState,
    ) -> None:
        self._data, self._n_rows, self._models = data, n_rows, models
        self._guard, self._effort, self._rng = guard, effort, rng
        whole = data.labelled(np.zeros((1, len(data.rows)), dtype=np.intp), 1)
        self._whitener = whitener_of(whole.covariances[0, 0])
        self.found: dict[Cell, Found] = {}

    def run(self, numbers: list[int]) -> None:
        """Search for all models and numbers of components."""
        if not self._effort.rounds:
            for k in numbers:
                fresh = seeded(self._data, k, self._effort.seeds if k > 1 else 1, self._rng)
                self._climb(k, {model: [fresh] for model in self._models})
        for _ in range(self._effort.rounds):
            for k in numbers:
                fresh = seeded(self._data, k, self._effort.seeds if k > 1 else 1, self._rng)
                self._climb(k, {model: [fresh, *self._from(model, k - 1, splits)] for model in self._models})
                self._exchange(k)
            for k in reversed(numbers[:-1]):
                if k > 1:
                    self._climb(k, {model: self._from(model, k + 1, merges) for model in self._models})
                    self._exchange(k)
            for _ in range(self._effort.exchanges):
                for k in numbers:
                    if k > 1:
                        self._climb(k, {model: self._from(model, k, exchanged) for model in self._models})
                        self._exchange(k)
        for k in numbers:
            self._finish(k)

    def _finish(self, k: int) -> None:
        """Let the best runs come to rest."""
        starts = {model: self.found[model, k].moments for model in self._models if (model, k) in self.found}
        if not starts:
            return
        batch = Batch.start(self._data, starts)
        with np.errstate(all="ignore"):
            batch.accelerate(self._effort.final)
            batch = batch.chosen(self._best(batch, self._effort.kept))
        self._store(k, batch)

    def _from(self, model: str, k: int, neighbours: Callable[[Moments], Moments]) -> list[Moments]:
        found = self.found.get((model, k))
        return [] if found is None else [neighbours(found.moments[:1])]

    def _exchange(self, k: int) -> None:
        """Start every model where the others ended."""
        if k == 1:
            return
        best = {
            model: self.found[model, k].moments[: self._effort.handed]
            for model in self._models
            if (model, k) in self.found
        }
        others = {model: [moments for other, moments in best.items() if other != model] for model in self._models}
        self._climb(k, others)

    def _climb(self, k: int, starts: dict[str, list[Moments]]) -> None:
        """Run EM from starts, dropping what lags, and keep the best."""
        some = {model: Moments.joined(parts) for model, parts in starts.items() if parts}
        if not some:
            return
        effort = self._effort
        batch = Batch.start(self._data, some)
        with np.errstate(all="ignore"):
            batch.iterate(effort.screen)
            for survivors, rounds in effort.stages:
                batch = batch.chosen(self._best(batch, survivors))
                if not len(batch.moments):
                    return
                batch.accelerate(rounds)
            batch = batch.chosen(self._best(batch, effort.kept))
        self._store(k, batch)

    def _best(self, batch: Batch, count: int) -> NDArray[np.intp]:
        """Return the best runs of each model that count, each optimum once."""
        d = batch.covariances.shape[-1]
        least = [self._guard.rows_wanted(model, d) / self._n_rows for model, _, _ in batch.groups]
        wanted = np.repeat(least, [count for _, count, _ in batch.groups])
        admitted = self._guard.admits(batch.moments.shares, batch.covariances, wanted, self._whitener)
        values = np.where(admitted, batch.log_likelihoods, -np.inf)
        return np.concatenate([span.start + _distinct(values[span])[:count] for _, span in batch.spans()])

    def _store(self, k: int, batch: Batch) -> None:
        """Add what was found to what was known."""
        for model, span in batch.spans():
            new = Found(batch.moments[span], batch.covariances[span], batch.log_likelihoods[span])
            old = self.found.get((model, k))
            if old is not None:
                new = Found(
                    Moments.joined([new.moments, old.moments]),
                    np.concatenate([new.covariances, old.covariances]),
                    np.concatenate([new.log_likelihoods, old.log_likelihoods]),
                )
            order = _distinct(new.log_likelihoods)[: self._effort.kept]
            if len(order):
                self.found[model, k] = Found(new.moments[order], new.covariances[order], new.log_likelihoods[order])


def _distinct(values: Floats) -> NDArray[np.intp]:
    """Return the order of values from the best, without those that are −inf or as good as equal to a better one."""
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > -np.inf]
    steps = np.diff(values[order], prepend=np.inf)
    return np.asarray(order[steps < -SAME])


def exchanged(found: Moments) -> Moments:
    """Return mixtures of as many components: two merged, and one split."""
    return splits(merges(found))


SAME = 1e-5
"""Mean log-likelihoods that differ by less are taken for one optimum."""
