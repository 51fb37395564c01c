"""The M-step of variational Bayes: a posterior from a prior and statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.bayes.posterior import Posterior
from fastgmm.bayes.prior import Prior
from fastgmm.bayes.weights import WEIGHTS
from fastgmm.models.moments import EMPTY
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spread:
    """What the scale matrices of the Wishart posteriors are made of."""

    scatters: Floats
    """W_k about each component's own mean, in the form of the covariances."""
    counts: Floats
    """n_k, (K,)."""
    ridge: Floats
    """Added to each variance, (D,)."""
    away: Floats
    """Means less the prior's, (K, D)."""
    pull: Floats
    """n_k κ_0 / κ_k, (K,): how much `away` counts."""


def _full(spread: Spread) -> Floats:
    """Return W_k + n_k diag(ridge) + pull_k a_k a_kᵀ."""
    scales = spread.scatters + spread.pull[:, None, None] * (spread.away[:, :, None] * spread.away[:, None, :])
    diagonal = np.arange(len(spread.ridge))
    scales[:, diagonal, diagonal] += spread.counts[:, None] * spread.ridge
    return scales


def _tied(spread: Spread) -> Floats:
    """Return the mean over components of what `_full` returns."""
    pulled = (spread.away.T * spread.pull) @ spread.away
    ridge = np.diag(spread.counts.sum() * spread.ridge)
    return (spread.scatters + ridge + (pulled + pulled.T) / 2) / len(spread.counts)


def _diag(spread: Spread) -> Floats:
    """Return the diagonals of what `_full` returns."""
    return spread.scatters + spread.counts[:, None] * spread.ridge + spread.pull[:, None] * spread.away**2


def _spherical(spread: Spread) -> Floats:
    """Return the mean over features of what `_diag` returns."""
    return np.asarray(
        spread.scatters + spread.counts * spread.ridge.mean() + spread.pull * (spread.away**2).mean(axis=1)
    )


SCALES: dict[str, Callable[[Spread], Floats]] = {
    "full": _full,
    "tied": _tied,
    "diag": _diag,
    "spherical": _spherical,
}


def update(statistics: SufficientStatistics, prior: Prior, ridge: Floats) -> Posterior:
    """Return the posterior given a prior and the statistics of a pass, both in the same coordinates.

    With means x̄_k and a_k = x̄_k − m_0 (Bishop 2006, equations 10.58 to 10.63): κ_k = κ_0 + n_k,
    m_k = x̄_k − (κ_0 / κ_k) a_k, ν_k = ν_0 + n_k, ν_k Σ_k = V_0 + W_k + (n_k κ_0 / κ_k) a_k a_kᵀ.
    Tied covariances take the mean over components of the scatters, and of n_k, as in scikit-learn.

    Parameters
    ----------
    statistics : SufficientStatistics
        With second moments that tell those of the prior's form.
    prior : Prior
    ridge : array of shape (D,)
        Added to each variance, as `reg_covar` of scikit-learn: n_k times to the scale matrices.
    """
    statistics = statistics.reduced(prior.form)
    counts = statistics.sum_w + EMPTY * min(1.0, statistics.weight)
    means = statistics.origins + statistics.sum_x / counts[:, None]
    mean_precision = prior.mean_precision + counts
    away = means - prior.mean
    share = prior.mean_precision / mean_precision
    degrees = prior.degrees_of_freedom + counts
    if prior.form == "tied":
        degrees = np.full_like(counts, prior.degrees_of_freedom + counts.sum() / len(counts))
    spread = Spread(statistics.scatters, counts, ridge, away, counts * share)
    scales = prior.covariance + SCALES[prior.form](spread)
    divisors = degrees[0] if prior.form == "tied" else degrees.reshape(-1, *[1] * (scales.ndim - 1))
    return Posterior(
        WEIGHTS[prior.kind].update(prior.concentration, counts),
        means - share[:, None] * away,
        mean_precision,
        scales / divisors,
        degrees,
        prior.form,
    )
