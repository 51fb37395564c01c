"""The survey: one walk over rows that checks them and finds what a fit must know before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError
from fastgmm.rows.sources import AbstractReader, AbstractSource
from fastgmm.validation import SURVEY_BYTES, check_weight_span, extremes, run_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of all rows."""

    n_rows: int
    low: Floats
    high: Floats
    """Least and greatest value of each feature, (D,)."""
    weight: float
    """Sum of the weights, or the number of rows."""
    positive: int
    """Rows with a positive weight."""
    least: float
    greatest: float
    """Of the positive weights."""
    held: tuple[NDArray[Any], Floats] | None
    """The rows and their weights, if they are few."""


@dataclass(frozen=True, eq=False)
class Glance:
    """What is known of some rows."""

    low: NDArray[Any]
    high: NDArray[Any]
    sums: list[float]
    positive: Floats
    """Their positive weights."""
    rows: tuple[NDArray[Any], Floats] | None
    """A copy of them and their weights, as long as they are few."""


class Surveyor:
    """Looks at spans, and adds up what was seen; keeps the rows for as long as they are few."""

    def __init__(self, source: AbstractSource, reader: AbstractReader, hold: int) -> None:
        d = source.n_features
        self._source, self._reader, self._hold = source, reader, hold
        self._low, self._high = np.full(d, np.inf), np.full(d, -np.inf)
        self._rows, self._sums = 0, list[float]()
        self._positive, self._least, self._greatest = 0, math.inf, 0.0
        known_bytes = (source.n_rows or 0) * d * source.dtype.itemsize
        self._held: list[tuple[NDArray[Any], Floats]] | None = [] if known_bytes <= hold else None

    def look(self, start: int, X: NDArray[Any], weights: Floats) -> tuple[int, Glance]:
        """Check the rows from `start` on, a multiple of `WEIGHTS_RUN` of them but at the end; by any thread.

        Return how many, and what is known of them.
        """
        low, high = self._extremes(start, X)
        if weights.size:
            check_weight_span(weights, start)
        kept = (X.copy(), weights.copy()) if self._held is not None else None
        return len(X), Glance(low, high, run_sums(weights), weights[weights > 0], kept)

    def _extremes(self, start: int, X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        size = max(1, SURVEY_BYTES // (8 * X.shape[1]))
        found = [extremes(X[at : at + size]) for at in range(0, len(X), size)]
        for number, ends in enumerate(found):
            if not np.isfinite(ends).all():
                at = number * size
                raise not_finite(X[at : at + size], start + at, self._source, self._reader)
        lows, highs = zip(*found, strict=True)
        return np.min(lows, axis=0), np.max(highs, axis=0)

    def add(self, seen: tuple[int, Glance]) -> None:
        """Take what is known of the next rows."""
        n_rows, glance = seen
        self._rows += n_rows
        np.minimum(self._low, glance.low, out=self._low)
        np.maximum(self._high, glance.high, out=self._high)
        self._sums += glance.sums
        if len(glance.positive):
            self._positive += len(glance.positive)
            self._least = min(self._least, float(glance.positive.min()))
            self._greatest = max(self._greatest, float(glance.positive.max()))
        if self._held is not None and glance.rows is not None:
            self._held.append(glance.rows)
            if self._rows * self._source.n_features * self._source.dtype.itemsize > self._hold:
                self._held = None

    def found(self) -> Survey:
        """Return what is known after the last row."""
        if self._sums and not self._positive:
            raise DataError("Sample weights must contain at least one non-zero number: every weight is zero.")
        weight = float(np.sum(self._sums)) if self._sums else float(self._rows)
        held = None
        if self._held:
            parts = list(zip(*self._held, strict=True))
            held = np.concatenate(parts[0]), np.concatenate(parts[1])
        return Survey(self._rows, self._low, self._high, weight, self._positive, self._least, self._greatest, held)


def check_span(X: NDArray[Any], start: int, source: AbstractSource, reader: AbstractReader) -> None:
    """Raise `DataError` if rows that were read hold NaN or infinities."""
    if not (np.isfinite(X.min()) and np.isfinite(X.max())):
        raise not_finite(X, start, source, reader)


def not_finite(X: NDArray[Any], start: int, source: AbstractSource, reader: AbstractReader) -> DataError:
    """Return the error that names the first value of X that is not finite; `start` is the number of its first row."""
    row, column = (int(n) for n in np.unravel_index(int((~np.isfinite(X)).argmax()), X.shape))
    what = "NaN" if np.isnan(X[row, column]) else f"infinity or a value too large for dtype('{X.dtype}')"
    named = f" ({source.columns[column]!r})" if source.columns else ""
    place = reader.where(start + row)
    n_nan, n_bad = int(np.isnan(X).sum()), int((~np.isfinite(X)).sum())
    counts = " and ".join(f"{n} {kind}" for n, kind in ((n_nan, "NaN"), (n_bad - n_nan, "infinite")) if n)
    return DataError(
        f"Input X contains {what}, the first at row {start + row}, column {column}{named}"
        f"{': ' + place if place else ''} ({source.name}). Of the rows {start} … {start + len(X) - 1}, "
        f"where reading ended, {counts}. Remove these rows or fill in the values."
    )
