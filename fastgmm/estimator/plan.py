"""From an estimator's parameters to what EM takes: settings in the rows' frame, and starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.online import online
from fastgmm.em.progressive import is_worth, progressive
from fastgmm.em.run import Settings, Start, first
from fastgmm.em.search import Search, parsed, searched
from fastgmm.errors import DataError
from fastgmm.estimator.checks import ONLINE
from fastgmm.initialise import start
from fastgmm.initialise.given import GivenStart
from fastgmm.initialise.overall import overall
from fastgmm.models import MODELS
from fastgmm.models.prior import Prior
from fastgmm.parameter_checks import random_state
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team

if TYPE_CHECKING:
    from fastgmm.estimator.gaussian_mixture import GaussianMixture

Floats = NDArray[np.float64]


def settings_of(estimator: GaussianMixture, model: str, rows: AbstractRows, workers: Team) -> Settings:
    """Return how EM is to run, with ridge and prior in the rows' frame."""
    ridge = estimator.reg_covar * rows.frame.scale**2
    prior = None if isinstance(estimator.prior, str) else estimator.prior
    if estimator.reg_covar_relative or isinstance(estimator.prior, str):
        mean, covariance = overall(rows, workers)
        if estimator.reg_covar_relative:
            ridge = ridge + estimator.reg_covar_relative * _variances(covariance, model)
        if isinstance(estimator.prior, str):
            prior = _mclust(mean, covariance, rows, estimator.n_components)
    if prior is not None:
        prior = _entering(prior, rows)
    seed = 0
    if estimator.assignment == "stochastic":
        seed = int(random_state(estimator.random_state, type(estimator).__name__).randint(1 << 31))
    return Settings(
        estimator.tol,
        estimator.max_iter,
        ridge,
        model,
        estimator.algorithm,
        estimator.skip_below,
        prior,
        bool(estimator.equal_weights),
        estimator.on_degenerate,
        estimator.acceleration,
        estimator.assignment,
        estimator.convergence,
        seed,
    )


def _variances(covariance: Floats, model: str) -> Floats:
    """Return what a relative ridge is a share of, (D,)."""
    variances = np.diagonal(covariance)
    return np.full_like(variances, variances.mean()) if MODELS[model].isotropic else variances


def _mclust(mean: Floats, covariance: Floats, rows: AbstractRows, n_components: int) -> Prior:
    """Return mclust's default prior in the user's units; its covariance is divided by n − 1, and diagonal if n ≤ D."""
    frame = rows.frame
    if rows.n_rows <= rows.n_features:
        covariance = np.diag(np.diagonal(covariance))
    unbiased = covariance * (rows.weight / (rows.weight - 1) if rows.weight > 1 else 1.0)
    return Prior.mclust(mean / frame.scale + frame.centre, unbiased / frame.scale[:, None] / frame.scale, n_components)


def _entering(prior: Prior, rows: AbstractRows) -> Prior:
    """Bring a prior of the user's units into the rows' frame."""
    if np.shape(prior.mean) != (rows.n_features,):
        raise DataError(f"the prior has a mean of shape {np.shape(prior.mean)}, but X has {rows.n_features} features.")
    return prior.rescaled(rows.frame.rows(prior.mean), rows.frame.scale)


def starts_of(
    estimator: Any,
    rows: AbstractRows,
    given: GivenStart,
    settings: Settings,
    workers: Team,
    rng: np.random.RandomState,
) -> list[Callable[[], Start]]:
    """Return the starts in order; each draws from the same stream when it is called."""
    k = estimator.n_components
    early = settings
    if not given.empty and settings.on_degenerate != "raise":  # what was given belongs to all K components
        early = replace(settings, on_degenerate="regularise")

    def make(rows: AbstractRows = rows) -> Start:
        if given.complete:
            return Start(given.over(None, rows.frame))
        if estimator.init_params == "kmeans" and is_worth(rows, k):
            found = progressive(rows, k, settings, rng, workers)
            if found is not None:
                return Start(given.over(found, rows.frame))
        if estimator.init_params == ONLINE:
            begun = online(rows, k, settings, rng, workers)
            return Start(given.over(begun.parameters, rows.frame), begun.degenerate)
        made = first(start(rows, k, estimator.init_params, rng, workers, moments=settings.moments), early)
        return replace(made, parameters=given.over(made.parameters, rows.frame))

    strategy = getattr(estimator, "search", None)  # variational Bayes has none
    if strategy is None:
        return [make] * estimator.n_init
    wanted = Search(strategy, *parsed(estimator.search_budget), given=not given.empty)
    return [lambda: searched(rows, make, wanted, settings, workers, rng, k)] * estimator.n_init
