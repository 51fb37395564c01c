"""The search over candidates: starts shared by all models of one K, and handed on to the neighbouring numbers.

Every (model, K) keeps its best few optima. A round goes up, K = 1, 2, …, with seeds and splits of what K − 1 found, and
down, with merges of what K + 1 found. At each K models start where the others ended, and from their own optima with two
components merged and one split, until nothing is new; no start is made twice of one optimum. Runs that lag
behind are dropped early, and only those are kept that are no accidents of a few rows (`Guard`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.batch import Batch, Moments, Monomials
from fastgmm.selection.crew import ALONE, Crew
from fastgmm.selection.guard import Guard, whitener_of
from fastgmm.selection.starts import exchanged, merges, seeded, splits

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Cell = tuple[str, int]
Stages = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Effort:
    """How long to search."""

    seeds: int = 12
    """Fresh starts of each K."""
    rounds: int = 4
    """Times to go up and down, at most. None: seeds and splits only."""
    across: int = 2
    """Times to exchange components of one K in a row, at most."""
    kept: int = 6
    """Optima of each cell that are known."""
    handed: int = 6
    """How many of them other models start from."""
    split: int = 2
    """How many of them the neighbouring numbers start from."""
    exchanged: int = 150
    """Starts, about, that are made by exchanging components of a cell's best optima; of one at least."""
    screen: int = 4
    """Plain iterations of all starts."""
    stages: Stages = ((48, 4, 0), (16, 0, 3), (6, 0, 60))
    """How many runs of a cell are left, and the plain iterations and rounds of SQUAREM that they then take at most."""
    lenient: float = 1.0
    """Share of the guard's bounds that runs must keep on their way."""
    final: int = 300
    """Rounds of what is known of each cell, at the end, at most."""
    budget: float = 4e10
    """Operations, about, after which no round is begun."""


@dataclass(eq=False)
class Found:
    """The best optima of a cell, best first."""

    moments: Moments
    covariances: Floats
    """(R, K, D, D), of the model, from the M-step before the moments."""
    log_likelihoods: Floats
    tried: dict[str, Booleans] = field(default_factory=dict)
    """Whether starts were made of each, (R,), by what was made."""

    def __post_init__(self) -> None:
        for move in ("share", "split", "merge", "exchange"):
            self.tried.setdefault(move, np.zeros(len(self.log_likelihoods), dtype=np.bool_))

    def untried(self, move: str, count: int) -> Moments:
        """Return those of the best few that were not tried, and mark them."""
        tried = self.tried[move]
        which = np.flatnonzero(~tried[:count])
        tried[which] = True
        return self.moments[which]

    def joined(self, other: Found, count: int) -> Found:
        """Return the best of both; of equal ones that which is here."""
        values = np.concatenate([self.log_likelihoods, other.log_likelihoods])
        order = _distinct(values)[:count]
        return Found(
            Moments.joined([self.moments, other.moments])[order],
            np.concatenate([self.covariances, other.covariances])[order],
            values[order],
            {move: np.concatenate([self.tried[move], other.tried[move]])[order] for move in self.tried},
        )


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
        crew: Crew = ALONE,
    ) -> None:
        self._data, self._n_rows, self._models = data, n_rows, models
        self._guard, self._effort, self._rng, self._crew = guard, effort, rng, crew
        whole = data.labelled(np.zeros((1, len(data.rows)), dtype=np.intp), 1)
        self._whitener = whitener_of(whole.covariances[0, 0])
        self._spent = 0.0
        self.found: dict[Cell, Found] = {}

    def run(self, numbers: list[int]) -> None:
        """Search for all models and numbers of components."""
        for k in numbers:
            fresh = seeded(self._data, k, self._effort.seeds if k > 1 else 1, self._rng)
            self._climb(k, {model: [fresh, *self._from(model, k - 1, "split", splits)] for model in self._models})
            if self._effort.rounds:
                self._settle(k)
        for number in range(self._effort.rounds):
            if self._spent > self._effort.budget:
                break
            for k in numbers[1:] if number else []:
                self._visit(k, k - 1, "split", splits)
            for k in reversed(numbers[:-1]):
                self._visit(k, k + 1, "merge", merges)
        for k in numbers:
            self._finish(k)

    def _visit(self, k: int, source: int, move: str, neighbours: Callable[[Moments], Moments]) -> None:
        """Start from neighbours of what another number of components found."""
        if k > 1 and self._climb(k, {model: self._from(model, source, move, neighbours) for model in self._models}):
            self._settle(k)

    def _settle(self, k: int) -> None:
        """Let models share, and exchange components, until nothing is new."""
        self._share(k)
        for _ in range(self._effort.across if k > 2 else 0):
            if not self._climb(k, {model: self._from(model, k, "exchange", exchanged) for model in self._models}):
                return
            self._share(k)

    def _finish(self, k: int) -> None:
        """Let the best runs come to rest."""
        starts = {model: self.found[model, k].moments for model in self._models if (model, k) in self.found}
        if not starts:
            return
        batch = Batch.start(self._data, starts, self._crew)
        self._take(batch, 0, self._effort.final, REST)
        best = batch.chosen(self.best(batch, self._effort.kept))
        for model in starts:  # some were on their way to where they do not count
            del self.found[model, k]
        for model, span in best.spans():
            self.found[model, k] = Found(best.moments[span], best.covariances[span], best.log_likelihoods[span])

    def _from(self, model: str, k: int, move: str, neighbours: Callable[[Moments], Moments]) -> list[Moments]:
        """Return starts of what a model found and no starts were made of yet."""
        found = self.found.get((model, k))
        if found is None:
            return []
        count = self._effort.split
        if move == "exchange":
            count = max(1, self._effort.exchanged // (k * (k - 1) ** 2 // 2))
        some = found.untried(move, count)
        return [neighbours(some)] if len(some) else []

    def _share(self, k: int) -> None:
        """Start every model where the others ended, until nothing changes."""
        if k == 1:
            return
        for _ in range(SHARED):
            fresh = {}
            for model in self._models:
                if (found := self.found.get((model, k))) is not None:
                    some = found.untried("share", self._effort.handed)
                    if len(some):
                        fresh[model] = some
            if not self._climb(
                k, {model: [some for other, some in fresh.items() if other != model] for model in self._models}
            ):
                return

    def _climb(self, k: int, starts: dict[str, list[Moments]]) -> bool:
        """Run EM from starts, dropping what lags, and keep the best; return whether any is new."""
        some = {model: Moments.joined(parts) for model, parts in starts.items() if parts}
        if not some:
            return False
        effort = self._effort
        batch = Batch.start(self._data, some, self._crew)
        self._take(batch, effort.screen, 0)
        for survivors, plain, rounds in effort.stages:
            batch = batch.chosen(self.best(batch, survivors, effort.lenient))
            if not len(batch):
                return False
            self._take(batch, plain, rounds, REST)
        return self._store(k, batch.chosen(self.best(batch, effort.kept)))

    def _take(self, batch: Batch, plain: int, rounds: int, tolerance: float = 0.0) -> None:
        """Go on with runs, and count what that costs."""
        _, k, d = batch.moments.means.shape
        with np.errstate(all="ignore"):
            steps = batch.climb(plain, rounds, tolerance)
        self._spent += steps * k * len(self._data.weights) * (d * d + 3 * d + 20)

    def best(self, batch: Batch, count: int, lenient: float = 1.0) -> NDArray[np.intp]:
        """Return the best runs of each model that count, or keep a share of the bounds, each optimum once."""
        d = batch.covariances.shape[-1]
        least = [self._guard.rows_wanted(model, d) / self._n_rows for model, _ in batch.groups]
        wanted = np.repeat(least, [count for _, count in batch.groups])
        admitted = self._guard.admits(
            batch.moments.shares, batch.covariances / lenient, wanted * lenient, self._whitener
        )
        values = np.where(admitted, batch.log_likelihoods, -np.inf)
        return np.concatenate([span.start + _distinct(values[span])[:count] for _, span in batch.spans()])

    def _store(self, k: int, batch: Batch) -> bool:
        """Add what was found to what was known; return whether any is new."""
        new = False
        for model, span in batch.spans():
            found = Found(batch.moments[span], batch.covariances[span], batch.log_likelihoods[span])
            old = self.found.get((model, k))
            both = found.joined(found, self._effort.kept) if old is None else old.joined(found, self._effort.kept)
            new |= old is None or not np.array_equal(both.log_likelihoods, old.log_likelihoods)
            if len(both.log_likelihoods):
                self.found[model, k] = both
        return new


def _distinct(values: Floats) -> NDArray[np.intp]:
    """Return the order of values from the best, without those that are −inf or as good as equal to a better one."""
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > -np.inf]
    ordered, new = values[order], np.ones(len(order), dtype=np.bool_)
    new[1:] = ordered[:-1] - ordered[1:] > SAME
    return np.asarray(order[new])


SAME = 1e-5
"""Mean log-likelihoods that differ by less are taken for one optimum."""

REST = 1e-9
"""Gain of an iteration, a mean, at which a run rests."""

SHARED = 3
"""Times that models start where the others ended, in a row."""
