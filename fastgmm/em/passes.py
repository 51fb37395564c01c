"""Passes: how a run of EM obtains the statistics of its iterations. All ways give the same statistics to rounding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.bounded_task import BoundedState, BoundedTask, Step, transport
from fastgmm.em.joint import expected_joint
from fastgmm.errors import DataError
from fastgmm.expectation_task import SKIP_BELOW, UNLABELLED
from fastgmm.labelling_task import LabellingTask
from fastgmm.packed import packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows, Trust
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

ALGORITHMS = ("auto", "dense", "bounded")
ASSIGNMENTS = ("soft", "hard", "stochastic")

FEWEST_FEATURES, FEWEST_FEATURES_AUTO = 9, 16
"""Below 9 features a density costs no more than its bound; below 16 `auto` does not try."""

BUDGET = 256 << 20
"""Bytes that bounds may take where nobody asked for them: 4 N K."""

WORK = 2e9
"""N K D² from which a fit is long enough to try bounds: some 20 ms an iteration."""

FIRST_TRY = 6
"""Iteration of the first try: before, parameters move too far for bounds to hold."""

PAYS = {16: 0.3, 24: 0.5, 48: 0.6}
"""Evaluated share of pairs up to which the bounded pass is kept, by the least number of features.

A listed pair costs 2.0 / 1.4 / 1.2 times a pair of the dense pass at D = 16 / 32 / 64 (Zen 5, cycles 29 / 62 / 190 for
15 / 45 / 158), a bound 0.8 cycles. Evaluated share and time against dense, per iteration: d16k128 0.20, 0.66; d32k32
0.08, 0.34; d64k32 0.03, 0.18; photograph's patches (D = 64) 0.30, 0.54.
"""


HOPE = 0.8
"""A try is made when the share of pairs that have a responsibility is below this part of what pays."""


State = Mapping[str, NDArray[Any]]
"""What passes know of those before, by names."""

BOUNDS = "bounds"
"""Name of the arrays in a state that passes renew in place."""


class AbstractPasses(ABC):
    """The expectation steps of one run."""

    evaluated: float = 1.0
    """Share of the pairs of rows and components that the last step computed."""

    @abstractmethod
    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Return the statistics of all rows under parameters in the coordinates of their frame."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that the bits of the next step depend on; bounds are not copied."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Go on from what `state` returned, as the passes that returned it would."""


class DensePasses(AbstractPasses):
    """Every pair, every time."""

    def __init__(self, rows: AbstractRows, team: Team, skip_below: float = SKIP_BELOW, moments: str = "full") -> None:
        self._rows, self._team, self._skip_below, self._moments = rows, team, skip_below, moments
        self._trust = Trust()
        self.active = 1.0
        """Share of pairs with a responsibility in the last step, for more than 8 features: bounds leave no fewer."""

    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Compute every pair."""
        statistics, sums = self._rows.taken(
            parameters, self._team, self._moments, self._trust, skip_below=self._skip_below
        )
        self.active = float(sums[1]) / (self._rows.n_rows * parameters.n_components)
        return statistics

    def state(self) -> dict[str, NDArray[Any]]:
        """Return which short cuts are trusted, and the share of pairs."""
        doubts = {} if self._trust.doubts is None else {"doubts": self._trust.doubts}
        return {"dense": np.array([self._trust.narrow, self._trust.pooled, self.active])} | doubts

    def restore(self, state: State) -> None:
        """Go on from a state."""
        narrow, pooled, self.active = (float(n) for n in state["dense"])
        self._trust = Trust(bool(narrow), bool(pooled), state.get("doubts"))


class BoundedPasses(AbstractPasses):
    """Only pairs that transported bounds do not rule out."""

    def __init__(self, rows: AbstractRows, n_components: int, team: Team, skip_below: float = SKIP_BELOW) -> None:
        self._rows, self._team, self._skip_below = rows, team, skip_below
        self._trust = Trust()
        self._state = BoundedState(rows.n_rows, rows.n_features, n_components)
        self._before: Parameters | None = None

    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Move the bounds along with the parameters, and compute what they leave."""
        before, k = self._before, parameters.n_components
        step = Step.none(k) if before is None else transport(before, parameters, self._team)
        settle = self._state.settles(step, self._skip_below)
        while True:
            mixture = self._rows.packed(parameters, narrow=self._trust.narrow)
            motion = self._state.move(step)
            task = BoundedTask(
                mixture, self._skip_below, state=self._state, motion=motion, share=self.evaluated, settle=settle,
                team=self._team,
            )  # fmt: skip
            statistics, sums = self._rows.summed(task, self._team)
            if not self._rows.distrusts(self._trust, task, statistics, sums, self._team):
                break
            step = Step.none(k)
        self._before = parameters
        self._state.learn(task, sums)
        self.evaluated = float(sums[1]) / (self._rows.n_rows * k)
        return statistics

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the bounds, and the parameters that they are about."""
        known = self._state
        found = {
            "bounded": np.array([self._trust.narrow, self._trust.pooled, self.evaluated]),
            "factor": known.factor,
            "offset": known.offset,
            BOUNDS: known.bounds,
            "homes": known.homes,
            "distances": known.distances,
        } | known.arrays()
        if self._before is not None:
            found |= {f"before.{name}": getattr(self._before, name) for name in ("weights", "means", "covariances")}
        return found

    def restore(self, state: State) -> None:
        """Go on from a state."""
        narrow, pooled, self.evaluated = (float(n) for n in state["bounded"])
        self._trust = Trust(bool(narrow), bool(pooled))
        for name in ("factor", "offset", BOUNDS, "homes", "distances"):
            setattr(self._state, name, state[name])
        self._state.restore(state)
        if "before.means" in state:
            self._before = Parameters(state["before.weights"], state["before.means"], state["before.covariances"])


class AutoPasses(AbstractPasses):
    """Dense passes; bounded ones for as long as they leave out enough. Depends on counts only, never on the clock."""

    def __init__(self, rows: AbstractRows, n_components: int, team: Team, skip_below: float = SKIP_BELOW) -> None:
        self._start = rows, n_components, team, skip_below
        self._pays = max((share for least, share in PAYS.items() if rows.n_features >= least), default=0.0)
        self._dense = DensePasses(rows, team, skip_below)
        self._bounded: BoundedPasses | None = None
        self._number, self._next_try, self._wait, self._age = 0, FIRST_TRY, FIRST_TRY, 0

    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Take the pass that pays."""
        self._number += 1
        if self._bounded is None and self._number >= self._next_try and self._dense.active < HOPE * self._pays:
            self._bounded, self._age = BoundedPasses(*self._start), 0
        if self._bounded is None:
            self.evaluated = 1.0
            return self._dense.expectation(parameters)
        statistics = self._bounded.expectation(parameters)
        self.evaluated = self._bounded.evaluated
        self._age += 1
        if self._age > 1 and self.evaluated > self._pays:  # the first pass knows no bounds yet
            self._bounded = None
            self._wait *= 2
            self._next_try = self._number + self._wait
        return statistics

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the counts that choose the passes, and those passes' states."""
        counts = np.array([self._number, self._next_try, self._wait, self._age], dtype=np.int64)
        bounded = {} if self._bounded is None else self._bounded.state()
        return {"auto": counts} | self._dense.state() | bounded

    def restore(self, state: State) -> None:
        """Go on from a state."""
        self._number, self._next_try, self._wait, self._age = (int(n) for n in state["auto"])
        self._dense.restore(state)
        if "bounded" in state:
            self._bounded = BoundedPasses(*self._start)
            self._bounded.restore(state)


class LabellingPasses(AbstractPasses):
    """Each row to one component, with all its weight: the most probable one, or one drawn by its responsibilities.

    The log-likelihood of hard assignments is Σ_i w_i max_k log π_k N(x_i | μ_k, Σ_k), the classification
    log-likelihood, which such steps raise; of draws it is the mixture's. All is computed in float64: the first is a
    difference of sums.
    """

    def __init__(self, rows: AbstractRows, team: Team, moments: str, seed: int | None) -> None:
        self._rows, self._team, self._moments, self._seed = rows, team, moments, seed
        self._number = 0

    def expectation(self, parameters: Parameters) -> SufficientStatistics:
        """Label and sum up all rows in one sweep."""
        rows, self._number = self._rows, self._number + 1
        inner = rows.task(parameters, self._moments, Trust(narrow=False, pooled=False), labels=UNLABELLED)
        mixture = packed_for_scoring(rows.frame, parameters)
        if self._seed is None:
            task = LabellingTask(inner, mixture)
            statistics = task.statistics(rows.sweep(task, self._team), rows.weight)
            log_likelihood = expected_joint(statistics, parameters) + statistics.weight * rows.frame.log_volume
        else:
            task = LabellingTask(inner, mixture, (self._seed, self._number), np.empty(rows.n_rows))
            statistics = task.statistics(rows.sweep(task, self._team), rows.weight)
            log_likelihood = float(task.log_likelihoods.sum()) + statistics.weight * mixture.offset
        return replace(statistics, log_likelihood=log_likelihood).reduced(self._moments)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the number of draws so far."""
        return {"labelling": np.array([self._number], dtype=np.int64)}

    def restore(self, state: State) -> None:
        """Go on from a state."""
        self._number = int(state["labelling"][0])


def passes(
    algorithm: str,
    rows: AbstractRows,
    n_components: int,
    team: Team,
    skip_below: float = SKIP_BELOW,
    moments: str = "full",
    assignment: str = "soft",
    seed: int = 0,
) -> AbstractPasses:
    """Return the passes for a run, whose statistics have second moments of the form `moments`.

    `seed` is of the draws of stochastic assignments. Raises as `check_algorithm` does.
    """
    if assignment != "soft":
        return LabellingPasses(rows, team, moments, seed if assignment == "stochastic" else None)
    check_algorithm(algorithm, rows.n_features, moments)
    if algorithm == "bounded":
        return BoundedPasses(rows, n_components, team, skip_below)
    if algorithm == "auto" and moments == "full" and may_pay(rows, n_components):
        return AutoPasses(rows, n_components, team, skip_below)
    return DensePasses(rows, team, skip_below, moments)


def check_algorithm(algorithm: str, n_features: int, moments: str) -> None:
    """Refuse bounds where they cannot pay.

    Raises
    ------
    DataError
        If there are too few features for them, or a density of these moments costs no more than its bound.
    """
    if algorithm != "bounded":
        return
    if moments != "full":
        raise DataError(
            "algorithm='bounded' is for full covariances: other densities cost no more than their bounds. Use 'auto'."
        )
    if n_features < FEWEST_FEATURES:
        raise DataError(
            f"algorithm='bounded' needs at least {FEWEST_FEATURES} features, but X has {n_features}; use 'auto' or "
            "'dense'."
        )


def may_pay(rows: AbstractRows, n_components: int) -> bool:
    """Return whether it is worth trying bounds on these rows."""
    n, d = rows.n_rows, rows.n_features
    work = n * n_components * d * d
    return d >= FEWEST_FEATURES_AUTO and n_components > 1 and work >= WORK and 4 * n * n_components <= BUDGET
