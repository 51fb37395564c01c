"""How rows are cut, and what reading them may take of memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgmm.threads import available

LEAST_SPAN_BYTES, SPAN_BYTES_PER_THREAD = 16 << 20, 2 << 20
"""A span of rows: two threads have an even share of the blocks in 16 MiB, more threads want more."""

SPANS = 3
"""One that is computed with, one that waits, one that is being filled."""

PIECE_BYTES = 4 << 20
"""Of a span that one thread reads and sums by itself.

Milliseconds of a pass over 256 MiB in the page cache, D = 2, K = 2 | the same in float32 | D = 4, K = 4, float32, two
cores: rows in memory 26 | 20 | 17; pieces of 1, 2, 4, 8 MiB 41, 39, 37, 36 | 28, 27, 25, 26 | 23, 22, 21, 21. Tried at
4 MiB: a thread that reads ahead of two that compute 45 | 29 | 27; pieces mapped, populated and unmapped 40 | 27 | 23;
one map whose pages are let go 38 | 26 | 24, and kept 27 | 20 | 17, which takes memory without bounds, and dies of files
that shrink. A core reads 14 GB/s and computes with 5 there: what is lost is the copy.
"""

CHUNK_BYTES = 4 << 20
"""What a reader asks its file for at once."""


def span_bytes() -> int:
    """Return what a span of rows may take."""
    return max(LEAST_SPAN_BYTES, SPAN_BYTES_PER_THREAD * available())


def budget() -> int:
    """Return the bytes that a pass over rows outside memory takes at most, whatever their number.

    Three spans of rows, or two spans' worth of shorter pieces, and what its reader holds: 64 MiB, or 8 MiB a thread
    where that is more. What a reader holds beyond a quarter of it is the source's own doing: a chunk that a callable
    gives, a storage chunk of an HDF5 or Zarr array, pages of a Parquet file.

    Examples
    --------
    >>> import fastgmm
    >>> fastgmm.rows.budget() >= 64 << 20
    True
    """
    return (SPANS + 1) * span_bytes()


def block_rows(n_features: int, dtype: Any = np.float64) -> int:
    """Return the rows of a block, the unit of summation.

    Sums are formed by blocks, counted from the first row, so that their bits depend on nothing but the rows. Chunks may
    be cut anywhere; those of whole blocks (the last may be short) are not cut again.

    Parameters
    ----------
    n_features : int
        D.
    dtype : dtype, default=float64
        Of the rows. Blocks have the same number of rows whichever it is.

    Raises
    ------
    ValueError
        If `n_features` is not positive.

    Examples
    --------
    >>> import fastgmm
    >>> fastgmm.rows.block_rows(16)
    3072
    """
    from fastgmm.kernels import layout

    if n_features < 1:
        raise ValueError(f"n_features must be a positive integer, but is {n_features!r}.")
    np.dtype(dtype)
    return layout.block_rows(n_features)
