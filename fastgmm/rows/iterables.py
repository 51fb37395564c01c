"""Rows from a callable that gives a fresh iterator of chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError, DataTypeError
from fastgmm.rows.columns import Columns
from fastgmm.rows.sources import AbstractSource, Chunk, real

NOTHING = object()

ONE_SHOT = (
    "{kind} gives its rows once, but a fit reads them in every iteration. Give a callable that makes a fresh one, "
    "fit(lambda: make_chunks()), or something that can be read again: an array, a file, a dataset."
)


def chunks(
    make: Callable[[], Any], *, columns: Sequence[str] | None = None, weight: str | None = None, dtype: Any = None
) -> ChunksSource:
    """Return the rows that a callable gives, chunk by chunk, anew at every call.

    Parameters
    ----------
    make : callable
        Called at the start of every pass, and once to see the first chunk. It returns an iterable of chunks, or
        something that has ``__arrow_c_stream__``. A chunk is an array (n, D), a data frame or an Arrow batch, or a
        pair of an array and its rows' weights (n,). Chunks may have any sizes; the rows must be the same every time.
    columns : sequence of str, optional
        Which columns of frames and batches are features, by default all but the weight; for arrays, their names.
    weight : str, optional
        Which column of frames and batches holds the rows' weights.
    dtype : float32 or float64, optional
        Default: float32 if the first chunk is, else float64.

    Raises
    ------
    DataError, DataTypeError
        If there is no first chunk, or it is not of the kinds above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgmm
    >>> def days():
    ...     for day in range(3):
    ...         yield np.random.default_rng(day).normal(size=(100, 2))
    >>> gm = fastgmm.GaussianMixture(2, random_state=0).fit(fastgmm.rows.chunks(days))
    """
    return ChunksSource(make, columns, weight, dtype)


def once(iterator: Iterator[Any]) -> ChunksSource:
    """Return the rows of an iterator of chunks, which can be read once: for scores."""
    return ChunksSource(lambda: iterator, None, None, None, once=True)


class ChunksSource(AbstractSource):
    """What a callable gives."""

    def __init__(
        self,
        make: Callable[[], Any],
        columns: Sequence[str] | None,
        weight: str | None,
        dtype: Any,
        once: bool = False,
    ) -> None:
        self.name = "the iterator" if once else _named(make)
        self.once = once
        self._make, self._weight, self._asked = make, weight, columns
        self._given: Iterator[Any] | None = None
        self._last: Any = None
        items = self._items()
        first = next(items, NOTHING)
        if first is NOTHING:
            raise DataError(f"{self.name} gave no chunk; give one row at least.")
        if once:
            self._given = _behind(first, items)
        else:
            _close(items)
        self._learn(first, dtype)

    def _learn(self, first: Any, dtype: Any) -> None:
        """Take shape, dtype and names from the first chunk."""
        self.weighted = self._weight is not None or isinstance(first, tuple)
        names = _names(first)
        if names is None and self._weight is not None:
            raise DataTypeError(f"{self.name}: chunks without column names have no column {self._weight!r}.")
        self.columns = None if self._asked is None else tuple(self._asked)
        if names is not None and self._asked is None:
            self.columns = tuple(name for name in names if name != self._weight)
        found = self._chunk(first, 0)
        if found.values.ndim != 2:
            raise DataError(
                f"{self.name}: the first chunk, {type(first).__name__}, has shape {found.values.shape}, but must be "
                "(rows, columns). Give each chunk as a two-dimensional array, a data frame or an Arrow batch."
            )
        self.n_features = found.values.shape[1]
        self.dtype = real(found.values.dtype if dtype is None else dtype)
        self._dtype = dtype

    def _items(self) -> Iterator[Any]:
        given = self._make()
        if hasattr(given, "__arrow_c_stream__"):
            from fastgmm.rows.arrow_tables import batches

            return batches(given)
        if isinstance(given, Iterator):
            if given is self._last:
                raise DataTypeError(
                    f"{self.name} returned the iterator that it returned before, whose rows were read. Make a fresh "
                    "one in every call: lambda: make_chunks(), not lambda: chunks."
                )
            self._last = given
        try:
            return iter(given)
        except TypeError:
            raise DataTypeError(
                f"{self.name} returned {type(given).__name__}, which is no iterable of chunks. Return a list or an "
                "iterator of arrays (n, D), data frames or Arrow batches, or something with __arrow_c_stream__."
            ) from None

    def chunks(self) -> Iterator[Chunk]:
        """Call for a fresh iterator, and walk it."""
        items = self._given if self._given is not None else self._items()
        try:
            for number, item in enumerate(items):
                yield self._chunk(item, number)
        finally:
            _close(items)

    def _chunk(self, item: Any, number: int) -> Chunk:
        place, weights = f"chunk {number}", None
        values: NDArray[Any] | Columns
        if isinstance(item, tuple):
            if len(item) != 2:
                raise DataError(f"{self.name}, {place}: a tuple of {len(item)}; give a pair (rows, weights).")
            try:
                item, weights = item[0], np.asarray(item[1], dtype=np.float64)
            except (TypeError, ValueError):
                raise DataTypeError(
                    f"{self.name}, {place}: weights are not numbers; give them as floats (n,)."
                ) from None
        if hasattr(item, "schema") and hasattr(item, "num_rows"):
            from fastgmm.rows.arrow_tables import matrix

            values, weights = matrix(item, self.columns or (), self._weight, f"{self.name}, {place}")
        elif (names := _names(item)) is not None:
            values, weights = self._of_frame(item, names, place, weights)
        else:
            values = np.asarray(item)
        if self._asked_dtype is not None:
            values = values.astype(self._asked_dtype, copy=False)
        return Chunk(values, weights, place)

    @property
    def _asked_dtype(self) -> Any:
        return getattr(self, "_dtype", None)

    def _of_frame(
        self, item: Any, names: list[str], place: str, weights: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        from fastgmm.rows.data_frames import matrix

        missing = [name for name in (*(self.columns or ()), self._weight) if name is not None and name not in names]
        if missing:
            raise DataError(f"{self.name}, {place}: no column {missing[0]!r}; every chunk must have the same columns.")
        values, found = matrix(item, self.columns or tuple(names), self._weight, f"{self.name}, {place}")
        return values, weights if found is None else found


def _close(items: Iterator[Any]) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()


def _behind(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _named(make: Callable[[], Any]) -> str:
    name = getattr(make, "__name__", type(make).__name__)
    return "the callable" if name == "<lambda>" else f"the callable {name}"


def _names(item: Any) -> list[str] | None:
    """Return the column names of a data frame or an Arrow batch."""
    schema = getattr(item, "schema", None)
    if schema is not None and hasattr(item, "num_rows"):
        return list(schema.names)
    columns = getattr(item, "columns", None)
    return None if columns is None else list(columns)
