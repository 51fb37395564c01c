"""Rows on a Dask cluster: a fit sends tasks to where partitions lie, and adds the sums that come back.

Partitions stay with the workers, and are remade by Dask from what they were made of if a worker dies; only rows at the
seams of whole blocks move. An iteration is one task for each thread of a worker. It takes its parameters as bytes in
its arguments, has a key of its own, and changes nothing, so it can be done again by anybody. Sums are added in the
order of blocks: the same bits as from an array, whatever the cluster is and whatever became of it meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgmm.errors import DataError, missing_extra
from fastgmm.rows.file_pieces import pieces_of, weights_in
from fastgmm.rows.npy_files import mapped
from fastgmm.rows.sources import AbstractSource
from fastgmm.threads import Team
from fastgmm.validation import check_rows

try:
    from fastgmm.rows.dask_bundles import DaskRows
    from fastgmm.rows.dask_cluster import Cluster, itself, large_arguments
    from fastgmm.rows.transaction import Limits
except ImportError:
    raise missing_extra("distributed", "dask") from None

if TYPE_CHECKING:
    from distributed import Client, Future
    from numpy.typing import ArrayLike

PART_BYTES = 64 << 20
"""Rows of an array that travel to the cluster as one partition."""

KEPT = 1 << 30
"""Bytes of rows of files that a worker holds, if they fit so."""


def collection_rows(
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    client: Client | None = None,
    min_rows: int = 1,
    n_features: int | None = None,
    weight_type: str = "frequency",
    limits: Limits | None = None,
    n_threads: int = 1,
) -> DaskRows:
    """Return the rows of a Dask array or data frame, for `GaussianMixture.fit` and whatever else takes rows.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame of shape (N, D)
        Computed once, if it is not persisted, and kept by the workers while the rows are in use.
    sample_weight : array-like of shape (N,), optional
        A Dask collection is computed: weights pass through this process.
    client : distributed.Client, optional
        Default: the current one; if there is none, a cluster of threads in this process, for as long as the rows are
        in use.
    min_rows, n_features, weight_type
        What is required, as for `fastgmm.backend.as_rows`.
    limits : Limits, optional
        How long the cluster may take.
    n_threads : int, default=1
        Of a task, for workers that were started with fewer threads than they have processors.

    Raises
    ------
    DataError, DataTypeError
        If X is not a finite numeric matrix; the partition is named.
    DistributedError
        If the cluster cannot do it, or has another version of fastgmm.

    Examples
    --------
    >>> import dask.array as da                                                               # doctest: +SKIP
    >>> from fastgmm import GaussianMixture                                                   # doctest: +SKIP
    >>> X = da.random.standard_normal((1_000_000, 4), chunks=(100_000, 4))                    # doctest: +SKIP
    >>> gm = GaussianMixture(3, random_state=0).fit(X)                                        # doctest: +SKIP
    """
    _check_kind(X)
    if hasattr(sample_weight, "__dask_graph__"):
        sample_weight = sample_weight.compute()  # type: ignore[union-attr]
    cluster = Cluster(client, limits or Limits())
    rows = DaskRows(cluster, lambda places: _chunks(X, cluster.client, places), Team(n_threads, "serial"))
    rows.require(sample_weight, min_rows, n_features, weight_type)
    rows.place()
    return rows


def distribute(
    X: Any, sample_weight: ArrayLike | None = None, *, client: Client | None = None, keep: int = KEPT, **options: Any
) -> DaskRows:
    """Take rows to a cluster, and return them as what `fit` takes: files by their names, an array by its bytes.

    Parameters
    ----------
    X : source of `fastgmm.rows.npy` or `fastgmm.rows.parquet`, memory map of a .npy file, or array-like (N, D)
        Each worker reads its own rows of files, which it must see under the same names; what is lost with a worker is
        read again by others. An array is sent, and the scheduler keeps it as well, so that no worker's death loses
        any: for rows that fit into its memory.
    sample_weight : array-like of shape (N,), optional
    client : distributed.Client, optional
        As of `collection_rows`.
    keep : int, default=1 GiB
        Bytes of rows that each worker may hold. Rows of files that fit so into all workers are read once; others are
        read in each pass, some MiB at a time.
    **options
        Others of `collection_rows`.

    Raises
    ------
    DataError, DistributedError
        As by `collection_rows`; also for files that a worker does not see, or that change.

    Examples
    --------
    >>> from fastgmm import GaussianMixture, rows                                             # doctest: +SKIP
    >>> from fastgmm.rows.dask import distribute                                              # doctest: +SKIP
    >>> gm = GaussianMixture(3).fit(distribute(rows.parquet("shared/rows/"), client=client))  # doctest: +SKIP
    """
    cluster = Cluster(client, options.pop("limits", None) or Limits())
    X = (mapped(X) if isinstance(X, np.ndarray) else None) or X
    if isinstance(X, AbstractSource):
        if sample_weight is None:
            sample_weight = weights_in(X)
        pieces: list[Any] = list(pieces_of(X, PART_BYTES))
        size = sum(len(piece) for piece in pieces) * X.n_features * X.dtype.itemsize
        fits = size <= keep * max(1, len(cluster.workers()))
        pieces = [replace(piece, kept=fits) for piece in pieces]
    else:
        array = check_rows(X)
        rows = max(1, PART_BYTES // (8 * array.shape[1]))
        pieces = [np.ascontiguousarray(array[start : start + rows]) for start in range(0, len(array), rows)]

    def chunks(places: list[str]) -> list[Future]:
        with large_arguments():
            return [
                cluster.submit(itself, piece, place=places[len(places) * number // len(pieces)] if places else "")
                for number, piece in enumerate(pieces)
            ]

    threads = options.pop("n_threads", 1)
    found = DaskRows(cluster, chunks, Team(threads, "serial"))
    found.require(
        sample_weight,
        options.pop("min_rows", 1),
        options.pop("n_features", None),
        options.pop("weight_type", "frequency"),
    )
    found.place()
    return found


def _check_kind(X: Any) -> None:
    """Refuse what is known to be wrong before anything is computed."""
    shape = getattr(X, "shape", ())
    sizes = [size for size in shape if isinstance(size, int | np.integer)]
    dtype = getattr(X, "dtype", None)
    if not hasattr(X, "to_delayed"):
        raise DataError(
            f"X is a Dask {type(X).__name__}, which has no partitions of rows. Give a dask.array or a dask.dataframe."
        )
    if isinstance(dtype, np.dtype) and (len(shape) != 2 or len(sizes) == 2):
        check_rows(np.broadcast_to(np.zeros((), dtype), tuple(1 if s != s else int(s) for s in shape)), min_rows=0)


def _chunks(X: Any, client: Client, places: list[str]) -> list[Future]:
    """Return the futures of a collection's partitions, in order; columns in one block.

    What is still to be computed is computed by neighbours, so that each place has one long run: fewer sums to fetch.
    """
    if hasattr(X, "rechunk") and X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    chunks = list(np.ravel(X.to_delayed()))
    if not places:
        return client.compute(chunks)
    futures: list[Future] = []
    for number, place in enumerate(places):
        some = slice(len(chunks) * number // len(places), len(chunks) * (number + 1) // len(places))
        if chunks[some]:
            futures += client.compute(chunks[some], workers=[place], allow_other_workers=True)
    return futures
