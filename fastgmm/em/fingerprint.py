"""Fingerprints: whether the rows, or the settings, of two fits are the same, and if not, what differs."""

from __future__ import annotations

import dataclasses
import hashlib
from numbers import Real
from typing import Any

import numpy as np

from fastgmm.rows.base import AbstractRows

WHOLE_BYTES = 1 << 30
"""Rows up to this many bytes are read whole; of more, so many that lie evenly between the first and the last."""

SOME_ROWS = 1 << 16

SPAN_ROWS = 1 << 12


def of_rows(rows: AbstractRows) -> dict[str, str]:
    """Return what is told of rows by names that errors show; readers and threads make no difference."""
    contents, weights = hashlib.sha256(), hashlib.sha256()
    if rows.n_rows * rows.n_features * rows.dtype.itemsize <= WHOLE_BYTES:
        for _, X, w in rows.spans(SPAN_ROWS, 1):
            contents.update(X.data)
            weights.update(w.tobytes())
    else:
        X, w = rows.take(np.linspace(0, rows.n_rows - 1, SOME_ROWS).astype(np.intp))
        contents.update(X.tobytes())
        weights.update(w.tobytes())
    return {
        "number of rows": str(rows.n_rows),
        "number of features": str(rows.n_features),
        "dtype": str(rows.dtype),
        "least values": digest(rows.low),
        "greatest values": digest(rows.high),
        "values of the rows": contents.hexdigest()[:32],
        "sum of the weights": repr(float(rows.weight)),
        "weights of the rows": weights.hexdigest()[:32],
    }


def digest(array: Any) -> str:
    """Return an array's shape and checksum."""
    values = np.ascontiguousarray(array, dtype=np.float64)
    return f"array {values.shape} {hashlib.sha256(values.tobytes()).hexdigest()[:32]}"


def told(value: Any) -> str:
    """Return a parameter in words that are the same for the same value: 1 and 1.0, a list and an array."""
    if value is None or isinstance(value, str | bool | np.bool_):
        return str(value)
    if isinstance(value, Real):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(value, np.random.RandomState | np.random.Generator):
        return f"a {type(value).__name__}"  # its state is the checkpoint's
    if dataclasses.is_dataclass(value):
        parts = (f"{f.name}={told(getattr(value, f.name))}" for f in dataclasses.fields(value))
        return f"{type(value).__name__}({', '.join(parts)})"
    return digest(value)


def difference(here: dict[str, str], there: dict[str, str]) -> str:
    """Name what differs, with the values where they are short; empty if nothing does."""
    found = []
    for name in sorted({*here, *there}):
        ours, theirs = here.get(name, "unknown"), there.get(name, "unknown")
        if ours != theirs:
            short = max(len(ours), len(theirs)) <= 40 and "array" not in ours + theirs and " of the rows" not in name
            found.append(f"{name} ({ours} here, {theirs} in the checkpoint)" if short else name)
    return ", ".join(found)
