"""Rows on a Dask cluster: a fit sends tasks to where partitions lie, and adds the sums that come back.

Partitions stay with the workers, and are remade by Dask from what they were made of if a worker dies; only rows at the
seams of whole blocks move. An iteration is one task for each thread of a worker. It takes its parameters as bytes in
its arguments, has a key of its own, and changes nothing, so it can be done again by anybody. Sums are added in the
order of blocks: the same bits as from an array, whatever the cluster is and whatever became of it meanwhile.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgmm.errors import DataError, missing_extra
from fastgmm.rows.file_pieces import FilePart, pieces_of, weights_in
from fastgmm.rows.npy_files import mapped
from fastgmm.rows.partitions import Stretch, shared_out
from fastgmm.rows.parts import VERSION, Part, Summary, partition_of, summary_of
from fastgmm.rows.remote import AbstractRemoteRows, Bundle, Extent, bundle_of
from fastgmm.rows.sources import AbstractSource
from fastgmm.threads import Team, available
from fastgmm.validation import check_rows

try:
    import distributed
    from distributed import Client, Future, LocalCluster
    from distributed.protocol import pickle as cloud

    from fastgmm.rows.transaction import Limits, together
except ImportError:
    raise missing_extra("distributed", "dask") from None

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FEW = 8
"""Up to so many tasks carry the parameters themselves; more fetch them from one, which costs a step more."""

MERGED, FAN_IN = 64, 16
"""Sums of more tasks than MERGED are merged on workers first, FAN_IN of them at a time, until they are fewer."""

LOOK = 10.0
"""Seconds between two looks at which workers there are, where nothing tells that one came or went."""

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
    cluster = _Cluster(client, limits or Limits())
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
    cluster = _Cluster(client, options.pop("limits", None) or Limits())
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
        with _large_arguments():
            return [
                cluster.submit(_same, piece, place=places[len(places) * number // len(pieces)] if places else "")
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


class DaskRows(AbstractRemoteRows):
    """Rows in the memory of a cluster's workers; `collection_rows` makes them."""

    def __init__(self, cluster: _Cluster, chunks: Callable[[list[str]], list[Future]], team: Team) -> None:
        self.team = team
        self._cluster = cluster
        self._chunks = chunks
        self._held = _Held()
        self.know(self._load())

    @property
    def bundles(self) -> Sequence[Sequence[Extent]]:  # type: ignore[override]
        """The runs of each bundle."""
        return [[(one.start, one.stop) for one in stretches] for stretches in self._held.plan]

    def _load(self) -> list[Summary]:
        """Compute the partitions as matrices where they lie, and look through them."""

        def submit(attempt: int) -> list[Future]:
            chunks = self._chunks(_seats(self._cluster.workers()))
            self._held.parts = [
                self._cluster.submit(partition_of, chunk, number, VERSION) for number, chunk in enumerate(chunks)
            ]
            return [self._cluster.submit(summary_of, part) for part in self._held.parts]

        summaries = self._cluster.together(submit)
        if not summaries:
            raise DataError("X has no partition; give a collection with at least one row.")
        self._held.lengths = [one.shape[0] for one in summaries]
        return summaries

    def place(self) -> None:
        """Share the rows out among the workers that there are now."""
        from fastgmm.kernels.layout import block_rows

        held = self._held
        held.workers = self._cluster.workers()
        places = _seats(held.workers) or [""]
        where = self._cluster.client.who_has(held.parts)
        owners = [next(iter(sorted(where.get(part.key, ()))), "") for part in held.parts]
        held.owners = owners
        shared = shared_out(held.lengths, owners, places, block_rows(self.n_features))
        held.places = [place for place, stretches in zip(places, shared, strict=True) if stretches]
        held.plan = [stretches for stretches in shared if stretches]
        held.futures = self._bundled()

    def _bundled(self) -> list[Future]:
        """Submit the tasks that join each bundle's parts where it is to lie."""
        with _large_arguments():
            return [self._bundle(place, some) for place, some in zip(self._held.places, self._held.plan, strict=True)]

    def _bundle(self, place: str, stretches: list[Stretch]) -> Future:
        parts = []
        for one in (one for stretch in stretches for one in stretch.slices):
            part, owner = self._held.parts[one.partition], self._held.owners[one.partition]
            if (one.start, one.stop) != (0, self._held.lengths[one.partition]):
                part = self._cluster.submit(_cut, part, one.start, one.stop, place=owner)
            parts.append(part)
        weights = [self.weights_of(one.start, one.stop) for one in stretches]
        return self._cluster.submit(bundle_of, stretches, weights, self.dtype, parts, place=place)

    def each(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...] | None]) -> list[Any]:
        """Call a function on each bundle where it lies: one transaction."""
        return self._each(function, arguments)

    def _each(
        self,
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...] | None],
        merge: Callable[[Any, Any], Any] | None = None,
    ) -> list[Any]:
        held = self._held
        chosen = [i for i, some in enumerate(arguments) if some is not None]

        def submit(attempt: int) -> list[Future]:
            if attempt > 1:  # what there was cannot be had any more
                self._load()
            if attempt:
                held.futures = self._bundled()
            calls = self._calls(function, [(i, arguments[i] or ()) for i in chosen])
            while merge is not None and len(calls) > MERGED:
                groups = [calls[i : i + FAN_IN] for i in range(0, len(calls), FAN_IN)]
                calls = [self._cluster.submit(_merged, merge, group) for group in groups]
            return calls

        results = self._cluster.together(submit)
        self._follow([held.places[i] for i in chosen], [place for places, _ in results for place in places])
        if merge is not None:
            return [cloud.loads(result) for _, result in results]
        every: list[Any] = [None] * len(arguments)
        for i, (_, result) in zip(chosen, results, strict=True):
            every[i] = cloud.loads(result)
        return every

    def reduced(
        self,
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        """Merge results: on workers too, if there are many."""
        results = self._each(function, arguments, merge)
        return functools.reduce(merge, results)

    def _calls(self, function: Callable[..., Any], arguments: list[tuple[int, tuple[Any, ...]]]) -> list[Future]:
        held, packed = self._held, [(i, some[:1], _packed(some[1:])) for i, some in arguments]
        first = arguments[0][1][:1] if arguments else ()
        common: Any = _packed(first)
        alike = all(some and some[0] is first[0] for _, some, _ in packed)
        if alike and len(packed) > FEW:
            common = self._cluster.submit(_same, common)
        with _large_arguments():
            return [
                self._cluster.submit(
                    _here, function, held.futures[i], common if alike else _packed(some), rest, place=held.places[i]
                )
                for i, some, rest in packed
            ]

    def _follow(self, planned: list[str], found: list[str]) -> None:
        """Share the rows out anew if workers came or went."""
        now = time.monotonic()
        if planned == found and now - self._held.looked < LOOK:
            return
        self._held.looked = now
        if (workers := self._cluster.workers()) and workers != self._held.workers:
            self.place()


class _Held:
    """What the cluster holds for some rows, whichever frame they are in."""

    def __init__(self) -> None:
        self.parts: list[Future] = []
        self.lengths: list[int] = []
        self.owners: list[str] = []
        self.workers: dict[str, int] = {}
        self.places: list[str] = []
        self.plan: list[list[Stretch]] = []
        self.futures: list[Future] = []
        self.looked = time.monotonic()


class _Cluster:
    """A client with our manner of submitting: keys of our own, any worker if the right one is gone."""

    _numbers = count()

    def __init__(self, client: Client | None, limits: Limits) -> None:
        self.limits = limits
        if client is None:
            try:
                client = distributed.default_client()
            except ValueError:
                client = self._embedded()
        self.client = client
        self._name = f"{id(self):x}-{time.time_ns():x}"

    def _embedded(self) -> Client:
        """Start a cluster of threads in this process, which ends with these rows."""
        cluster = LocalCluster(
            n_workers=1, threads_per_worker=available(), processes=False, dashboard_address=":0", memory_limit=None
        )
        client = Client(cluster, set_as_default=False)
        weakref.finalize(self, _close, client, cluster)
        return client

    def submit(self, function: Callable[..., Any], *arguments: Any, place: str = "") -> Future:
        """Submit a task for a place, or for any worker."""
        key = f"fastgmm-{function.__name__}-{self._name}-{next(self._numbers)}"
        where = {"workers": [place], "allow_other_workers": True} if place else {}
        return self.client.submit(function, *arguments, key=key, pure=False, **where)

    def together(self, submit: Callable[[int], list[Future]]) -> list[Any]:
        """Return the results of tasks, all or none."""
        return together(self.client, submit, self.limits)

    def workers(self) -> dict[str, int]:
        """Return how many threads each worker has, by its address."""
        return dict(self.client.ncores())


def _seats(workers: dict[str, int]) -> list[str]:
    """Return the address of a worker once for each of its threads."""
    return [address for address, threads in sorted(workers.items()) for _ in range(threads)]


def _close(client: Client, cluster: LocalCluster) -> None:
    client.close()
    cluster.close()


def _here(function: Callable[..., Any], bundle: Bundle, *arguments: bytes) -> tuple[list[str], Any]:
    """Call a function on a worker, and tell which that is."""
    result = function(bundle, *(one for packed in arguments for one in cloud.loads(packed)))
    return [distributed.get_worker().address], _packed(result)


def _packed(thing: Any) -> bytes:
    """Pickle a thing in one piece: each array by itself would be a message, and small messages wait for each other."""
    return cloud.dumps(thing)


def _merged(merge: Callable[[Any, Any], Any], results: list[tuple[list[str], Any]]) -> tuple[list[str], Any]:
    """Merge what `_here` returned."""
    result = functools.reduce(merge, [cloud.loads(one) for _, one in results])
    return [place for places, _ in results for place in places], _packed(result)


def _cut(part: Part | FilePart, start: int, stop: int) -> Part | FilePart:
    return part.cut(start, stop)


def _same(thing: Any) -> Any:
    return thing


def _large_arguments() -> Any:
    """Send large arguments without Dask's warning: they are sent once, and are to be kept by the scheduler."""
    import dask

    return dask.config.set({"distributed.admin.large-graph-warning-threshold": 1 << 62})


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
