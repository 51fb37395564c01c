"""Rows in anything that has a shape and a dtype and can be sliced: HDF5 and Zarr arrays, TensorStore, xarray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastgmm.errors import DataError, DataTypeError
from fastgmm.rows.limits import CHUNK_BYTES
from fastgmm.rows.sources import AbstractSource, Chunk, real


def is_sliceable(X: Any) -> bool:
    """Return whether X is a matrix to be read by slices: it says what it holds, and does not lie in memory."""
    shape, dtype = getattr(X, "shape", None), getattr(X, "dtype", None)
    if not (isinstance(shape, tuple) and len(shape) == 2 and isinstance(dtype, np.dtype)):
        return False
    in_memory = ("__array_interface__", "__dlpack__", "__cuda_array_interface__", "tocsr")
    return hasattr(X, "__getitem__") and not any(hasattr(X, name) for name in in_memory)


def sliced(X: Any, *, columns: Sequence[str] | None = None) -> SlicedSource:
    """Return the rows of something that can be sliced, ``X[start:stop]``, to be read in every pass.

    Parameters
    ----------
    X : h5py.Dataset, zarr.Array, …
        With `shape` (N, D) and `dtype`. Slices are of whole storage chunks, where X tells their size by `chunks`.
    columns : sequence of str, optional
        Names of the D features.

    Raises
    ------
    DataError, DataTypeError
        If its shape is not (N, D), it does not hold numbers, or `columns` are not D names.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgmm
    >>> fastgmm.rows.sliced(np.zeros((4, 2))).shape
    (4, 2)
    """
    return SlicedSource(X, columns)


class SlicedSource(AbstractSource):
    """Slices of X."""

    def __init__(self, X: Any, columns: Sequence[str] | None = None) -> None:
        self.name = f"{type(X).__module__.partition('.')[0]}.{type(X).__name__}{_label(X)}"
        if len(X.shape) != 2:
            raise DataError(f"{self.name}: has shape {X.shape}, but rows are (N, D); choose or store a matrix.")
        if np.dtype(X.dtype).kind not in "biuf":
            raise DataTypeError(f"{self.name}: holds {X.dtype}, not numbers; store it as float.")
        self._X = X
        self.n_rows, self.n_features = (int(n) for n in X.shape)
        self.dtype = real(X.dtype)
        if columns is not None:
            self.columns = tuple(columns)
            if len(self.columns) != self.n_features:
                raise DataError(f"{self.name}: {len(self.columns)} names for {self.n_features} columns; give one each.")

    def chunks(self) -> Iterator[Chunk]:
        """Slice whole storage chunks, of some MiB."""
        assert self.n_rows is not None
        stored = getattr(self._X, "chunks", None)
        unit = stored[0] if stored and isinstance(stored[0], int) else 1
        row_bytes = self.n_features * np.dtype(self._X.dtype).itemsize
        size = max(1, CHUNK_BYTES // (unit * row_bytes)) * unit
        for start in range(0, self.n_rows, size):
            stop = min(start + size, self.n_rows)
            try:
                values = np.asarray(self._X[start:stop])
            except Exception as error:  # whatever the library raises for a file that is cut off or gone
                raise DataError(
                    f"{self.name}: rows {start} … {stop - 1} cannot be read ({error}); is the file whole?"
                ) from error
            if len(values) != stop - start:
                raise DataError(
                    f"{self.name}: rows {start} … {stop - 1} gave {len(values)} rows; it changed while it was read."
                )
            yield Chunk(values)


def _label(X: Any) -> str:
    """Return what the thing calls itself, and its file, if it says so."""
    name, file = getattr(X, "name", None), getattr(getattr(X, "file", None), "filename", None)
    return f" {name}{f' of {file}' if file else ''}" if isinstance(name, str) and name else ""
