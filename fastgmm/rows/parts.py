"""Parts: a partition of a collection as a matrix, looked through where it lies, before any work starts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError, DistributedError, FastGMMError
from fastgmm.rows.base import Floats
from fastgmm.rows.file_pieces import AbstractPiece, FilePart
from fastgmm.validation import check_rows, survey

VERSION: str = sys.modules["fastgmm"].__version__
"""Of this fastgmm: callers and workers must have the same."""


@dataclass(frozen=True, eq=False)
class Summary:
    """What is to be known of a partition before it is summed."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    low: Floats
    high: Floats
    n_nan: int = 0
    n_infinite: int = 0
    first: tuple[int, int] = (-1, -1)
    """Row of the partition and column of the first value that is not finite."""


@dataclass(frozen=True, eq=False)
class Part:
    """The matrix of a partition, and whether it has memory of its own."""

    matrix: NDArray[Any]
    own: bool

    def __sizeof__(self) -> int:
        return sys.getsizeof(0) + (self.matrix.nbytes if self.own else 0)

    def cut(self, start: int, stop: int) -> Part:
        """Return some rows."""
        return Part(self.matrix[start:stop], False)


def require_version(version: str) -> None:
    """Raise `DistributedError` if a worker has another fastgmm than the caller: its sums may mean something else."""
    if version != VERSION:
        raise DistributedError(
            f"a worker has fastgmm {VERSION}, but the fit runs with {version}. Install one version everywhere."
        )


def partition_of(chunk: Any, number: int, version: str) -> Part | FilePart:
    """Return a partition: one that is read in each pass, if it is a piece of a file and not to be kept."""
    if isinstance(chunk, AbstractPiece):
        if not chunk.kept:
            require_version(version)
            return FilePart(chunk)
        chunk = np.concatenate([np.empty((0, chunk.n_features), dtype=chunk.dtype), *chunk.read()])
    return part_of(chunk, number, version)


def part_of(chunk: Any, number: int, version: str) -> Part:
    """Return a partition, an array or a data frame, as a matrix of float64 or float32 that kernels can read.

    Raises
    ------
    DataError, DataTypeError
        If it is not a numeric matrix; it is named by its number.
    DistributedError
        If this worker has another version of fastgmm.
    """
    require_version(version)
    try:
        array = check_rows(chunk, min_rows=0)
    except FastGMMError as error:
        raise type(error)(f"Partition {number} of X: {error}") from None
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    matrix = np.asarray(np.require(array, dtype=dtype, requirements=["C", "A"]))
    return Part(matrix, not (isinstance(chunk, np.ndarray) and np.may_share_memory(matrix, chunk)))


def summary_of(part: Part | FilePart) -> Summary:
    """Read a partition once: extremes of its features, and what is not finite in it."""
    if isinstance(part, FilePart):
        return _summed_up([_summary(X) for X in part.piece.read()], part.piece)
    return _summary(part.matrix)


def _summed_up(found: Sequence[Summary], piece: AbstractPiece) -> Summary:
    """Return one summary for what was read of a piece."""
    starts = np.cumsum([0, *(one.shape[0] for one in found)])
    bad = [i for i, one in enumerate(found) if one.first[0] >= 0]
    sound = [one for one in found if one.first[0] < 0] or [_summary(np.zeros((1, piece.n_features)))]
    return Summary(
        (len(piece), piece.n_features),
        piece.dtype,
        np.min([one.low for one in sound], axis=0),
        np.max([one.high for one in sound], axis=0),
        sum(one.n_nan for one in found),
        sum(one.n_infinite for one in found),
        (int(starts[bad[0]]) + found[bad[0]].first[0], found[bad[0]].first[1]) if bad else (-1, -1),
    )


def _summary(X: NDArray[Any]) -> Summary:
    try:
        return Summary(X.shape, X.dtype, *survey(X))
    except DataError:
        bad = ~np.isfinite(X)
        row, column = (int(n) for n in np.unravel_index(int(bad.argmax()), X.shape))
        n_nan = int(np.isnan(X).sum())
        nothing = np.zeros(X.shape[1])
        return Summary(X.shape, X.dtype, nothing, nothing, n_nan, int(bad.sum()) - n_nan, (row, column))


def check_parts(summaries: Sequence[Summary]) -> None:
    """Raise `DataError` if partitions do not belong together or hold NaN or infinities, with their count and place."""
    width = summaries[0].shape[1]
    for number, one in enumerate(summaries):
        if one.shape[1] != width:
            raise DataError(
                f"Partition {number} of X has {one.shape[1]} features, but partition 0 has {width}. "
                "All partitions must have the same columns."
            )
    starts = np.cumsum([0, *(one.shape[0] for one in summaries)])
    bad = [number for number, one in enumerate(summaries) if one.n_nan or one.n_infinite]
    if not bad:
        return
    n_nan, n_infinite = (sum(getattr(one, kind) for one in summaries) for kind in ("n_nan", "n_infinite"))
    kind = "NaN" if n_nan else "infinity"
    counts = " and ".join(f"{n} {word}" for n, word in ((n_nan, "NaN"), (n_infinite, "infinite")) if n)
    row, column = summaries[bad[0]].first
    raise DataError(
        f"Input X contains {kind}: {counts} of {int(starts[-1]) * width} values, the first at row "
        f"{int(starts[bad[0]]) + row}, column {column} (partition {bad[0]}, its row {row}). "
        "Remove these rows or fill in the values."
    )
