"""`partial_fit`: one step of stepwise EM with each batch, in the frame of the first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import features
from fastgmm.backend import as_rows
from fastgmm.em.convergence import Status
from fastgmm.em.online import Stepwise, begin, implied
from fastgmm.em.run import RunResult, Settings
from fastgmm.errors import DataError
from fastgmm.estimator.checks import ONLINE, check_parameters
from fastgmm.estimator.framing import framed, last_fit, model_of, suited
from fastgmm.estimator.plan import settings_of
from fastgmm.frame import Frame
from fastgmm.initialise.given import GivenStart, given_start
from fastgmm.parameter_checks import random_state
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team, team

if TYPE_CHECKING:
    from fastgmm.estimator.gaussian_mixture import GaussianMixture


@dataclass(frozen=True, eq=False)
class Stream:
    """What an estimator keeps between two batches."""

    frame: Frame
    settings: Settings
    stepwise: Stepwise
    lower_bounds: tuple[float, ...] = ()
    batches: int = 0

    def taken(self, rows: AbstractRows, workers: Team, forgetting: float | None) -> Stream:
        """Return the stream after one more step."""
        statistics = rows.expectation(
            self.stepwise.parameters,
            workers,
            moments=self.settings.moments,
            skip_below=self.settings.skip_below,
        )
        return replace(self, stepwise=self.stepwise.after(statistics, self.settings, forgetting))


LONGEST = 1000
"""Steps whose likelihoods are kept: a stream may go on for ever."""


def step(
    estimator: GaussianMixture, X: Any, sample_weight: ArrayLike | None
) -> tuple[Stream, RunResult, AbstractRows, NDArray[np.object_] | None]:
    """Take a batch; return the stream after it, what is to be published, the rows, and their columns' names."""
    check_parameters(estimator)
    names = features.names_of(X)
    workers, stream = team(estimator.n_threads), estimator._stream
    if stream is not None or hasattr(estimator, "mixture_"):
        features.check(estimator, X)
        rows = as_rows(X, sample_weight, n_features=estimator.n_features_in_, weight_type=estimator.weight_type)
    else:
        rows = as_rows(X, sample_weight, min_rows=2, weight_type=estimator.weight_type)
    if stream is None:
        stream, rows = _begun(estimator, rows, workers)
    else:
        rows = rows.in_frame(stream.frame)
    if stream.batches or not np.isfinite(stream.stepwise.objective):  # which is the batch's that a stream begins with
        stream = stream.taken(rows, workers, estimator.forgetting)
    objective = stream.stepwise.objective
    history = (*stream.lower_bounds[-LONGEST + 1 :], objective)
    stream = replace(stream, lower_bounds=history, batches=stream.batches + 1)
    now = stream.stepwise
    result = RunResult(now.parameters, objective, stream.lower_bounds, Status.MAX_ITER, now.degenerate)
    return stream, result, rows, names


def _begun(estimator: GaussianMixture, rows: AbstractRows, workers: Team) -> tuple[Stream, AbstractRows]:
    """Return a stream that begins with the last fit, or else with this batch; and the rows in its frame."""
    model = model_of(estimator)
    if hasattr(estimator, "mixture_"):
        rows = suited(rows, model)
        settings = settings_of(estimator, model.name, rows, workers)
        return Stream(rows.frame, settings, _from_fit(estimator, rows, settings)), rows
    if rows.n_rows < estimator.n_components:
        raise DataError(
            f"The first batch must have a row for each component at least, but got n_components = "
            f"{estimator.n_components}, n_samples = {rows.n_rows}. Collect more rows before the first partial_fit."
        )
    rows = framed(estimator, rows)
    given = given_start(
        estimator.weights_init,
        estimator.means_init,
        estimator.precisions_init,
        estimator.n_components,
        rows.n_features,
        model.form,
    )
    settings = settings_of(estimator, model.name, rows, workers)
    return Stream(rows.frame, settings, _from_batch(estimator, rows, given, settings, workers)), rows


def _from_batch(
    estimator: GaussianMixture, rows: AbstractRows, given: GivenStart, settings: Settings, workers: Team
) -> Stepwise:
    """Begin with a batch, and what was given."""
    if given.complete:
        return _resting_on(given.over(None, rows.frame), 0.0, rows.weight, settings)
    rng = random_state(estimator.random_state, type(estimator).__name__)
    method = "kmeans" if estimator.init_params == ONLINE else estimator.init_params
    begun = begin(rows, estimator.n_components, settings, method, rng, workers)
    if given.empty:
        return begun
    return _resting_on(given.over(begun.parameters, rows.frame), 0.0, rows.weight, settings)


def _from_fit(estimator: GaussianMixture, rows: AbstractRows, settings: Settings) -> Stepwise:
    """Begin with the last fit, whose rows count as batches of the size of this one."""
    seen = estimator._seen
    return _resting_on(last_fit(estimator, rows), max(seen / rows.weight, 1.0), seen, settings)


def _resting_on(parameters: Parameters, steps: float, weight: float, settings: Settings) -> Stepwise:
    return Stepwise(parameters, implied(parameters, settings.moments), steps, weight)
