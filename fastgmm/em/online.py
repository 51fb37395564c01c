"""Stepwise EM: a running mean of the statistics of batches, s ← (1 − η) s + η ŝ, and an M-step after each.

References
----------
Cappé, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. Journal of the
Royal Statistical Society B 71, 593-613.
Liang, P. and Klein, D. (2009). Online EM for unsupervised models. NAACL, 611-619.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.degeneracy import Degeneracy, spread
from fastgmm.em.run import Settings
from fastgmm.em.walk import MStep
from fastgmm.initialise import start
from fastgmm.initialise.lloyd import drawn
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

Floats = NDArray[np.float64]

EXPONENT = 0.6
"""α of η_t = (t + 2)^−α: in (½, 1], the smaller the sooner a bad start is forgotten, and the noisier the end."""

FIRST_ITERATIONS, FIRST_TOLERANCE = 50, 1e-3
"""EM on the first batch takes so many iterations at most, or ends when one gains less: the next batches do the rest."""

BATCH_ROWS, ROWS_PER_PARAMETER = 1 << 12, 4
"""A batch has so many rows at least, and so many for each parameter."""


@dataclass(frozen=True, eq=False)
class Stepwise:
    """Where stepwise EM stands, in the coordinates of one frame."""

    parameters: Parameters
    statistics: SufficientStatistics
    """The running mean, of weight 1; `parameters` are its M-step."""
    steps: float
    """Batches so far, or what they are worth: the larger, the less the next one counts."""
    weight: float
    """Of the rows that the mean rests on: what a prior is weighed against."""
    objective: float = -np.inf
    """Mean log-likelihood of the last batch under the parameters before it, with the density of a prior."""
    degenerate: tuple[Degeneracy, ...] = ()
    """Components that collapsed in the last step, and what was done."""

    @property
    def rate(self) -> float:
        """The η of the next batch."""
        return float((self.steps + 2) ** -EXPONENT)

    def after(self, batch: SufficientStatistics, settings: Settings, rate: float | None = None) -> Stepwise:
        """Take one step with the statistics of a batch under `parameters`.

        A given rate stays the same for ever, so that what is old fades: the mean rests on the last 1 / rate batches.

        Raises
        ------
        DegenerateComponentError
            If a component collapses, and the policy is to raise or cannot help.
        """
        eta = self.rate if rate is None else rate
        weight = (1.0 if rate is None else 1 - rate) * self.weight + batch.weight
        mean = blended(self.statistics, scaled(batch, 1 / batch.weight), eta)
        step = MStep(settings)
        found = step.take(scaled(mean, weight), self.parameters, int(self.steps) + 1)
        if step.restarts:
            mean = implied(found, settings.moments)
        objective = settings.objective(batch, self.parameters)
        return Stepwise(found, mean, self.steps + 1, weight, objective, step.degenerate)


def scaled(statistics: SufficientStatistics, factor: float) -> SufficientStatistics:
    """Return the statistics of rows that count `factor` times as much."""
    return replace(
        statistics,
        sum_w=statistics.sum_w * factor,
        sum_x=statistics.sum_x * factor,
        sum_xx=statistics.sum_xx * factor,
        log_likelihood=statistics.log_likelihood * factor,
        weight=statistics.weight * factor,
    )


def blended(old: SufficientStatistics, new: SufficientStatistics, rate: float) -> SufficientStatistics:
    """Return (1 − rate) old + rate new, about the origins of the new: the last means."""
    return scaled(new, rate) + scaled(old, 1 - rate)


def implied(parameters: Parameters, form: str) -> SufficientStatistics:
    """Return statistics of weight 1, with second moments of a form, that have these parameters for their M-step."""
    weights, means = parameters.weights, parameters.means
    if form in ("diag", "spherical"):
        moments = weights[:, None] * parameters.variances
        moments = moments.mean(axis=1) if form == "spherical" else moments
    else:
        moments = weights[:, None, None] * parameters.matrices
        moments = moments.sum(axis=0) if form == "tied" else moments
    return SufficientStatistics(means, weights, np.zeros_like(means), moments, 0.0, 1.0, form)


def widened(statistics: SufficientStatistics) -> SufficientStatistics:
    """Return statistics in which each component has D + 1 rows more, about its mean and as wide as all rows.

    So a component of one row has a covariance; of many rows, or after some steps, nothing is left of it.
    """
    k, d = statistics.origins.shape
    counts = np.maximum(statistics.sum_w, np.finfo(np.float64).tiny)
    means = statistics.origins + statistics.sum_x / counts[:, None]
    more, variances = d + 1.0, spread(statistics)
    extra = {
        "diag": variances, "spherical": variances.mean(), "full": np.diag(variances), "tied": k * np.diag(variances)
    }[statistics.form]  # fmt: skip
    return replace(
        statistics,
        origins=means,
        sum_w=statistics.sum_w + more,
        sum_x=np.zeros((k, d)),
        sum_xx=statistics.scatters + more * extra,
        weight=statistics.weight + more * k,
    )


def begin(
    rows: AbstractRows, n_components: int, settings: Settings, method: str, rng: np.random.RandomState, team: Team
) -> Stepwise:
    """Start from a batch: its rows are assigned to centres, and EM improves on that, with components kept wide."""
    step, before = MStep(settings), -np.inf
    found = step.take(widened(start(rows, n_components, method, rng, team, moments=settings.moments)), None, 0)
    for _ in range(FIRST_ITERATIONS):
        statistics = rows.expectation(found, team, moments=settings.moments, skip_below=settings.skip_below)
        objective = settings.objective(statistics, found)
        found = step.take(widened(statistics), None if step.restarts else found, 0)
        if objective - before < FIRST_TOLERANCE:
            break
        before = objective
    mean = implied(found, settings.moments)
    return Stepwise(found, mean, 0.0, rows.weight, objective, step.degenerate)


def stepwise(
    rows: AbstractRows,
    settings: Settings,
    team: Team,
    begun: Stepwise,
    rng: np.random.RandomState,
    *,
    passes: int = 1,
    batch_rows: int | None = None,
) -> Stepwise:
    """Take steps with batches of rows in a random order until each row was seen `passes` times.

    Raises
    ------
    DegenerateComponentError
        As `Stepwise.after`.
    """
    now, size = begun, batch_rows or batch_size(begun.parameters.n_components, rows.n_features)
    n_batches = max(1, rows.n_rows // size)
    for _ in range(passes):
        order = rng.permutation(rows.n_rows)
        for chosen in np.array_split(order, n_batches):
            X, weights = rows.take(np.sort(chosen))
            if weights.size and not weights.any():
                continue
            batch = ArrayRows(X, weights if weights.size else None).in_frame(rows.frame)
            statistics = batch.expectation(
                now.parameters, team, moments=settings.moments, skip_below=settings.skip_below
            )
            now = now.after(statistics, settings)
    return now


def online(
    rows: AbstractRows, n_components: int, settings: Settings, rng: np.random.RandomState, team: Team
) -> Stepwise:
    """Return where one pass of stepwise EM over all rows leads, from a batch of them."""
    sample = drawn(rows, batch_size(n_components, rows.n_features), rng).in_frame(rows.frame)
    begun = begin(sample, n_components, settings, "kmeans", rng, team)
    return stepwise(rows, settings, team, begun, rng)


def batch_size(n_components: int, n_features: int) -> int:
    """Return how many rows a batch should have."""
    return max(BATCH_ROWS, ROWS_PER_PARAMETER * n_components * (n_features + 1) * (n_features + 2) // 2)
