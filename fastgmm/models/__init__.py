"""The verb *maximise*: parameters from statistics. One covariance model a file, and the table of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.full import full
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]

MODELS: dict[str, Callable[[SufficientStatistics, Floats], Parameters]] = {"VVV": full}
"""Celeux and Govaert's names (volume, shape, orientation) → (statistics, ridge (D,)) → parameters."""


def maximise(statistics: SufficientStatistics, model: str = "VVV", *, reg_covar: float | Floats = 1e-6) -> Parameters:
    """Return the parameters that maximise the expected log-likelihood given the statistics.

    Parameters
    ----------
    statistics : SufficientStatistics
    model : {"VVV"}
        Covariance model: VVV, a free covariance for each component.
    reg_covar : float or array of shape (D,)
        Added to the variances (the diagonals), in their units.

    Raises
    ------
    ValueError
        For an unknown model, a negative `reg_covar`, or statistics of no rows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgmm
    >>> X = fastgmm.datasets.load_faithful()
    >>> start = fastgmm.Parameters([1.0], X[:1], [np.eye(2)])
    >>> fitted = fastgmm.maximise(fastgmm.expectation(X, start), reg_covar=0.0)
    >>> np.allclose(fitted.covariances[0], np.cov(X.T, bias=True))
    True
    """
    if model not in MODELS:
        known = ", ".join(sorted(MODELS))
        raise ValueError(
            f"model must be one of {known}, but is {model!r}; the other covariance families are not there yet."
        )
    ridge = np.broadcast_to(np.asarray(reg_covar, dtype=np.float64), (statistics.n_features,))
    if not (np.isfinite(ridge).all() and (ridge >= 0).all()):
        raise ValueError(f"reg_covar must be finite and not negative, but is {reg_covar!r}.")
    if statistics.is_zero:
        raise ValueError("the statistics count no rows; add those of at least one pass over data.")
    return MODELS[model](statistics, ridge)
