"""Rows that were decoded once into a folder, and are read from there: for files that take longer to decode than to sum.

A folder holds `rows.npy`, `weights.npy` if there are any, and `source.json`, which says of what and is written last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.files import write_atomically
from fastgmm.rows.limits import CHUNK_BYTES
from fastgmm.rows.npy_files import NpyFile
from fastgmm.rows.outputs import HEADER_BYTES, NpyOutput
from fastgmm.rows.sources import AbstractReader, AbstractSource, Begun, Chunk, FileState, Floats

ROWS, WEIGHTS, SOURCE = "rows.npy", "weights.npy", "source.json"
NONE: Floats = np.empty(0)


class DecodedSource(AbstractSource):
    """A source's rows, kept in a folder: decoded when this is made, unless they are there.

    Parameters
    ----------
    source : AbstractSource
        What is kept; its number of rows is known.
    files : list of FileState
        What it reads. Where one of them is another than was decoded, all are decoded anew; where one changes while the
        rows are used, that is an error, as it is without a folder.
    weight : str or None
        The name of the column of weights.
    folder : path
        Made, if it is not there.

    Raises
    ------
    DataError
        If the folder cannot be written to, or the source cannot be read.
    """

    local = True

    def __init__(
        self, source: AbstractSource, files: list[FileState], weight: str | None, folder: str | os.PathLike[str]
    ) -> None:
        self._files, self._folder = files, Path(folder)
        self.name, self.columns, self.weighted = source.name, source.columns, source.weighted
        self.n_rows, self.n_features, self.dtype = source.n_rows, source.n_features, source.dtype
        told = {
            "files": [[os.path.abspath(file.path), file.size, file.changed] for file in files],
            "columns": list(source.columns or ()),
            "weight": weight,
            "dtype": str(source.dtype),
        }
        try:
            if not self._holds(told):
                self._fill(source, told)
        except OSError as error:
            raise DataError(
                f"{folder}: decoded rows cannot be kept there ({error.strerror or error}); choose another folder."
            ) from None
        self._rows = NpyFile(*self._place(ROWS, self.n_features), self.dtype, "C")
        self.paths = (*source.paths, *(os.fspath(self._folder / name) for name in (ROWS, WEIGHTS)))
        self._weights = NpyFile(*self._place(WEIGHTS, 1), np.dtype(np.float64), "C") if self.weighted else None

    def _place(self, name: str, width: int) -> tuple[str, int, tuple[int, int]]:
        return os.fspath(self._folder / name), HEADER_BYTES, (self.n_rows or 0, width)

    def _holds(self, told: dict[str, Any]) -> bool:
        """Return whether the folder has these rows, whole."""
        row_bytes = {ROWS: self.n_features * self.dtype.itemsize} | ({WEIGHTS: 8} if self.weighted else {})
        try:
            sizes = {name: os.stat(self._folder / name).st_size for name in row_bytes}
            same: bool = json.loads((self._folder / SOURCE).read_text()) == told
        except (FileNotFoundError, ValueError):
            return False
        return same and all(sizes[name] == HEADER_BYTES + (self.n_rows or 0) * row for name, row in row_bytes.items())

    def _fill(self, source: AbstractSource, told: dict[str, Any]) -> None:
        """Decode all rows; say of what at the end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / SOURCE).unlink(missing_ok=True)
        X, weights = self._room()
        with ExitStack() as stack:
            reader = stack.enter_context(closing(source.reader()))
            rows = stack.enter_context(NpyOutput(self._folder / ROWS, self.dtype, self.n_features))
            if self.weighted:
                weigh = stack.enter_context(NpyOutput(self._folder / WEIGHTS, np.dtype(np.float64), None))
            while count := reader.read_into(X, weights):
                rows.write(X[:count])
                if self.weighted:
                    weigh.write(weights[:count])
            reader.finish()
        write_atomically(self._folder / SOURCE, json.dumps(told).encode())

    def _room(self) -> tuple[NDArray[Any], Floats]:
        size = max(1, CHUNK_BYTES // (self.n_features * self.dtype.itemsize))
        return np.empty((size, self.n_features), self.dtype), np.empty(size if self.weighted else 0)

    def check(self) -> None:
        """Raise `DataError` if what was decoded is not as it was."""
        for file in self._files:
            file.check()

    def reader(self) -> AbstractReader:
        """Begin a walk."""
        self.check()
        return DecodedReader(self, self._rows.reader(), self._weights.reader() if self._weights else None)

    def chunks(self) -> Iterator[Chunk]:
        """Walk the rows."""
        X, weights = self._room()
        with closing(self.reader()) as reader:
            while count := reader.read_into(X, weights):
                yield Chunk(X[:count], weights[:count] if self.weighted else None)

    def pick(self, indices: NDArray[np.intp]) -> tuple[NDArray[Any], Floats] | None:
        """Read rows one by one, where they are few."""
        self.check()
        rows, weights = self._rows.pick(indices), self._weights.pick(indices) if self._weights else None
        if rows is None or (self.weighted and weights is None):
            return None
        return rows[0], NONE if weights is None else weights[0][:, 0].astype(np.float64)


class DecodedReader(AbstractReader):
    """A walk through the files of rows and of weights."""

    def __init__(self, source: DecodedSource, rows: AbstractReader, weights: AbstractReader | None) -> None:
        self._source, self._rows, self._weights = source, rows, weights

    def begin(self, X: NDArray[Any], weights: Floats) -> Begun:
        """Take the next rows' numbers."""
        count, rest = self._rows.begin(X, NONE)
        if self._weights is not None and weights.size:
            rest = [*rest, *self._weights.begin(weights[:, None], NONE)[1]]
        return count, rest

    def finish(self) -> None:
        """Raise `DataError` if a file changed."""
        self._source.check()
        for reader in self._each():
            reader.finish()

    def where(self, row: int) -> str:
        """Return nothing: the number of the row says it."""
        del row
        return ""

    def close(self) -> None:
        """Close the files."""
        for reader in self._each():
            reader.close()

    def _each(self) -> list[AbstractReader]:
        return [self._rows] if self._weights is None else [self._rows, self._weights]
