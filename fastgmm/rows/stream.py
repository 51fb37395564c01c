"""Rows that are read anew in every pass: from files, or from whatever gives them in chunks."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, nullcontext
from copy import copy
from dataclasses import dataclass
from functools import partial
from threading import Semaphore
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.frame import Frame
from fastgmm.rows.ahead import ahead
from fastgmm.rows.base import AbstractRows, Floats, Span
from fastgmm.rows.limits import PIECE_BYTES, SPANS, span_bytes
from fastgmm.rows.memory import is_ordinary
from fastgmm.rows.relay import Relay
from fastgmm.rows.sources import AbstractReader, AbstractSource, Begun
from fastgmm.rows.survey import Survey, Surveyor, check_span
from fastgmm.sweep import AbstractTask, DyadicSum, Node, nodes_of
from fastgmm.threads import Team, available
from fastgmm.validation import WEIGHTS_RUN, check_weight_span, run_sums, sum_of_weights

ALIGNMENT = 64

SURVEYORS = 2
"""Threads that check rows: one looks at what it has read while the other reads."""

Result = TypeVar("Result")


@dataclass(eq=False)
class Buffer:
    """Room for a span."""

    X: NDArray[Any]
    weights: Floats
    start: int = 0
    """Number of the first row there."""


class Pool:
    """Memory of spans, kept from pass to pass."""

    def __init__(self) -> None:
        self._bytes = span_bytes()
        self._spare: list[NDArray[np.uint8]] = []

    def largest(self, row_bytes: int, block: int) -> int:
        """Return how many blocks of rows fit into a span: an even number, for two threads and their like."""
        blocks = max(1, self._bytes // (row_bytes * block))
        return blocks - blocks % 2 if blocks > 2 else blocks

    def piece(self, row_bytes: int, block: int, threads: int) -> int:
        """Return how many blocks each of some threads reads at once, which may hold a chunk of their size besides."""
        return max(1, min(PIECE_BYTES, 2 * self._bytes // threads) // (row_bytes * block))

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
            size = block * self._piece(block, SURVEYORS)
            self._relayed(reader, size, SURVEYORS, lambda span: surveyor.look(*span), surveyor.add, nullcontext())
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
        """Sum a task over all rows; threads read a piece in turn, and each sums its own."""
        self.swept += 1
        team = team.suited(self.n_rows, task.block)
        threads, gate, total = *self._crew(team), DyadicSum()
        size = task.block * min(task.blocks_per_span, self._piece(task.block, threads))
        with closing(self.source.reader()) as reader:
            self._relayed(reader, size, threads, partial(_summed, task), partial(_add, total), gate)
        return total.total()

    def _crew(self, team: Team) -> tuple[int, AbstractContextManager[Any]]:
        """Return how many threads read, and what lets a team's number of them compute.

        Where reading waits, one more. Where it computes, and all processors do, one more costs turns of the reader's:
        milliseconds of a pass over 256 MiB with and without, D = 4, K = 4: `.npy` 37, 34; Parquet 97, 87.
        """
        if team.size >= available():
            return team.size + (not self.source.local), nullcontext()
        return team.size + 1, Semaphore(team.size)

    def _relayed(
        self,
        reader: AbstractReader,
        size: int,
        threads: int,
        use: Callable[[Span], Result],
        add: Callable[[Result], object],
        gate: AbstractContextManager[Any],
    ) -> None:
        """Let some threads read and use pieces of so many rows in turn, to the end."""
        memory, buffers = self._buffers(min(size, self.n_rows) if self.counted else size, threads)
        Relay(Course(self, reader).begin, use, add, gate).run(buffers)
        self._pool.give(memory)
        reader.finish()

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * self.n_features + 8 * self.source.weighted

    def _largest(self, block: int) -> int:
        return self._pool.largest(self._row_bytes, block)

    def _piece(self, block: int, threads: int) -> int:
        return self._pool.piece(self._row_bytes, block, threads)

    def _walk(
        self, reader: AbstractReader, block: int, blocks: int, check: bool = False
    ) -> Generator[Span, None, None]:
        """Yield spans that a thread reads ahead, each valid until the next has been asked for."""
        size = min(block * blocks, self.n_rows) if self.counted else block * blocks
        course, (memory, buffers) = Course(self, reader), self._buffers(size, SPANS)
        with closing(ahead(course.fill, buffers)) as filled:
            for buffer, count in filled:
                start, X, weights = buffer.start, buffer.X[:count], buffer.weights[:count]
                if check:
                    check_span(X, start, self.source, reader)
                    check_weight_span(weights, start)
                yield start, X, self._weighed(start, start + count, weights)
        self._pool.give(memory)
        reader.finish()

    def _buffers(self, size: int, count: int) -> tuple[NDArray[np.uint8], list[Buffer]]:
        """Take memory for some buffers of so many rows, one at least."""
        size = max(1, size)
        room = size * self.n_features * self.dtype.itemsize
        memory, n_weights = self._pool.take(room, count), size if self.source.weighted else 0
        parts = [part[:room].view(self.dtype).reshape(size, self.n_features) for part in memory]
        return memory, [Buffer(part, np.empty(n_weights)) for part in parts]

    def _weighed(self, start: int, stop: int, weights: Floats) -> Floats:
        """Return the weights of a span: given, read, or read and scaled."""
        if self._weights is not None:
            return self._weights[start:stop]
        if weights.size and self._scale is not None:
            weights /= self._scale[0]
            weights *= self._scale[1]
        return weights

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


class Course:
    """Where a walk has come to."""

    def __init__(self, rows: StreamedRows, reader: AbstractReader) -> None:
        self._rows, self._reader, self._row = rows, reader, 0
        self._expected = rows.n_rows if rows.counted else None

    def fill(self, buffer: Buffer) -> int:
        """Read the next rows; return how many."""
        count, rest = self._next(buffer)
        for act in rest:
            act()
        return count

    def begin(self, buffer: Buffer) -> Callable[[], Span] | None:
        """Set out to read the next rows; return what is left to do, which gives the span."""
        count, rest = self._next(buffer)
        return partial(self._read, buffer, count, rest) if count else None

    def _next(self, buffer: Buffer) -> Begun:
        """Set out, and compare the number of rows with that of the walks before."""
        count, rest = self._reader.begin(buffer.X, buffer.weights)
        buffer.start = self._row
        self._row += count
        if self._expected is not None:
            if self._row > self._expected:
                raise self._changed(f"more than {self._expected}")
            if not count and self._row < self._expected:
                raise self._changed(str(self._row))
        return count, rest

    def _read(self, buffer: Buffer, count: int, rest: list[Callable[[], None]]) -> Span:
        for act in rest:
            act()
        start = buffer.start
        return start, buffer.X[:count], self._rows._weighed(start, start + count, buffer.weights[:count])

    def _changed(self, found: str) -> DataError:
        return DataError(
            f"{self._rows.source.name}: {found} rows in this pass, but {self._expected} before: the rows changed while "
            "they were being read. Give the same rows, in the same order, every time."
        )


def _add(total: DyadicSum, nodes: list[Node]) -> None:
    for level, sums in nodes:
        total.add(level, sums)


def _summed(task: AbstractTask, span: Span) -> list[Node]:
    return nodes_of(task, 1, "serial", *span)
