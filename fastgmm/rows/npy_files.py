"""Rows in a `.npy` file, or in a memory map of one: read, not mapped, so that a pass takes a few spans of memory.

A file that is cut off under a map ends the process; one that is cut off while it is read is an error.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from functools import partial
from threading import Lock
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.rows.limits import CHUNK_BYTES
from fastgmm.rows.sources import AbstractReader, AbstractSource, Begun, Chunk, FileState, Floats, real
from fastgmm.rows.tables import read_table

SEEK_BYTES = 64 << 10
"""What reading past costs no more than a seek: rows are picked one by one where fewer than one in so many bytes is."""


def npy(path: str | os.PathLike[str]) -> NpyFile:
    """Return the rows of a `.npy` file, to be read in every pass.

    Parameters
    ----------
    path : path
        Of a file that `numpy.save` wrote: an array (N, D) of numbers.

    Raises
    ------
    DataError
        If it is not such a file, or not a whole one.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgmm
    >>> np.save("rows.npy", np.arange(12.0).reshape(4, 3))
    >>> fastgmm.rows.npy("rows.npy").shape
    (4, 3)
    """
    if not os.fspath(path).lower().endswith(".npy"):
        raise DataError(f"{path}: not a .npy file by its name; rename it, or use another reader of fastgmm.rows.")
    array = read_table(path).values
    if array.ndim != 2:
        raise DataError(f"{path}: holds an array of shape {array.shape}, but rows are (N, D); reshape and save it.")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: holds {array.dtype}, not numbers; save X.astype(float) instead.")
    order = "C" if array.flags.c_contiguous else "F"
    return NpyFile(os.fspath(path), getattr(array, "offset", 0), array.shape, array.dtype, order)


def mapped(X: NDArray[Any]) -> NpyFile | None:
    """Return the file behind a memory map, or a run of rows of one; None where X cannot be read from a file instead."""
    root: Any = X
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not (isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap) and root.mode in ("r", "r+")):
        return None
    if X.ndim != 2 or X.dtype.kind not in "biuf" or not X.size or root.filename is None:
        return None
    if not X.flags.c_contiguous and not (X.flags.f_contiguous and X.size == root.size):
        return None
    offset = root.offset + X.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    order = "C" if X.flags.c_contiguous else "F"
    try:
        source = NpyFile(os.fspath(root.filename), offset, X.shape, X.dtype, order)
        return source if source.holds(X) else None
    except (DataError, OSError):  # the file is gone, and lives on in the map only
        return None


class NpyFile(AbstractSource):
    """An array (N, D) in a file, from some byte on."""

    local = True

    def __init__(self, path: str, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], order: str) -> None:
        self.name, self.paths = path, (path,)
        self.offset, self.order, self.stored = offset, order, dtype
        self.n_rows, self.n_features = shape
        self.dtype = real(dtype)
        self.state = FileState.of(path)
        self._row_bytes = self.n_features * dtype.itemsize

    def holds(self, X: NDArray[Any]) -> bool:
        """Return whether the file still has the first and the last row of X, so that it is the one that was mapped."""
        if self.state.size < self.offset + X.nbytes:
            return False
        with self.open() as file:
            ends = (0, len(X) - 1)
            return all(self._rows(file, row, row + 1).tobytes() == X[row : row + 1].tobytes() for row in ends)

    def open(self) -> IO[bytes]:
        """Open the file; `DataError` if it vanished or changed."""
        self.state.check()
        return open(self.name, "rb", buffering=0)

    def reader(self) -> AbstractReader:
        """Begin a walk."""
        return NpyReader(self)

    def chunks(self) -> Iterator[Chunk]:
        """Walk the rows as they are stored."""
        assert self.n_rows is not None
        with self.open() as file:
            for start, stop in self._cuts(self.n_rows):
                yield Chunk(self._rows(file, start, stop))

    def _rows(self, file: IO[bytes], start: int, stop: int) -> NDArray[Any]:
        """Read rows start … stop−1 as they are stored."""
        assert self.n_rows is not None
        item = self.stored.itemsize
        if self.order == "C":
            flat = np.empty((stop - start, self.n_features), dtype=self.stored)
            self.fill(file, flat, start * self._row_bytes, start)
            return flat
        columns = np.empty((self.n_features, stop - start), dtype=self.stored)
        for d in range(self.n_features):
            self.fill(file, columns[d], (d * self.n_rows + start) * item, start)
        return columns.T

    def read(self, file: IO[bytes], X: NDArray[Any], start: int) -> None:
        """Fill X with the rows from `start` on; any number of threads may at once."""
        if self.stored == self.dtype and self.order == "C":
            self.fill(file, X, start * self._row_bytes, start)
            return
        for low, high in self._cuts(len(X)):
            X[low:high] = self._rows(file, start + low, start + high)

    def _cuts(self, n_rows: int) -> Iterator[tuple[int, int]]:
        """Cut so many rows into pieces of some MiB."""
        size = max(1, CHUNK_BYTES // max(1, self._row_bytes))
        for start in range(0, n_rows, size):
            yield start, min(start + size, n_rows)

    def fill(self, file: IO[bytes], into: NDArray[Any], at: int, row: int) -> None:
        """Read bytes from `at` on, counted from the array's first; `DataError` where the file ends before."""
        view, done = memoryview(cast(Any, into.reshape(-1).view(np.uint8))), 0
        while done < len(view):
            count = read_at(file, view[done:], self.offset + at + done)
            if not count:
                row += done // self._row_bytes if self.order == "C" else done // self.stored.itemsize
                raise DataError(
                    f"{self.name}: the file ends in row {row} of {self.n_rows}: it was cut off while it was being "
                    "read; copy or save it again."
                )
            done += count

    def pick(self, indices: NDArray[np.intp]) -> tuple[NDArray[Any], Floats] | None:
        """Read rows one by one, where they are few."""
        assert self.n_rows is not None
        if self.order != "C" or len(indices) * SEEK_BYTES > self.n_rows * self._row_bytes:
            return None
        X = np.empty((len(indices), self.n_features), dtype=self.stored)
        with self.open() as file:
            for i, row in enumerate(indices.tolist()):
                self.fill(file, X[i], row * self._row_bytes, row)
        return X, np.empty(0)


class NpyReader(AbstractReader):
    """A walk through a file, of which any piece can be read at any time."""

    def __init__(self, source: NpyFile) -> None:
        self._source, self._file = source, source.open()
        self._row = 0

    def begin(self, X: NDArray[Any], weights: Floats) -> Begun:
        """Take the next rows' numbers: reading them needs no turn."""
        del weights
        assert self._source.n_rows is not None
        count, start = min(len(X), self._source.n_rows - self._row), self._row
        self._row += count
        return count, [partial(self._source.read, self._file, X[:count], start)] if count else []

    def finish(self) -> None:
        """Raise `DataError` if the file is not what it was when it was opened."""
        self._source.state.check()

    def where(self, row: int) -> str:
        """Return nothing: the number of the row says it."""
        del row
        return ""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


SEEKING = Lock()


def read_at(file: IO[bytes], view: memoryview, offset: int) -> int:
    """Read bytes of an open file from `offset` on, and return how many; threads do not disturb one another."""
    if hasattr(os, "preadv"):
        return os.preadv(file.fileno(), [view], offset)
    with SEEKING:
        file.seek(offset)
        return int(file.readinto(view))  # type: ignore[attr-defined]
