"""A Dask cluster in our manner: keys of our own, any worker if the right one is gone, results all or none."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

import dask
import distributed
from distributed import Client, Future, LocalCluster

from fastgmm.rows.transaction import Limits, together
from fastgmm.threads import available


class Cluster:
    """A client with our manner of submitting."""

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


def _close(client: Client, cluster: LocalCluster) -> None:
    client.close()
    cluster.close()


def seats(workers: dict[str, int]) -> list[str]:
    """Return the address of a worker once for each of its threads."""
    return [address for address, threads in sorted(workers.items()) for _ in range(threads)]


def large_arguments() -> Any:
    """Send large arguments without Dask's warning: they are sent once, and are to be kept by the scheduler."""
    return dask.config.set({"distributed.admin.large-graph-warning-threshold": 1 << 62})


def itself(thing: Any) -> Any:
    """Return a thing: the task by which it is sent once, for many."""
    return thing
