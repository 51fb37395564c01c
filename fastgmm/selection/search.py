"""The search over candidates: starts shared by all models of one K, and handed on to the neighbouring numbers.

Every (model, K) keeps its best few optima. A first round goes up, K = 1, 2, …, with seeds and splits of what K − 1
found; others go down, with merges of K + 1, and up again with splits. At each K models start where the others
ended. When neighbours have little left to hand on, cells raise children of their own optima: one generation, and more
where that or a neighbour has brought something better than the first round did. Then cells of many optima are refined
by what their neighbours know, models and numbers. No start is made twice of one optimum.
Runs are dropped early that lag behind, or head for an optimum that is known (`Archive`), and only those
are kept that are no accidents of a few rows (`Guard`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastgmm.selection.archive import Archive, units
from fastgmm.selection.batch import Batch, Limits, Moments, Monomials
from fastgmm.selection.children import spliced
from fastgmm.selection.crew import ALONE, Crew
from fastgmm.selection.effort import Effort
from fastgmm.selection.found import SAME, Found, distinct
from fastgmm.selection.guard import Guard, whitener_of
from fastgmm.selection.refinement import Refinement
from fastgmm.selection.starts import exchanges, merges, metrics, seeded, splits

Floats = NDArray[np.float64]
Cell = tuple[str, int]


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
        self._refinement = Refinement(data, np.stack(metrics(data)), effort, rng)
        self._units = units(data)
        self._spent = self._refined = 0.0
        self._vain: dict[Cell, int] = {}
        self._archives: dict[Cell, Archive] = {}
        self.found: dict[Cell, Found] = {}

    def run(self, numbers: list[int]) -> None:
        """Search for all models and numbers of components."""
        effort = self._effort
        for k in numbers:
            fresh = seeded(self._data, k, effort.seeds if k > 1 else 1, self._rng)
            self._climb(k, {model: [fresh, *self._from(model, k - 1, "split", splits)] for model in self._models})
            if effort.rounds:
                self._share(k)
        self._vain.clear()  # what is better than nothing says nothing
        for number in range(effort.rounds):
            if self._spent > effort.budget:
                break
            down = self._sweep(numbers[::-1], 1, number - effort.calm + 1)
            up = self._sweep(numbers, -1, 0)
            if not (down or up) and number >= effort.calm:
                break
        for k in numbers:
            self._finish(k)

    def _sweep(self, numbers: list[int], source: int, generation: int) -> bool:
        """Merge what K + 1 found, or split what K − 1 did, and raise a generation in all cells that do not rest.

        From the second generation on cells of many optima are refined. Returns whether anything is new.
        """
        new = False
        move, neighbours = ("merge", merges) if source > 0 else ("split", splits)
        for k in numbers:
            if k == 1:
                continue
            starts = {model: self._from(model, k + source, move, neighbours) for model in self._models}
            young = generation > 0 and self._spent <= self._effort.budget
            live = [model for model in self._models if young and self._restless(model, k)]
            before = {model: self.found[model, k].log_likelihoods[:WATCHED] for model in live}
            for model in live:
                starts[model] += self._children(model, k)
            new |= self._climb(k, starts, self._effort.grown if young else self._effort.survivors)
            if young and generation > 1:
                new |= self._refine(k)
            for model, values in before.items():
                same = np.array_equal(values, self.found[model, k].log_likelihoods[:WATCHED])
                self._vain[model, k] = self._idle(model, k) + 1 if same else 0
            self._share(k)
        return new

    def _restless(self, model: str, k: int) -> bool:
        return k > 2 and (model, k) in self.found and self._idle(model, k) < self._effort.patience

    def _idle(self, model: str, k: int) -> int:
        """Return how many generations were vain; a cell that was at its best at once is given one."""
        return self._vain.get((model, k), self._effort.patience - 1)

    def _children(self, model: str, k: int) -> list[Moments]:
        """Return children of the best optima of a cell."""
        found, effort = self.found[model, k], self._effort
        own = self._refinement.afresh(found, effort.renewed)
        better = self._idle(model, k) < effort.patience - 1
        some = found.untried("exchange", effort.exchanged, 1 if better else 0)
        made = [own, exchanges(some.moments, effort.neighbours, self._rng)] if len(some) else [own]
        return [*made, spliced(found.moments, effort.spliced, self._rng)] if len(found.moments) > 1 else made

    def _refine(self, k: int) -> bool:
        """Start cells of many optima from what their neighbours know, the richest first; return whether any is new.

        Nothing tells early which starts lead on: those that led to the best of VVI with nine components were anywhere
        among 900 by their likelihoods after eleven iterations, and most of VVV's not even within the guard's bounds. So
        all go on until they rest or are vain.
        """
        effort = self._effort
        known = {model: self._n_known(model, k) for model in self._models if k > 2}
        room = int((effort.refined * self._spent - self._refined) / (STEPS * self._price(k)))
        starts: dict[str, Moments] = {}
        for model in sorted(known, key=lambda model: -known[model]):
            if known[model] < effort.rich or room <= 0:
                break
            starts[model] = self._refinement.starts(self.found, model, k)[:room]
            room -= len(starts[model])
        if not starts:
            return False
        batch, before = Batch.start(self._data, starts, self._crew), self._spent
        self._take(batch, effort.screen[0], effort.rest, REST, self._limits(k, batch))
        self._refined, self._spent = self._refined + self._spent - before, before
        return self._keep(k, batch)

    def _n_known(self, model: str, k: int) -> int:
        """Return how many optima of a cell runs have ended in."""
        archive = self._archives.get((model, k))
        return 0 if archive is None or archive.rows is None or (model, k) not in self.found else len(archive.rows)

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
        each = k if move == "split" else k * (k - 1) // 2
        few = max(1, self._effort.neighbours // each) if each else 0
        some = found.untried(move, min(self._effort.split, few))
        return [neighbours(some.moments)] if len(some) else []

    def _share(self, k: int) -> None:
        """Start every model where the others ended."""
        if k == 1:
            return
        fresh = {}
        for model in self._models:
            if (found := self.found.get((model, k))) is not None:
                some = found.untried("share", self._effort.handed)
                if len(some):
                    fresh[model] = some.moments
        self._climb(k, {model: [some for other, some in fresh.items() if other != model] for model in self._models})

    def _climb(self, k: int, starts: dict[str, list[Moments]], survivors: int | None = None) -> bool:
        """Run EM from starts, without what is vain, and keep the best; return whether any is new."""
        some = {model: Moments.joined(parts) for model, parts in starts.items() if parts}
        if not some:
            return False
        effort = self._effort
        batch = Batch.start(self._data, some, self._crew)
        limits = self._limits(k, batch)
        self._take(batch, *effort.screen, REST, limits)
        chosen = self.best(batch, survivors or effort.survivors, effort.lenient)
        if not len(chosen):
            return False
        batch = batch.chosen(chosen)
        self._take(batch, 0, effort.rest, REST, limits[chosen])
        return self._keep(k, batch)

    def _keep(self, k: int, batch: Batch) -> bool:
        """Remember where runs ended, and keep the best; return whether any is new."""
        for model, span in batch.spans():
            self._archives.setdefault((model, k), Archive()).add(batch.log_likelihoods[span], batch.moments[span])
        return self._store(k, batch.chosen(self.best(batch, self._effort.kept)))

    def _limits(self, k: int, batch: Batch) -> Limits:
        """Return what runs must pass, the worst that is kept if there are enough, and what they need not find again."""
        bars = np.full(len(batch), -np.inf)
        known, ranges, at = [np.empty((0, 1 + len(self._units)))], np.zeros((len(batch), 2), dtype=np.int64), 0
        for model, span in batch.spans():
            found, archive = self.found.get((model, k)), self._archives.get((model, k))
            if found is not None and len(found.log_likelihoods) == self._effort.kept:
                bars[span] = found.log_likelihoods[-1]
            if archive is not None and archive.rows is not None:
                known.append(archive.rows)
                ranges[span] = at, at + len(archive.rows)
                at += len(archive.rows)
        return Limits(bars, self._units, np.concatenate(known), ranges)

    def _take(self, batch: Batch, plain: int, rounds: int, tolerance: float, limits: Limits | None = None) -> None:
        """Go on with runs, and count what that costs."""
        with np.errstate(all="ignore"):
            steps = batch.climb(plain, rounds, tolerance, limits)
        self._spent += steps * self._price(batch.moments.shares.shape[1])

    def _price(self, k: int) -> float:
        """Return how many operations an iteration takes, about."""
        d = self._data.rows.shape[1]
        return k * len(self._data.weights) * (d * d + 3 * d + 20)

    def best(self, batch: Batch, count: int, lenient: float = 1.0) -> NDArray[np.intp]:
        """Return the best runs of each model that count, or keep a share of the bounds, each optimum once."""
        d = batch.covariances.shape[-1]
        least = [self._guard.rows_wanted(model, d) / self._n_rows for model, _ in batch.groups]
        wanted = np.repeat(least, [count for _, count in batch.groups])
        admitted = self._guard.admits(
            batch.moments.shares, batch.covariances / lenient, wanted * lenient, self._whitener
        )
        values = np.where(admitted, batch.log_likelihoods, -np.inf)
        return np.concatenate([span.start + distinct(values[span])[:count] for _, span in batch.spans()])

    def _store(self, k: int, batch: Batch) -> bool:
        """Add what was found to what was known; return whether any is new."""
        new = False
        for model, span in batch.spans():
            found = Found(batch.moments[span], batch.covariances[span], batch.log_likelihoods[span])
            old = self.found.get((model, k))
            both = found.joined(found, self._effort.kept) if old is None else old.joined(found, self._effort.kept)
            new |= old is None or not np.array_equal(both.log_likelihoods, old.log_likelihoods)
            if len(both.log_likelihoods) and (old is None or both.log_likelihoods[0] - old.log_likelihoods[0] > SAME):
                self._vain[model, k] = 0
            if len(both.log_likelihoods):
                self.found[model, k] = both
        return new


STEPS = 30
"""Iterations of a run that is refined, about."""

WATCHED = 3
"""Optima of a cell that a generation is to change, or it was vain."""

REST = 1e-9
"""Gain of an iteration, a mean, at which a run rests."""
