"""Pieces: a matrix in parts that were cut anywhere, walked in whole blocks. Only rows at the seams are copied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastgmm.rows.base import Floats, Span
from fastgmm.rows.memory import CHUNK_BYTES

NO_WEIGHTS: Floats = np.empty(0)

FEW = 8
"""Pieces of fewer blocks are joined: to call a kernel for each would cost more than to copy them."""


@dataclass(frozen=True, eq=False)
class AbstractRun(ABC):
    """Consecutive rows in pieces of any length; the first one's number is that of a block's first."""

    start: int
    pieces: tuple[Any, ...]
    dtype: np.dtype[Any]
    """Of the spans: float64 or float32."""
    weights: Floats = field(default_factory=lambda: NO_WEIGHTS)
    """(n,), or empty."""

    counted: ClassVar[bool] = True
    """As rows have it: `n_rows` is known."""

    @property
    def n_rows(self) -> int:
        """Rows of all pieces."""
        return sum(map(len, self.pieces))

    @property
    def stop(self) -> int:
        """Number of the row behind the last."""
        return self.start + self.n_rows

    @abstractmethod
    def chunks(self) -> Iterable[NDArray[Any]]:
        """Walk the rows in matrices (n, D) of any length."""

    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Walk the rows in spans of at most `blocks` whole blocks; the last block may be short."""
        start = self.start
        for rows in whole_blocks(self.chunks(), block, blocks):
            X = np.require(rows, dtype=self.dtype, requirements=["C", "A"])
            behind = start + len(X)
            yield start, X, self.weights[start - self.start : behind - self.start] if self.weights.size else NO_WEIGHTS
            start = behind


@dataclass(frozen=True, eq=False)
class Run(AbstractRun):
    """Rows in matrices (n, D) of one dtype, in any layout."""

    pieces: tuple[NDArray[Any], ...]

    def chunks(self) -> Iterable[NDArray[Any]]:
        """Return the pieces."""
        return self.pieces

    @contextmanager
    def walk(self, block: int, blocks: int) -> Iterator[Iterator[Span]]:
        """Give `spans`, which need no end."""
        yield self.spans(block, blocks)

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows start … stop−1, which are numbers of all rows, in one array."""
        return joined(between(self.pieces, start - self.start, stop - self.start), self.pieces[0])

    def picked(self, numbers: NDArray[np.intp]) -> NDArray[Any]:
        """Return the rows of some numbers, which are numbers of all rows, in their order."""
        ends = self.start + np.cumsum([len(piece) for piece in self.pieces])
        homes = np.searchsorted(ends, numbers, side="right")
        chosen = np.empty((len(numbers), self.pieces[0].shape[1]), dtype=self.dtype)
        for home in np.unique(homes):
            here = homes == home
            piece = self.pieces[home]
            chosen[here] = piece[numbers[here] - (ends[home] - len(piece))]
        return chosen


def whole_blocks(pieces: Iterable[NDArray[Any]], block: int, blocks: int) -> Iterator[NDArray[Any]]:
    """Yield the rows in arrays of at most `blocks` whole blocks, views wherever a few blocks lie in one piece.

    Short pieces are joined, as many as a copy should have.
    """
    held: list[NDArray[Any]] = []
    for piece in pieces:
        at, own = 0, len(piece) // block
        copied = min(blocks, max(1, CHUNK_BYTES // (8 * piece.shape[1] * block)))
        if held or own < FEW:
            n = sum(map(len, held))
            at = len(piece) if own < FEW else -n % block
            held.append(piece[:at])
            if own < FEW and n + at < copied * block:
                continue
            whole = joined(held, piece)
            end = len(whole) // block * block
            yield from _cut(whole, 0, end, copied * block)
            held = [whole[end:]] if end < len(whole) else []
        end = at + (len(piece) - at) // block * block
        yield from _cut(piece, at, end, block * (blocks if _ready(piece) else copied))
        if at < end < len(piece):
            held = [piece[end:]]
    if held:
        yield joined(held, held[0])


def _cut(rows: NDArray[Any], start: int, end: int, size: int) -> Iterator[NDArray[Any]]:
    for low in range(start, end, size):
        yield rows[low : min(low + size, end)]


def between(pieces: Sequence[NDArray[Any]], start: int, stop: int) -> list[NDArray[Any]]:
    """Return the parts of pieces that hold the rows start … stop−1, counted from the first piece's first."""
    found, first = [], 0
    for piece in pieces:
        low, high = max(start - first, 0), min(stop - first, len(piece))
        if low < high:
            found.append(piece[low:high])
        first += len(piece)
    return found


def joined(parts: Sequence[NDArray[Any]], like: NDArray[Any]) -> NDArray[Any]:
    """Return the parts as one array, or no rows `like` some."""
    if not parts:
        return like[:0]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _ready(piece: NDArray[Any]) -> bool:
    """Whether kernels can read a piece as it lies."""
    return piece.flags.c_contiguous and piece.flags.aligned and piece.dtype in (np.float64, np.float32)
