"""Rows in Arrow tables, streams and datasets: the one file, with `parquet_files`, that imports pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError, DataTypeError, missing_extra
from fastgmm.rows.columns import Columns
from fastgmm.rows.limits import CHUNK_BYTES
from fastgmm.rows.sources import AbstractSource, Chunk, chosen


def pyarrow() -> Any:
    """Import pyarrow; ImportError that names the extra, if it is not installed."""
    try:
        import pyarrow
        import pyarrow.dataset
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "arrow") from None
    return pyarrow


def is_arrow(X: Any) -> bool:
    """Return whether X is pyarrow's: told without importing it."""
    return type(X).__module__.split(".")[0] == "pyarrow"


def arrow(data: Any, *, columns: Sequence[str] | None = None, weight: str | None = None) -> ArrowSource:
    """Return rows of Arrow data.

    Parameters
    ----------
    data : pyarrow.dataset.Dataset, pyarrow.Table or pyarrow.RecordBatch
        A dataset is scanned in every pass, with its partition columns and filters; its reader holds some row groups.
        For other streams give `fastgmm.rows.chunks` a callable that makes them.
    columns : sequence of str, optional
        The features, in this order. Default: all columns but `weight`.
    weight : str, optional
        The column of the rows' weights.

    Raises
    ------
    DataError, DataTypeError
        If a column is not there or holds no numbers, or `data` can be read once only.
    ImportError
        If pyarrow is not installed.
    """
    return ArrowSource(data, columns, weight)


class ArrowSource(AbstractSource):
    """Columns of a dataset or a table."""

    def __init__(self, data: Any, columns: Sequence[str] | None, weight: str | None) -> None:
        pa = pyarrow()
        self.name = f"the {type(data).__name__}"
        if isinstance(data, pa.RecordBatchReader | pa.dataset.Scanner):
            from fastgmm.rows.iterables import ONE_SHOT

            raise DataTypeError(f"{self.name}: {ONE_SHOT.format(kind='it')}")
        if isinstance(data, pa.RecordBatch):
            data = pa.Table.from_batches([data])
        if not isinstance(data, pa.Table | pa.dataset.Dataset):
            raise DataTypeError(
                f"{self.name} is neither a dataset nor a table of pyarrow. Give files to fastgmm.rows.parquet, and "
                "anything else as a callable that makes a stream: fastgmm.rows.chunks(lambda: …)."
            )
        self._data, self._weight = data, weight
        self.columns = chosen(columns, data.schema.names, weight, self.name)
        self.weighted, self.n_features = weight is not None, len(self.columns)
        self.dtype = dtype_of(data.schema, self.columns, weight, self.name)
        self.local = isinstance(data, pa.Table)
        self.n_rows = data.num_rows if self.local else None

    def chunks(self) -> Iterator[Chunk]:
        """Scan the columns that are asked for, in the order of the rows."""
        rows = max(1, CHUNK_BYTES // (8 * self.n_features))
        wanted = [*(self.columns or ()), *([] if self._weight is None else [self._weight])]
        wanted = list(dict.fromkeys(wanted))
        if self.n_rows is not None:
            first = 0
            for batch in self._data.select(wanted).to_batches(max_chunksize=rows):
                yield Chunk(*matrix(batch, self.columns or (), self._weight, self.name, first))
                first += batch.num_rows
            return
        scanner = self._data.scanner(columns=wanted, batch_size=rows, batch_readahead=2, fragment_readahead=1)
        place, first = "", 0
        try:
            for tagged in scanner.scan_batches():
                path = getattr(tagged.fragment, "path", "") or ""
                first = first if path == place else 0
                place, batch = path, tagged.record_batch
                yield Chunk(*matrix(batch, self.columns or (), self._weight, place or self.name, first), place, first)
                first += batch.num_rows
        except (OSError, pyarrow().ArrowException) as error:
            raise DataError(
                f"{place or self.name}: cannot be read any further than row {first} ({error}); is the file whole?"
            ) from error


def batches(stream: Any) -> Iterator[Any]:
    """Walk what has ``__arrow_c_stream__``."""
    return iter(pyarrow().RecordBatchReader.from_stream(stream))


def dtype_of(schema: Any, columns: Sequence[str], weight: str | None, name: str) -> np.dtype[Any]:
    """Return float32 if all columns are, else float64; refuse columns that hold no numbers."""
    types = pyarrow().types
    for column in (*columns, *([] if weight is None else [weight])):
        kind = schema.field(column).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)):
            raise DataTypeError(
                f"{name}: column {column!r} holds {kind}, not numbers. Encode it, or choose others by columns=[…]."
            )
    narrow = all(types.is_float32(schema.field(column).type) for column in columns)
    return np.dtype(np.float32 if narrow else np.float64)


def matrix(
    batch: Any, columns: Sequence[str], weight: str | None, name: str, first: int = 0
) -> tuple[Columns, NDArray[Any] | None]:
    """Return columns of a batch as rows (n, D), float32 if all are, and the array of their weights.

    Raises
    ------
    DataError
        Where a value is missing: its column and row, counted from `first`.
    """
    for column in (*columns, *([] if weight is None else [weight])):
        if column not in batch.schema.names:
            raise DataError(f"{name}: no column {column!r}; every part must have the same columns.")
    dtype = dtype_of(batch.schema, columns, weight, name)
    X = Columns(tuple(_numbers(batch.column(column), column, name, first) for column in columns), dtype)
    return X, None if weight is None else _numbers(batch.column(weight), weight, name, first).astype(np.float64)


def _numbers(array: Any, column: str, name: str, first: int) -> NDArray[Any]:
    if array.null_count:
        row = first + int(np.asarray(array.is_null()).argmax())
        raise DataError(
            f"{name}: column {column!r} misses its value in row {row}. Remove these rows or fill in the values."
        )
    types = pyarrow().types
    if types.is_decimal(array.type):
        array = array.cast(pyarrow().float64(), safe=False)
    return np.asarray(array.to_numpy(zero_copy_only=False))
