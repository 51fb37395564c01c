"""The verb `expectation` for other tools: rows in, statistics out, in the user's units."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgmm.errors import DataError, DataTypeError
from fastgmm.frame import Frame
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.limits import span_bytes
from fastgmm.rows.memory import ArrayRows
from fastgmm.rows.sources import AbstractSource
from fastgmm.rows.stream import StreamedRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import team
from fastgmm.validation import check_rows, check_weights


def opened(X: Any) -> Any:
    """Return the source of rows that lie outside memory, or X itself."""
    if isinstance(X, AbstractRows | AbstractSource) or hasattr(X, "__dask_graph__"):
        return X
    if isinstance(X, np.ndarray):
        from fastgmm.rows.npy_files import mapped

        source = mapped(X)
        return X if source is None else source
    return _opened_by_kind(X)


def _opened_by_kind(X: Any) -> Any:
    """Open what is told by its library or its methods; nothing is imported that X has not come from."""
    from fastgmm.rows import arrow_tables, iterables, slices

    if isinstance(X, type):
        return iterables.chunks(X)
    _require_rows(X)
    if arrow_tables.is_arrow(X) and not hasattr(X, "null_count"):  # arrays of Arrow are no matrices
        return arrow_tables.arrow(X)
    if slices.is_sliceable(X):
        return slices.sliced(X)
    if hasattr(X, "__array__") or hasattr(X, "__len__"):
        return X
    if hasattr(X, "__arrow_c_stream__"):
        raise DataTypeError(
            f"{type(X).__module__}.{type(X).__name__} gives an Arrow stream, maybe once only. Give a callable that "
            "makes it: fit(lambda: stream)."
        )
    if isinstance(X, Iterator):
        return iterables.once(X)
    return iterables.chunks(X) if callable(X) else X


def _require_rows(X: Any) -> None:
    """Refuse what names rows, holds several sets of them, or has yet to make them."""
    kind = f"{type(X).__module__.partition('.')[0]}.{type(X).__name__}"
    if isinstance(X, str | os.PathLike):
        raise DataError(
            f"X is a path, {os.fspath(X)!r}, not rows. Give fastgmm.rows.npy(path), fastgmm.rows.parquet(path), or "
            "what another library reads from it."
        )
    if hasattr(X, "keys") and not hasattr(X, "shape"):
        names = ", ".join(repr(str(name)) for name in list(X.keys())[:5])
        raise DataTypeError(f"X is a {kind}, which holds rows by names ({names}). Give one of them: X[name].")
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        raise DataTypeError(f"X is a {kind}, whose rows are yet to be made. Give X.collect(), or a callable of chunks.")


def as_rows(
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    min_rows: int = 1,
    n_features: int | None = None,
    weight_type: str = "frequency",
    once: bool = False,
) -> AbstractRows:
    """Check X and its weights, and wrap them.

    Where `once` walking over the rows is all that is to be done, those outside memory are checked on the way.
    """
    if hasattr(X, "__dask_graph__"):
        from fastgmm.rows.dask import collection_rows

        return collection_rows(X, sample_weight, min_rows=min_rows, n_features=n_features, weight_type=weight_type)
    X = opened(X)
    if isinstance(X, AbstractRows):
        weights = None if sample_weight is None else check_weights(sample_weight, X.n_rows, weight_type)
        return X if weights is None else X.weighed_by(weights)
    if isinstance(X, AbstractSource):
        return _streamed(X, sample_weight, min_rows, n_features, weight_type, once)
    array = check_rows(X, min_rows=min_rows, n_features=n_features)
    return ArrayRows(array, check_weights(sample_weight, len(array), weight_type))


def _streamed(
    source: AbstractSource,
    sample_weight: ArrayLike | None,
    min_rows: int,
    n_features: int | None,
    weight_type: str,
    once: bool,
) -> AbstractRows:
    """Check a source by reading it, if that is not to be done later; if it is small, read it into memory."""
    if source.once and not (once and sample_weight is None):
        from fastgmm.rows.iterables import ONE_SHOT

        raise DataTypeError(ONE_SHOT.format(kind="X, an iterator,"))
    if n_features is not None and source.n_features != n_features:
        raise DataError(
            f"X has {source.n_features} features, but GaussianMixture is expecting {n_features} features as input. "
            "Pass the columns that were used in fit."
        )
    rows = StreamedRows(source)
    if once and sample_weight is None and not (source.weighted and weight_type == "reliability"):
        return rows
    found = rows.survey(hold=span_bytes())
    if found.n_rows < min_rows:
        raise DataError(
            f"Found array with {found.n_rows} sample(s) (shape={(found.n_rows, source.n_features)}) while a minimum "
            f"of {min_rows} is required by GaussianMixture."
        )
    weights = check_weights(sample_weight, found.n_rows, weight_type)
    if found.held is not None and not (source.weighted and weights is not None):
        X, read = found.held
        return ArrayRows(X, check_weights(read, found.n_rows, weight_type) if source.weighted else weights)
    if weights is not None:
        return rows.weighed_by(weights)
    if source.weighted and weight_type == "reliability":
        rows.scale_weights(found)
    return rows


def expectation(
    X: Any, parameters: Parameters, sample_weight: ArrayLike | None = None, *, n_threads: int | None = None
) -> SufficientStatistics:
    """Return the sufficient statistics of rows under a mixture: one pass over the data.

    Parameters
    ----------
    X : array-like of shape (N, D), or rows outside memory
        float64 and float32 in C order are read in place, anything else is converted piece by piece. Memory maps,
        sources of `fastgmm.rows`, and what they are made of are read in spans.
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
