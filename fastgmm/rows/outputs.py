"""Results that are written as they come, to `.npy` or Parquet: whole, or not at all."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.files import replacing

HEADER_BYTES = 128
"""Of a `.npy` file: room for any number of rows, which is known at the end only."""


class AbstractOutput(ABC):
    """A file beside its final place, moved there when all rows are in it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._whole = ExitStack()
        try:
            self._file = self._whole.enter_context(replacing(path))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise DataError(f"{path} cannot be written: {reason}; choose another place.") from None

    @abstractmethod
    def write(self, values: NDArray[Any]) -> None:
        """Append the results of some rows, (n,) or (n, K)."""

    @abstractmethod
    def _finish(self) -> None:
        """Complete the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._whole.__exit__(kind, error, at)
            return
        with self._whole:
            self._finish()


class NpyOutput(AbstractOutput):
    """An array (N,) or (N, K)."""

    def __init__(self, path: str | os.PathLike[str], dtype: np.dtype[Any], width: int | None) -> None:
        super().__init__(path)
        self._dtype, self._width, self._rows = dtype, width, 0
        self._file.write(b"\0" * HEADER_BYTES)

    def write(self, values: NDArray[Any]) -> None:
        """Append rows."""
        self._rows += len(values)
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)

    def _finish(self) -> None:
        shape = (self._rows,) if self._width is None else (self._rows, self._width)
        facts = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        start = np.lib.format.magic(1, 0) + (HEADER_BYTES - 10).to_bytes(2, "little")
        self._file.seek(0)
        self._file.write((start + repr(facts).encode()).ljust(HEADER_BYTES - 1) + b"\n")


class ParquetOutput(AbstractOutput):
    """One column, or K of them."""

    def __init__(self, path: str | os.PathLike[str], dtype: np.dtype[Any], names: list[str]) -> None:
        from fastgmm.rows.arrow_tables import pyarrow

        self._pa = pyarrow()
        super().__init__(path)
        self._dtype = dtype
        self._schema = self._pa.schema([(name, self._pa.from_numpy_dtype(dtype)) for name in names])
        self._writer = self._pa.parquet.ParquetWriter(self._file, self._schema)

    def write(self, values: NDArray[Any]) -> None:
        """Append a row group."""
        columns = np.asarray(values, dtype=self._dtype).reshape(len(values), -1).T
        arrays = [self._pa.array(np.ascontiguousarray(column)) for column in columns]
        self._writer.write_batch(self._pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def _finish(self) -> None:
        self._writer.close()


def check_output(path: str | os.PathLike[str]) -> None:
    """Raise `DataError` if results cannot be written to a file of this name."""
    if Path(path).suffix not in (".npy", ".parquet"):
        raise DataError(f"out={os.fspath(path)!r}: must end in .npy or .parquet, which says how it is written.")
    if os.path.isdir(path):
        raise DataError(f"out={os.fspath(path)!r} is a folder; name a file.")


def check_apart(path: str | os.PathLike[str], files: Iterable[str]) -> None:
    """Raise `DataError` if results would take the place of a file that rows are read from."""
    for file in files:
        if os.path.exists(path) and os.path.exists(file) and os.path.samefile(path, file):
            raise DataError(f"out={os.fspath(path)!r} is the file that the rows are read from; name another.")


def output(path: str | os.PathLike[str], dtype: Any, name: str, width: int | None) -> AbstractOutput:
    """Open a file for results (N,) or (N, `width`), by its suffix; columns of Parquet are `name`, or `name`0, ….

    Raises
    ------
    DataError
        If its suffix is neither, or its folder cannot be written to.
    ImportError
        If it is Parquet, and pyarrow is not installed.
    """
    check_output(path)
    if Path(path).suffix == ".npy":
        return NpyOutput(path, np.dtype(dtype), width)
    names = [name] if width is None else [f"{name}{k}" for k in range(width)]
    return ParquetOutput(path, np.dtype(dtype), names)
