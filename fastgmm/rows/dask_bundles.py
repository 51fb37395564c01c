"""Rows in the memory of a Dask cluster's workers: bundles of whole blocks, and the calls that are made on them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import distributed
from distributed import Future
from distributed.protocol import pickle as cloud

from fastgmm.errors import DataError
from fastgmm.rows.dask_cluster import Cluster, itself, large_arguments, seats
from fastgmm.rows.file_pieces import FilePart
from fastgmm.rows.partitions import Stretch, shared_out
from fastgmm.rows.parts import VERSION, Part, Summary, partition_of, summary_of
from fastgmm.rows.remote import AbstractRemoteRows, Bundle, Extent, bundle_of
from fastgmm.threads import Team

FEW = 8
"""Up to so many tasks carry the parameters themselves; more fetch them from one, which costs a step more."""

MERGED, FAN_IN = 64, 16
"""Sums of more tasks than MERGED are merged on workers first, FAN_IN of them at a time, until they are fewer."""

LOOK = 10.0
"""Seconds between two looks at which workers there are, where nothing tells that one came or went."""


class DaskRows(AbstractRemoteRows):
    """Rows in the memory of a cluster's workers; `rows.dask` makes them."""

    def __init__(self, cluster: Cluster, chunks: Callable[[list[str]], list[Future]], team: Team) -> None:
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
            chunks = self._chunks(seats(self._cluster.workers()))
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
        places = seats(held.workers) or [""]
        where = self._cluster.client.who_has(held.parts)
        owners = [next(iter(sorted(where.get(part.key, ()))), "") for part in held.parts]
        held.owners = owners
        shared = shared_out(held.lengths, owners, places, block_rows(self.n_features))
        held.places = [place for place, stretches in zip(places, shared, strict=True) if stretches]
        held.plan = [stretches for stretches in shared if stretches]
        held.futures = self._bundled()

    def _bundled(self) -> list[Future]:
        """Submit the tasks that join each bundle's parts where it is to lie."""
        with large_arguments():
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
            common = self._cluster.submit(itself, common)
        with large_arguments():
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
