"""Rows that are read anew in every pass: from files, or from whatever gives them in chunks."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.frame import Frame
from fastgmm.rows.ahead import ahead
from fastgmm.rows.base import AbstractRows, Floats, Span
from fastgmm.rows.limits import PIECE_BYTES, SPANS, span_bytes
from fastgmm.rows.memory import is_ordinary
from fastgmm.rows.sources import AbstractReader, AbstractSource
from fastgmm.rows.survey import Survey, Surveyor, check_span
from fastgmm.sweep import AbstractTask, sweep, sweep_each
from fastgmm.threads import Team
from fastgmm.validation import WEIGHTS_RUN, check_weight_span, run_sums, sum_of_weights

NO_WEIGHTS: Floats = np.empty(0)
ALIGNMENT = 64


@dataclass(eq=False)
class Buffer:
    """Room for a span."""

    X: NDArray[Any]
    weights: Floats


class Pool:
    """Memory of spans, kept from pass to pass."""

    def __init__(self) -> None:
        self._bytes = span_bytes()
        self._spare: list[NDArray[np.uint8]] = []

    def largest(self, row_bytes: int, block: int) -> int:
        """Return how many blocks of rows fit into a span: an even number, for two threads and their like."""
        blocks = max(1, self._bytes // (row_bytes * block))
        return blocks - blocks % 2 if blocks > 2 else blocks

    def piece(self, row_bytes: int, block: int, pieces: int) -> int:
        """Return how many blocks fit into one of so many shorter spans."""
        return max(1, min(PIECE_BYTES, SPANS * self._bytes // pieces) // (row_bytes * block))

    def take(self, size: int, count: int) -> NDArray[np.uint8]:
        """Return memory for `count` spans of `size` bytes, (count, ≥ size)."""
        size = -(-size // ALIGNMENT) * ALIGNMENT
        memory = self._spare.pop() if self._spare else np.empty(0, dtype=np.uint8)
        if memory.size < size * count:
            del memory  # before there is more
            memory = np.empty(size * count, dtype=np.uint8)
        return memory[: size * count].reshape(count, size)

    def give(self, memory: NDArray[np.uint8]) -> None:
        """Take memory back for the next pass."""
        whole = memory.base if isinstance(memory.base, np.ndarray) else memory
        if not self._spare:
            self._spare.append(whole)


class StreamedRows(AbstractRows):
    """The rows of a source, walked ahead by a thread, in at most `limits.budget` bytes.

    What `spans` gives is valid until its next. Every walk must be closed, or come to its end.
    """

    costly = True

    def __init__(self, source: AbstractSource) -> None:
        self.source = source
        self.n_features, self.dtype = source.n_features, source.dtype
        self._weights: Floats | None = None
        self._scale: tuple[float, float] | None = None
        self._pool = Pool()
        self._checked = False
        self.counted = source.n_rows is not None
        if source.n_rows is not None:
            self.n_rows = source.n_rows

    # --- what must be known before a fit ---------------------------------------------------------------------------

    def survey(self, hold: int = 0) -> Survey:
        """Check all rows, and learn their number, extremes and weight; keep them if they take at most `hold` bytes."""
        with closing(self.source.reader()) as reader:
            surveyor = Surveyor(self.source, reader, hold)
            block = WEIGHTS_RUN if self.source.weighted else 1
            with closing(self._walk(reader, block, self._largest(block))) as spans:
                for _, X, weights in spans:
                    surveyor.see(X, weights)
            found = surveyor.found()
        self.n_rows, self.low, self.high, self.weight = found.n_rows, found.low, found.high, found.weight
        self.ordinary = is_ordinary(found.least, found.greatest)
        if found.n_rows:
            self.frame = Frame.around(self.low, self.high)
        self.counted = self._checked = True
        return found

    def weighed_by(self, weights: Floats) -> StreamedRows:
        """Return the same rows with these weights."""
        if self.source.weighted:
            raise DataError(f"{self.source.name} has weights of its own; give those, or sample_weight, not both.")
        rows, positive = copy(self), weights[weights > 0]
        rows._weights, rows.weight, rows._whole = weights, sum_of_weights(weights), None
        rows.ordinary = is_ordinary(float(positive.min()), float(positive.max()))
        return rows

    def scale_weights(self, found: Survey) -> None:
        """Make weights from the source sum to the number of rows that have a positive one."""
        greatest = found.greatest
        self._scale = greatest, 1.0
        relative = self._sum_weights()
        self._scale = greatest, found.positive / relative
        self.weight = self._sum_weights()
        self.ordinary = is_ordinary(found.least / greatest * self._scale[1], self._scale[1])

    def _sum_weights(self) -> float:
        sums = list[float]()
        with closing(self.spans(WEIGHTS_RUN, self._largest(WEIGHTS_RUN))) as spans:
            for _, _, weights in spans:
                sums += run_sums(weights)
        return float(np.sum(sums))

    # --- passes ----------------------------------------------------------------------------------------------------

    def spans(self, block: int, blocks: int) -> Generator[Span, None, None]:
        """Walk the rows in order; before a survey each span is checked as it comes."""
        with closing(self.source.reader()) as reader:
            yield from self._walk(reader, block, min(blocks, self._largest(block)), check=not self._checked)

    def sweep(self, task: AbstractTask, team: Team) -> Floats:
        """Sum a task over all rows, in short spans that lie in the cache; each is one thread's."""
        team = team.suited(self.n_rows, task.block)
        in_use = 1 if team.size == 1 else team.size + 1
        blocks = min(task.blocks_per_span, self._pool.piece(self._row_bytes, task.block, in_use + 2))
        with closing(self.source.reader()) as reader, closing(self._walk(reader, task.block, blocks, in_use)) as spans:
            return sweep(spans, self.n_rows, task, team) if team.size == 1 else sweep_each(spans, task, team.size)

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * self.n_features + 8 * self.source.weighted

    def _largest(self, block: int) -> int:
        return self._pool.largest(self._row_bytes, block)

    def _walk(
        self, reader: AbstractReader, block: int, blocks: int, in_use: int = 1, check: bool = False
    ) -> Generator[Span, None, None]:
        """Yield spans that a thread reads ahead, each valid until `in_use` more have come."""
        expected = self.n_rows if self.counted else None
        size = block * blocks
        if expected is not None:
            size = max(1, min(size, expected))
        memory = self._pool.take(size * self.n_features * self.dtype.itemsize, in_use + 2)
        buffers = [self._buffer(part, size) for part in memory]
        start = 0
        with closing(ahead(_filler(reader), buffers, in_use)) as filled:
            for buffer, count in filled:
                X, weights = buffer.X[:count], buffer.weights[:count]
                if expected is not None and start + count > expected:
                    raise self._changed(expected, f"more than {expected}")
                if check:
                    check_span(X, start, self.source, reader)
                    check_weight_span(weights, start)
                yield start, X, self._weighed(start, start + count, weights)
                start += count
        self._pool.give(memory)
        if expected is not None and start < expected:
            raise self._changed(expected, str(start))

    def _buffer(self, memory: NDArray[np.uint8], size: int) -> Buffer:
        room = memory[: size * self.n_features * self.dtype.itemsize].view(self.dtype)
        return Buffer(room.reshape(size, self.n_features), np.empty(size) if self.source.weighted else NO_WEIGHTS)

    def _weighed(self, start: int, stop: int, weights: Floats) -> Floats:
        """Return the weights of a span: given, read, or read and scaled."""
        if self._weights is not None:
            return self._weights[start:stop]
        if weights.size and self._scale is not None:
            weights /= self._scale[0]
            weights *= self._scale[1]
        return weights

    def _changed(self, expected: int, found: str) -> DataError:
        return DataError(
            f"{self.source.name}: {found} rows in this pass, but {expected} before: the rows changed while they were "
            "being read. Give the same rows, in the same order, every time."
        )

    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array: gathered in one walk at most."""
        order = np.argsort(indices, kind="stable")
        wanted = np.asarray(indices)[order]
        X = np.empty((len(wanted), self.n_features))
        weights = np.empty(len(wanted) if self.source.weighted or self._weights is not None else 0)
        if not len(wanted):
            return X, weights
        picked = self.source.pick(wanted)
        if picked is not None:
            X[order] = picked[0]
            if weights.size:
                weights[order] = self._weights[wanted] if self._weights is not None else picked[1]
            return X, weights
        with closing(self.spans(1, self._largest(1))) as spans:
            for start, rows, span_weights in spans:
                low, high = np.searchsorted(wanted, (start, start + len(rows)))
                X[order[low:high]] = rows[wanted[low:high] - start]
                if weights.size:
                    weights[order[low:high]] = span_weights[wanted[low:high] - start]
                if high == len(wanted):
                    break
        return X, weights


def _filler(reader: AbstractReader) -> Callable[[Buffer], int]:
    return lambda buffer: reader.read_into(buffer.X, buffer.weights)
