"""Rows in pandas and polars data frames, column by column as they are asked for; imports neither."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError, DataTypeError
from fastgmm.rows.limits import CHUNK_BYTES
from fastgmm.rows.sources import AbstractSource, Chunk, chosen, real


def frame(df: Any, *, columns: Sequence[str] | None = None, weight: str | None = None) -> FrameSource:
    """Return rows of a data frame: some of its columns, and one that holds weights. The frame is not copied whole.

    Parameters
    ----------
    df : pandas.DataFrame or polars.DataFrame
    columns : sequence of str, optional
        The features, in this order. Default: all columns but `weight`.
    weight : str, optional
        The column of the rows' weights.

    Raises
    ------
    DataError, DataTypeError
        If a column is not there, holds no numbers, or misses some.
    """
    if not hasattr(df, "columns") or not hasattr(df, "shape"):
        raise DataTypeError(f"a data frame is needed, but {type(df).__name__} came; fastgmm.rows has other readers.")
    return FrameSource(df, columns, weight)


class FrameSource(AbstractSource):
    """Columns of a data frame."""

    local = True

    def __init__(self, df: Any, columns: Sequence[str] | None, weight: str | None) -> None:
        self.name = "the data frame"
        self._df, self._weight = df, weight
        self.columns = chosen(columns, list(df.columns), weight, self.name)
        self.weighted = weight is not None
        self.n_rows, self.n_features = len(df), len(self.columns)
        values, _ = matrix(_rows(df, 0, 1), self.columns, weight, self.name)
        self.dtype = real(values.dtype)

    def chunks(self) -> Iterator[Chunk]:
        """Convert some rows at a time."""
        assert self.n_rows is not None
        size = max(1, CHUNK_BYTES // (8 * self.n_features))
        for start in range(0, self.n_rows, size):
            stop = min(start + size, self.n_rows)
            values, weights = matrix(_rows(self._df, start, stop), self.columns or (), self._weight, self.name, start)
            yield Chunk(values, weights)


def _rows(df: Any, start: int, stop: int) -> Any:
    return df.iloc[start:stop] if hasattr(df, "iloc") else df[start:stop]


def matrix(
    df: Any, columns: Sequence[str], weight: str | None, name: str, first: int = 0
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return columns of a frame as an array (n, D), float32 if all are, and that of the weights."""
    found = [_column(df, column, name, first) for column in columns]
    narrow = all(values.dtype == np.float32 for values in found)
    X = np.empty((len(df), len(found)), dtype=np.float32 if narrow else np.float64)
    for d, values in enumerate(found):
        X[:, d] = values
    return X, None if weight is None else _column(df, weight, name, first).astype(np.float64)


def _column(df: Any, column: str, name: str, first: int) -> NDArray[Any]:
    """Return a column's numbers; `first` is the number of its first row, for messages."""
    values = df[column]
    nulls = np.asarray(values.isna() if hasattr(values, "isna") else values.is_null())
    # NaN is told from a missing value by the checks of all rows, where the column is one of floats.
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        if nulls.any() and not hasattr(values, "isna"):
            raise _missing(column, name, first + int(nulls.argmax()))
        return array
    if nulls.any():
        raise _missing(column, name, first + int(nulls.argmax()))
    try:
        if array.dtype.kind == "O":
            return array.astype(np.float64)
    except (TypeError, ValueError):
        pass
    raise DataTypeError(
        f"{name}: column {column!r} holds {getattr(values, 'dtype', array.dtype)}, not numbers. "
        "Encode it, or choose others by columns=[…]."
    )


def _missing(column: str, name: str, row: int) -> DataError:
    return DataError(
        f"{name}: column {column!r} misses its value in row {row}. Remove these rows or fill in the values."
    )
