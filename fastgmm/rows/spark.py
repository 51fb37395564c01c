"""Rows of a Spark data frame: partitions stay where Spark keeps them, rows at the seams are sent along.

Partitions become matrices by `mapInArrow`, once; sums are merged by `treeReduce`, which may take them in any order.
Spark makes lost partitions again and runs lost tasks again: the data frame must give the same rows each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgmm.errors import DataError, missing_extra
from fastgmm.rows.partitions import Slice, aligned
from fastgmm.rows.parts import VERSION, Part, part_of, summary_of
from fastgmm.rows.remote import AbstractRemoteRows, Extent, bundle_of
from fastgmm.threads import ALONE

try:
    import pyarrow as pa
    from pyspark import StorageLevel, TaskContext
except ImportError:
    raise missing_extra("pyspark with pyarrow", "spark") from None

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

RECORD = "number int, rows long, columns int, dtype string, matrix binary"

DEPTH = 2
"""Of the tree in which sums are merged."""


class SparkRows(AbstractRemoteRows):
    """The rows of a data frame whose columns are numbers: what `GaussianMixture.fit` takes.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        N rows of D numeric columns.
    sample_weight : array-like of shape (N,), optional
        In the order of the partitions' rows.

    Raises
    ------
    DataError
        If the rows are not a finite numeric matrix; the partition is named.
    """

    team = ALONE

    def __init__(self, frame: Any, sample_weight: ArrayLike | None = None) -> None:
        from fastgmm.kernels.layout import block_rows

        self._context = frame.sparkSession.sparkContext
        self._records = frame.mapInArrow(_records, RECORD).persist(StorageLevel.MEMORY_AND_DISK)
        self._parts = self._records.rdd.map(_part)
        summaries = dict(self._parts.mapValues(summary_of).collect())
        numbers = sorted(summaries)  # a partition without rows gives no record
        if not numbers:
            raise DataError("The data frame has no row; give one with at least one.")
        self.know([summaries[number] for number in numbers])
        self.require(sample_weight, 1, None, "frequency")
        lengths = [summaries[number].shape[0] for number in numbers]
        self._plan = aligned(lengths, block_rows(self.n_features))
        self._places = {number: place for place, number in enumerate(numbers)}
        self._seams = self._context.broadcast(self._moved())

    @property
    def bundles(self) -> Sequence[Sequence[Extent]]:  # type: ignore[override]
        """The runs of each bundle."""
        return [[(one.start, one.stop) for one in stretches] for stretches in self._plan]

    def _moved(self) -> dict[Slice, Part]:
        """Return the slices that others than their partition's own bundle need: rows at the seams."""
        wanted: dict[int, list[Slice]] = {}
        for place, stretches in enumerate(self._plan):
            for one in (one for stretch in stretches for one in stretch.slices):
                if one.partition != place:
                    wanted.setdefault(one.partition, []).append(one)
        places = self._places

        def cut(item: tuple[int, Part]) -> list[tuple[Slice, Part]]:
            number, part = item
            return [(one, part.cut(one.start, one.stop)) for one in wanted.get(places[number], ())]

        return dict(self._parts.flatMap(cut).collect())

    def _mapped(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...] | None]) -> tuple[Any, Any]:
        """Return the results of a function on each bundle, as an RDD, and the broadcast that they need."""
        weights = [[self.weights_of(one.start, one.stop) for one in stretches] for stretches in self._plan]
        sent = self._context.broadcast((function, list(arguments), self._plan, weights))
        places, seams, dtype = self._places, self._seams, self.dtype

        def work(item: tuple[int, Part]) -> tuple[int, Any]:
            number, part = item
            place = places[number]
            called, every, plan, counted = sent.value
            if every[place] is None:
                return place, None
            slices = [one for stretch in plan[place] for one in stretch.slices]
            parts = [part.cut(one.start, one.stop) if one.partition == place else seams.value[one] for one in slices]
            return place, called(bundle_of(plan[place], counted[place], dtype, parts), *every[place])

        return self._parts.map(work), sent

    def each(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...] | None]) -> list[Any]:
        """Call a function on each bundle where it lies."""
        mapped, sent = self._mapped(function, arguments)
        try:
            results = dict(mapped.collect())
        finally:
            sent.destroy()
        return [results[place] for place in range(len(self._plan))]

    def reduced(
        self,
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        """Merge results in a tree of workers."""
        mapped, sent = self._mapped(function, arguments)
        try:
            return mapped.values().treeReduce(merge, DEPTH)
        finally:
            sent.destroy()

    def close(self) -> None:
        """Let Spark forget the matrices."""
        self._seams.destroy()
        self._records.unpersist()


def _records(batches: Iterator[Any]) -> Iterator[Any]:
    """Return a partition's batches as one record: its number and its matrix."""
    table = [batch for batch in batches if batch.num_rows]
    if not table:
        return
    number = TaskContext.get().partitionId()
    rows = pa.Table.from_batches(table)
    columns = [np.asarray(column) for column in rows.itercolumns()]
    matrix = part_of(np.stack(columns, axis=1), number, VERSION).matrix
    values = [[number], [matrix.shape[0]], [matrix.shape[1]], [str(matrix.dtype)], [matrix.tobytes()]]
    types = [pa.int32(), pa.int64(), pa.int32(), pa.string(), pa.binary()]
    arrays = [pa.array(value, type=kind) for value, kind in zip(values, types, strict=True)]
    yield pa.RecordBatch.from_arrays(arrays, names=[field.split()[0] for field in RECORD.split(", ")])


def _part(record: Any) -> tuple[int, Part]:
    matrix = np.frombuffer(record.matrix, dtype=record.dtype).reshape(record.rows, record.columns)
    return record.number, Part(matrix, True)
