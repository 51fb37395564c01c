"""Pieces of files: rows that any worker who sees the file can read, once or in each pass. Only their names travel."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.rows.arrow_tables import matrix, pyarrow
from fastgmm.rows.base import Floats, Span
from fastgmm.rows.columns import Columns
from fastgmm.rows.limits import CHUNK_BYTES
from fastgmm.rows.npy_files import NpyFile
from fastgmm.rows.parquet_files import ParquetSource
from fastgmm.rows.pieces import AbstractRun
from fastgmm.rows.sources import AbstractSource, FileState

Matrix = NDArray[Any]


@dataclass(frozen=True, eq=False)
class AbstractPiece(ABC):
    """Consecutive rows of a file."""

    state: FileState
    """Of the file, where the pieces were cut."""
    start: int
    stop: int
    n_features: int
    dtype: np.dtype[Any]
    """In which the rows are read."""
    kept: bool = False
    """Whether whoever reads it is to keep it in memory."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.stop - self.start

    def cut(self, start: int, stop: int) -> AbstractPiece:
        """Return some of the rows."""
        return replace(self, start=self.start + start, stop=self.start + stop)

    def read(self) -> Iterator[Matrix]:
        """Read the rows, some MiB at a time.

        Raises
        ------
        DataError
            If the file is not there, or not what it was; it says on which machine.
        """
        with self._watched():
            for rows in self._read():
                yield np.asarray(rows, dtype=self.dtype)

    @abstractmethod
    def _read(self) -> Iterator[Matrix | Columns]:
        """Read the rows as they are stored."""

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            self.state.check()
            yield
            self.state.check()
        except (DataError, OSError) as error:
            raise DataError(
                f"{str(error).rstrip('.')} (read on {socket.gethostname()}). Every worker must see the same files "
                "under the same names."
            ) from None


@dataclass(frozen=True, eq=False)
class NpyPiece(AbstractPiece):
    """Rows of an array in a `.npy` file, one after the other there."""

    offset: int = 0
    """Of the array's first byte."""
    stored: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float64))

    def _read(self) -> Iterator[Matrix | Columns]:
        at = self.offset + self.start * self.n_features * self.stored.itemsize
        source = NpyFile(self.state.path, at, (len(self), self.n_features), self.stored, "C")
        return (chunk.values for chunk in source.chunks())


@dataclass(frozen=True, eq=False)
class ParquetPiece(AbstractPiece):
    """Rows of a row group of a Parquet file, counted in it."""

    group: int = 0
    columns: tuple[str, ...] = ()

    def _read(self) -> Iterator[Matrix | Columns]:
        size, first = max(1, CHUNK_BYTES // (8 * self.n_features)), 0
        with pyarrow().parquet.ParquetFile(self.state.path) as file:
            for batch in file.iter_batches(size, row_groups=[self.group], columns=[*self.columns], use_threads=False):
                low, high = max(self.start - first, 0), min(self.stop - first, batch.num_rows)
                if low < high:
                    yield matrix(batch.slice(low, high - low), self.columns, None, self.state.path, first + low)[0]
                first += batch.num_rows
                if first >= self.stop:
                    break


def pieces_of(source: AbstractSource, size: int) -> list[AbstractPiece]:
    """Cut a source of files into pieces of some `size` bytes, or of a row group.

    Raises
    ------
    DataError
        If the source is not of files, or its rows do not lie one after the other.
    """
    common: dict[str, Any] = {"n_features": source.n_features, "dtype": source.dtype}
    if isinstance(source, NpyFile):
        if source.order != "C":
            raise DataError(
                f"{source.name}: is stored column by column, so that no worker can read rows of it alone. Save "
                "np.ascontiguousarray(X) instead."
            )
        assert source.n_rows is not None
        rows = max(1, size // (8 * source.n_features))
        where: dict[str, Any] = {"offset": source.offset, "stored": source.stored}
        return [
            NpyPiece(source.state, start, min(start + rows, source.n_rows), **common, **where)
            for start in range(0, source.n_rows, rows)
        ]
    if isinstance(source, ParquetSource):
        found: list[AbstractPiece] = []
        for state in source.states:
            with pyarrow().parquet.ParquetFile(state.path) as file:
                lengths = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            found += [
                ParquetPiece(state, 0, length, **common, group=group, columns=source.columns or ())
                for group, length in enumerate(lengths)
            ]
        return found
    raise DataError(
        f"{source.name}: workers can read .npy and Parquet files by themselves, but not a {type(source).__name__}. "
        "Give the path of such files, or a Dask collection."
    )


@dataclass(frozen=True, eq=False)
class FilePart:
    """A partition that is read in each pass."""

    piece: AbstractPiece

    def cut(self, start: int, stop: int) -> FilePart:
        """Return some rows."""
        return FilePart(self.piece.cut(start, stop))


@dataclass(frozen=True, eq=False)
class FileRun(AbstractRun):
    """Rows in pieces of files, which are read in each walk."""

    pieces: tuple[AbstractPiece, ...]

    def chunks(self) -> Iterator[Matrix]:
        """Read the pieces, one after the other."""
        return (rows for piece in self.pieces for rows in piece.read())

    @contextmanager
    def walk(self, block: int, blocks: int) -> Iterator[Iterator[Span]]:
        """Give `spans`, and let go of the file that is open."""
        spans = self.spans(block, blocks)
        try:
            yield spans
        finally:
            spans.close()  # type: ignore[attr-defined]

    def rows(self, start: int, stop: int) -> Matrix:
        """Return the rows start … stop−1, which are numbers of all rows, in one array."""
        found, first = [np.empty((0, self.pieces[0].n_features), dtype=self.dtype)], self.start
        for piece in self.pieces:
            low, high = max(start - first, 0), min(stop - first, len(piece))
            if low < high:
                found += piece.cut(low, high).read()
            first += len(piece)
        return np.concatenate(found)

    def picked(self, numbers: NDArray[np.intp]) -> Matrix:
        """Return the rows of some numbers, which are numbers of all rows and ascend: in one walk."""
        chosen = np.empty((len(numbers), self.pieces[0].n_features), dtype=self.dtype)
        first = self.start
        for piece in self.pieces:
            low, high = np.searchsorted(numbers, (first, first + len(piece)))
            if low < high:  # only what lies between the first and the last of them is read
                least, most = int(numbers[low]) - first, int(numbers[high - 1]) + 1 - first
                at = first + least
                for rows in piece.cut(least, most).read():
                    some = slice(*np.searchsorted(numbers, (at, at + len(rows))))
                    chosen[some] = rows[numbers[some] - at]
                    at += len(rows)
            first += len(piece)
        return chosen


def weights_in(source: AbstractSource) -> Floats | None:
    """Return the weights that a source has for its rows; None if it has none."""
    if not source.weighted:
        return None
    assert isinstance(source, ParquetSource)
    paths = [state.path for state in source.states]
    alone = ParquetSource(paths, [source.weight or ""], None)
    return np.concatenate([np.asarray(chunk.values, dtype=np.float64)[:, 0] for chunk in alone.chunks()])
