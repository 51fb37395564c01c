"""The verb `expectation` for other tools: rows in, statistics out, in the user's units."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastgmm.frame import Frame
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import team
from fastgmm.validation import check_rows, check_weights


def as_rows(
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    min_rows: int = 1,
    n_features: int | None = None,
    weight_type: str = "frequency",
) -> AbstractRows:
    """Check X and its weights, and wrap them."""
    if isinstance(X, AbstractRows):
        return X
    if hasattr(X, "__dask_graph__"):
        from fastgmm.rows.dask import collection_rows

        return collection_rows(X, sample_weight, min_rows=min_rows, n_features=n_features, weight_type=weight_type)
    array = check_rows(X, min_rows=min_rows, n_features=n_features)
    return ArrayRows(array, check_weights(sample_weight, len(array), weight_type))


def expectation(
    X: Any, parameters: Parameters, sample_weight: ArrayLike | None = None, *, n_threads: int | None = None
) -> SufficientStatistics:
    """Return the sufficient statistics of rows under a mixture: one pass over the data.

    Parameters
    ----------
    X : array-like of shape (N, D)
        float64 and float32 in C order are read in place, anything else is converted piece by piece.
    parameters : Parameters
        K components in D dimensions.
    sample_weight : array-like of shape (N,), optional
        How much each row counts.
    n_threads : int, optional
        Default: all processors this process may use. The result has the same bits for any number.

    Returns
    -------
    SufficientStatistics
        About ``parameters.means``.

    Raises
    ------
    DataError
        If X is not a finite numeric matrix of D columns.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgmm
    >>> p = fastgmm.Parameters([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
    >>> s = fastgmm.expectation([[0.0], [0.5], [4.0]], p)
    >>> np.round(s.sum_w, 3)
    array([1.998, 1.002])
    """
    rows = as_rows(X, sample_weight, n_features=parameters.n_features)
    frame = Frame.of(parameters)
    statistics = rows.expectation(frame.enter(parameters), team(n_threads), frame=frame)
    # float32 sums are about rounded means.
    return frame.leave_statistics(statistics.recentre(frame.rows(parameters.means)), parameters.means)
