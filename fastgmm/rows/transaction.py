"""Transactions on a Dask cluster: tasks of which all must come back, tried again, but never for ever."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, KilledWorker, wait
from distributed.comm import CommClosedError

from fastgmm.errors import DistributedError

LOST = (KilledWorker, CancelledError, CommClosedError, TimeoutError, OSError)
"""What a task ends with if the cluster, not the task, failed."""

LOOK = 1.0
"""Seconds between two looks at whether there are workers."""

FETCH = 4.0
"""Seconds after which a look is taken at whether results are still there."""


@dataclass(frozen=True)
class Limits:
    """How long a cluster may take before a fit gives up."""

    deadline: float = 3600.0
    """Seconds of one attempt at a pass."""
    patience: float = 30.0
    """Seconds without any worker."""
    attempts: int = 3
    """At a pass, each from the beginning with the same parameters."""


def together(client: Client, submit: Callable[[int], list[Future]], limits: Limits) -> list[Any]:
    """Return the results of all tasks of submit(attempt), or raise; no task is left behind.

    Raises
    ------
    DistributedError
        If the cluster lost all its workers for longer than it may, or tasks with each attempt.
    Exception
        What a task raises: that is not tried again.
    """
    reason: BaseException | str = ""
    for attempt in range(limits.attempts):
        if attempt:
            time.sleep(min(0.25 * 2**attempt, limits.patience))
        futures: list[Future] = []
        try:
            futures = submit(attempt)
            _await(client, futures, limits)
            return _fetched(client, futures, limits)
        except LOST as error:
            reason = error
        finally:
            if futures and not all(future.done() for future in futures):
                _cancel(client, futures)
    raise DistributedError(
        f"The cluster at {_address(client)} failed {limits.attempts} times to finish a pass over the rows, the last "
        f"time with {type(reason).__name__}: {reason}. Look at its workers' logs; then fit again, from the last "
        "checkpoint if there is one."
    ) from (reason if isinstance(reason, BaseException) else None)


def _await(client: Client, futures: list[Future], limits: Limits) -> None:
    """Wait until all tasks are done; raise if that cannot be, or takes too long."""
    began = alive = time.monotonic()
    while True:
        try:
            with client.as_current():  # `wait` asks for a default
                wait(futures, timeout=LOOK)
            return
        except TimeoutError:
            now = time.monotonic()
        if client.status != "running":
            raise DistributedError(f"The connection to the scheduler at {_address(client)} is lost.")
        if client.scheduler_info()["workers"]:
            alive = now
        elif now - alive > limits.patience:
            raise DistributedError(
                f"The cluster at {_address(client)} has had no worker for {limits.patience:g} s: all are lost, and the "
                "pass over the rows with them. Start workers; then fit again, from the last checkpoint if there is one."
            )
        if now - began > limits.deadline:
            raise TimeoutError(f"a pass took longer than {limits.deadline:g} s")


def _fetched(client: Client, futures: list[Future], limits: Limits) -> list[Any]:
    """Return results that are ready; raise if a worker died with one, for which Dask may wait for ever."""
    began, patience = time.monotonic(), FETCH
    while True:
        try:
            return client.sync(client._gather, futures, callback_timeout=patience)
        except TimeoutError:
            where = client.who_has(futures)
            if time.monotonic() - began > limits.deadline or not all(where.get(one.key) for one in futures):
                raise
            patience *= 2


def _cancel(client: Client, futures: list[Future]) -> None:
    """Withdraw tasks; a cluster that is gone has none."""
    with contextlib.suppress(*LOST):
        client.cancel(futures, force=True)


def _address(client: Client) -> str:
    return client.scheduler.address if client.scheduler is not None else "an unknown address"
