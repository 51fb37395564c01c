"""Rows: where data live. Each kind can be walked in spans, any number of times.

`fit`, `predict`, `score` and `fastgmm.expectation` take arrays, data frames, memory maps, HDF5 and Zarr arrays, Arrow
tables and datasets, and callables as they are. The functions here are for what has to be said besides: which columns,
which of them are weights, which files. Each gives a source that can be handed over in the place of an array::

    gm.fit(fastgmm.rows.parquet("folder/*.parquet", columns=["x", "y"], weight="w"))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "AbstractSource": "fastgmm.rows.sources",
    "arrow": "fastgmm.rows.arrow_tables",
    "block_rows": "fastgmm.rows.limits",
    "budget": "fastgmm.rows.limits",
    "chunks": "fastgmm.rows.iterables",
    "frame": "fastgmm.rows.data_frames",
    "npy": "fastgmm.rows.npy_files",
    "parquet": "fastgmm.rows.parquet_files",
    "sliced": "fastgmm.rows.slices",
}

__all__ = [*sorted(_HOMES)]

if TYPE_CHECKING:
    from fastgmm.rows.arrow_tables import arrow as arrow
    from fastgmm.rows.data_frames import frame as frame
    from fastgmm.rows.iterables import chunks as chunks
    from fastgmm.rows.limits import block_rows as block_rows
    from fastgmm.rows.limits import budget as budget
    from fastgmm.rows.npy_files import npy as npy
    from fastgmm.rows.parquet_files import parquet as parquet
    from fastgmm.rows.slices import sliced as sliced
    from fastgmm.rows.sources import AbstractSource as AbstractSource


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastgmm.rows' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
