"""Sources: rows outside memory, given in chunks, in order, any number of times."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.rows.columns import Columns

Floats = NDArray[np.float64]

Begun = tuple[int, list[Callable[[], None]]]
"""How many rows are being read, and what is left to do until they are: by any thread, while others are read."""

FEWEST_LATER = 1024
"""Rows that are worth being turned later, by a thread that has time for it."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows, as their source has cut them."""

    values: NDArray[Any] | Columns
    """(n, D), of numbers, in any layout."""
    weights: NDArray[Any] | None = None
    """(n,), where rows have weights."""
    place: str = ""
    """What they were read from, for messages."""
    first: int = 0
    """Number of the first of them there."""


class AbstractReader(ABC):
    """One walk through a source."""

    @abstractmethod
    def begin(self, X: NDArray[Any], weights: Floats) -> Begun:
        """Set out to fill X (n, D), and `weights` (n,) if not empty, with the next rows: n but at the end."""

    def read_into(self, X: NDArray[Any], weights: Floats) -> int:
        """Fill X (n, D), and `weights` (n,) if not empty, with the next rows; return how many: n but at the end."""
        count, rest = self.begin(X, weights)
        for act in rest:
            act()
        return count

    def finish(self) -> None:  # noqa: B027
        """Raise `DataError` if what was read has changed meanwhile; to be called when all rows have been."""

    @abstractmethod
    def where(self, row: int) -> str:
        """Return a place for messages: of a row that was read, or where reading has come to; "" if it has no name."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files."""


class AbstractSource(ABC):
    """N rows of D numbers that can be read in order, any number of times."""

    name: str
    """For messages: a file, "the callable"."""
    n_features: int
    dtype: np.dtype[Any]
    """Of the rows as they are read: float32 if that is what they are, else float64."""
    columns: tuple[str, ...] | None = None
    """Names of the features."""
    n_rows: int | None = None
    """If it is known before they are read."""
    weighted: bool = False
    """Whether chunks have weights."""
    local: bool = False
    """Whether reading takes a processor rather than time, as from files: a thread that only reads is no help then."""
    once: bool = False
    """Whether the rows can be read one time only."""
    paths: tuple[str, ...] = ()
    """The files that are read, where they are known."""

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Walk the rows from the first, in chunks of any size."""

    def reader(self) -> AbstractReader:
        """Begin a walk."""
        return ChunkReader(self)

    def pick(self, indices: NDArray[np.intp]) -> tuple[NDArray[Any], Floats] | None:
        """Return rows by their ascending numbers, and their weights, if that is cheaper than a walk."""
        del indices
        return None

    @property
    def shape(self) -> tuple[int | None, int]:
        """(N, D), N None if it is not known before the rows are read."""
        return self.n_rows, self.n_features


class ChunkReader(AbstractReader):
    """A walk through a source's chunks, each of which may end in the middle of what is asked for."""

    def __init__(self, source: AbstractSource) -> None:
        self._source, self._chunks = source, iter(source.chunks())
        self._left: Chunk | None = None
        self._used, self._read = 0, 0
        self._starts, self._places = list[int](), list[tuple[str, int]]()

    def begin(self, X: NDArray[Any], weights: Floats) -> Begun:
        """Copy chunks, and keep what is left of the last; columns are turned later.

        Arrays are copied at once: a callable may fill the same one again for its next chunk.
        """
        filled, later = 0, list[Callable[[], None]]()
        while filled < len(X):
            chunk = self._left or self._next()
            if chunk is None:
                break
            count = min(len(chunk.values) - self._used, len(X) - filled)
            rows, part = slice(self._used, self._used + count), X[filled : filled + count]
            if not isinstance(chunk.values, Columns):
                part[:] = chunk.values[rows]
            elif count < FEWEST_LATER:
                chunk.values.into(part, self._used)
            else:
                later.append(partial(chunk.values.into, part, self._used))
            if weights.size and chunk.weights is not None:
                weights[filled : filled + count] = chunk.weights[rows]
            filled, self._used = filled + count, self._used + count
            self._left = None if self._used == len(chunk.values) else chunk
        return filled, later

    def _next(self) -> Chunk | None:
        """Fetch a chunk that has rows, and note where they are from."""
        for chunk in self._chunks:
            self._check(chunk)
            if not self._places or (chunk.place, chunk.first) != self._continued():
                self._starts.append(self._read)
                self._places.append((chunk.place, chunk.first))
            self._read += len(chunk.values)
            self._used = 0
            if len(chunk.values):
                return chunk
        return None

    def _continued(self) -> tuple[str, int]:
        """Return place and first row of a chunk that goes on where the last one ended."""
        place, first = self._places[-1]
        return place, first + self._read - self._starts[-1]

    def _check(self, chunk: Chunk) -> None:
        values, source = chunk.values, self._source
        place = self._named(chunk.place, chunk.first) or f"row {self._read}"
        if values.ndim != 2:
            raise DataError(
                f"{source.name}, {place}: a chunk has shape {values.shape}, but must be (rows, {source.n_features}). "
                "Give each chunk as a two-dimensional array."
            )
        if values.shape[1] != source.n_features:
            raise DataError(
                f"{source.name}, {place}: {values.shape[1]} columns where the rows before have {source.n_features}. "
                "Every part must have the same columns."
            )
        if values.dtype.kind not in "biuf":
            raise DataError(
                f"{source.name}, {place}: values of dtype {values.dtype} where numbers are needed. "
                "Convert or drop columns that are not numbers."
            )
        if source.dtype == np.float32 and values.dtype != np.float32:
            raise DataError(
                f"{source.name}, {place}: values of dtype {values.dtype} where the rows before are float32, in which "
                "they would lose digits. Give all parts one dtype."
            )
        if source.weighted and (chunk.weights is None or np.shape(chunk.weights) != (len(values),)):
            raise DataError(f"{source.name}, {place}: weights are not one for each of the {len(values)} rows.")

    def where(self, row: int) -> str:
        """Return place and row there."""
        at = bisect_right(self._starts, row) - 1
        if at < 0:
            return ""
        place, first = self._places[at]
        return self._named(place, first + row - self._starts[at])

    @staticmethod
    def _named(place: str, row: int) -> str:
        return f"row {row} of {place}" if place else ""

    def close(self) -> None:
        """Close the chunks' iterator, where it can be."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True)
class FileState:
    """What tells that a file is still the one that was opened."""

    path: str
    size: int
    changed: int

    @classmethod
    def of(cls, path: str) -> FileState:
        """Look at a file; `DataError` if it is not there."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file (seen from {os.getcwd()}); check the path.") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from None
        return cls(path, found.st_size, found.st_mtime_ns)

    def check(self) -> None:
        """Raise `DataError` if the file vanished or changed since."""
        try:
            now = FileState.of(self.path)
        except DataError:
            raise DataError(f"{self.path}: the file vanished while it was being read; put it back.") from None
        if now.size != self.size:
            verb = "shrank" if now.size < self.size else "grew"
            raise DataError(
                f"{self.path}: the file {verb} from {self.size} to {now.size} bytes while it was being read; "
                "do not write to it during a fit."
            )
        if now != self:
            raise DataError(f"{self.path}: the file changed while it was being read; do not write to it during a fit.")


def chosen(columns: Sequence[str] | None, present: Sequence[str], weight: str | None, name: str) -> tuple[str, ...]:
    """Return the names of the features: those asked for, or all but the weight's.

    Raises
    ------
    DataError
        If a name is not there, or none is left.
    """
    weights = [] if weight is None else [weight]
    for wanted in [*(columns or ()), *weights]:
        if wanted not in present:
            raise DataError(f"{name}: no column {wanted!r}; there are {', '.join(map(repr, present[:20]))}.")
    found = tuple(columns) if columns is not None else tuple(c for c in present if c != weight)
    if not found:
        raise DataError(f"{name}: no column is left to be a feature; name some by columns=[…].")
    for wanted in [*found, *weights]:
        if list(present).count(wanted) > 1:
            raise DataError(f"{name}: {list(present).count(wanted)} columns are called {wanted!r}; rename them.")
    return found


def real(dtype: Any) -> np.dtype[Any]:
    """Return the dtype in which rows of some dtype are read."""
    return np.dtype(np.float32 if np.dtype(dtype) == np.float32 else np.float64)
