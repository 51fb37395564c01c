"""Scoring rows under a mixture: span by span, each result written where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgmm.packed import AbstractPacked
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.limits import span_bytes
from fastgmm.rows.remote import AbstractRemoteRows
from fastgmm.sweep import blocks_per_span
from fastgmm.threads import Team

Floats = NDArray[np.float64]

KINDS = ("log_likelihoods", "responsibilities", "log_joints", "labels")
WIDE = ("responsibilities", "log_joints")
"""K numbers a row."""


class Room(Protocol):
    """What takes results, a span at a time."""

    @property
    def row_bytes(self) -> int:
        """What a row's results take of memory that is wanted only until they are handed on."""

    def span(self, start: int, stop: int) -> Results:
        """Return arrays to fill for rows start … stop−1."""

    def filled(self, start: int, results: Results, weights: Floats) -> None:
        """Take them back, filled; `weights` are those of the rows, or empty."""


@dataclass(frozen=True, eq=False)
class Results:
    """Arrays to fill, one entry for each row; those left empty are not computed."""

    log_likelihoods: Floats = field(default_factory=lambda: np.empty(0))
    responsibilities: Floats = field(default_factory=lambda: np.empty((0, 0)))
    log_joints: Floats = field(default_factory=lambda: np.empty((0, 0)))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of(cls, kind: str, n_rows: int, n_components: int) -> Results:
        """Return room for one of `KINDS`."""
        shape = (n_rows, n_components) if kind in WIDE else (n_rows,)
        room: Any = np.empty(shape, dtype=np.int64 if kind == "labels" else np.float64)
        return cls(**{kind: room})

    @property
    def row_bytes(self) -> int:
        """Nothing: they are there for all rows."""
        return 0

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The four arrays."""
        return self.log_likelihoods, self.responsibilities, self.log_joints, self.labels

    def span(self, start: int, stop: int) -> Results:
        """Return the arrays' parts for rows start … stop−1."""
        return Results(*(array[start:stop] for array in self.arrays))

    def filled(self, start: int, results: Results, weights: Floats) -> None:
        """Leave them where they are."""


class GrowingResults:
    """Results of one kind, of rows whose number is not known."""

    def __init__(self, kind: str, n_components: int) -> None:
        self._kind, self._n_components = kind, n_components
        self._parts = list[NDArray[Any]]()

    @property
    def row_bytes(self) -> int:
        """Nothing: they are kept."""
        return 0

    def span(self, start: int, stop: int) -> Results:
        """Return new arrays."""
        return Results.of(self._kind, stop - start, self._n_components)

    def filled(self, start: int, results: Results, weights: Floats) -> None:
        """Keep them."""
        self._parts.append(getattr(results, self._kind))

    def joined(self) -> NDArray[Any]:
        """Return all of them."""
        return np.concatenate(self._parts or [getattr(self.span(0, 0), self._kind)])


class PassedResults(GrowingResults):
    """Results of one kind that are handed on, with the rows' weights, and not kept."""

    def __init__(self, kind: str, n_components: int, take: Callable[[NDArray[Any], Floats], object]) -> None:
        super().__init__(kind, n_components)
        self._take = take
        self._room = Results()

    @property
    def row_bytes(self) -> int:
        """Those of a number, or of K."""
        return 8 * (self._n_components if self._kind in WIDE else 1)

    def span(self, start: int, stop: int) -> Results:
        """Return the same arrays again."""
        if len(getattr(self._room, self._kind)) < stop - start:
            self._room = Results.of(self._kind, stop - start, self._n_components)
        return self._room.span(0, stop - start)

    def filled(self, start: int, results: Results, weights: Floats) -> None:
        """Hand them on."""
        self._take(getattr(results, self._kind), weights)


def score_rows(rows: AbstractRows, mixture: AbstractPacked, room: Room, team: Team) -> None:
    """Fill `room` for all rows. A row's results do not depend on the rows beside it."""
    from fastgmm.kernels.layout import block_rows, strip_rows
    from fastgmm.kernels.variants import score_kernel

    if isinstance(rows, AbstractRemoteRows):
        results = room if isinstance(room, Results) else room.span(0, rows.n_rows)
        rows.fill(score_rows, mixture, results)
        room.filled(0, results, rows.weights_of(0, rows.n_rows))
        return
    k, d = mixture.parameters.means.shape
    strip, block = strip_rows(d, k), block_rows(d)
    team = team.suited(rows.n_rows, block) if rows.counted else team
    kernel = score_kernel(d, rows.dtype, team.mode, mixture.form)
    blocks = blocks_per_span(k * (d * (d + 1.0) + 60.0), block)
    if room.row_bytes:
        blocks = min(blocks, max(1, span_bytes() // (room.row_bytes * block)))
    arrays = mixture.score_arrays

    def score(piece: tuple[NDArray[Any], Results, int]) -> None:
        X, results, parts = piece
        kernel(parts, X, *arrays, strip, *results.arrays)

    with team.limit(), rows.walk(block, blocks) as spans:
        for start, X, weights in spans:
            results = room.span(start, start + len(X))
            if team.mode == "parallel":
                score((X, results, team.size))
            else:
                cut = -(-len(X) // team.size)
                starts = range(0, len(X), cut)
                team.map(score, [(X[at : at + cut], results.span(at, at + cut), 1) for at in starts])
            results.log_likelihoods[...] += mixture.offset
            results.log_joints[...] += mixture.offset
            room.filled(start, results, weights)
