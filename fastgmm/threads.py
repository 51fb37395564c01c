"""Teams: how many threads a call may use, and which way of using them is safe where the call is made.

Numba's own threads serve the main thread of a process that was not forked. Elsewhere (other threads, forked or worker
processes) its workqueue layer aborts the process and OpenMP kills the child, so there the serial kernels run, on a pool
of Python threads if more than one is asked for. All ways form the same sums.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

Result = TypeVar("Result")

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


NO_LIMIT = nullcontext()

_limits = threading.local()
"""`size`: how many threads this one has Numba use at the moment, if a team told it."""


@dataclass(frozen=True)
class Team:
    """`size` threads, of Numba's (`parallel`) or of Python's (`serial` kernels)."""

    size: int
    mode: Literal["parallel", "serial"]

    def suited(self, n_rows: int, block: int) -> Team:
        """Return the team for so many rows: one thread for one block, which spares compiling the parallel kernel."""
        return ALONE if n_rows <= block else self

    def variant(self, kernel: Callable[[Any], Callable[..., None]]) -> tuple[Callable[..., None], int]:
        """Return a kernel's variant that suits the team, and into how many parts to cut its work."""
        return (kernel("parallel"), self.size) if self.mode == "parallel" else (kernel("serial"), 1)

    def run(self, kernel: Callable[[Any], Callable[..., None]], *arguments: Any) -> None:
        """Run a kernel in the variant that suits the team."""
        chosen, parts = self.variant(kernel)
        with self.limit():
            chosen(parts, *arguments)

    def limit(self) -> AbstractContextManager[None]:
        """Let Numba use `size` threads, and restore what was set before; nothing is to be done within such a limit."""
        if self.mode == "serial" or getattr(_limits, "size", None) == self.size:
            return NO_LIMIT
        return self._limited()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        import numba

        before, outer = numba.get_num_threads(), getattr(_limits, "size", None)
        numba.set_num_threads(self.size)
        _limits.size = self.size
        try:
            yield
        finally:
            _limits.size = outer
            numba.set_num_threads(before)

    def map(self, function: Callable[[Any], Result], items: Iterable[Any]) -> list[Result]:
        """Call serial kernels on `items`, in order, in `size` Python threads."""
        pieces = list(items)
        if self.size == 1 or len(pieces) == 1:
            return [function(item) for item in pieces]
        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(function, pieces))


ALONE = Team(1, "serial")


def team(n_threads: int | None = None) -> Team:
    """Return the team for a call made here.

    Parameters
    ----------
    n_threads : int or None
        None: ``FASTGMM_NUM_THREADS`` if set, else all processors this process may use, but one in a worker process.

    Raises
    ------
    ValueError
        If `n_threads` is not a positive integer.
    """
    if n_threads is None and (setting := os.environ.get("FASTGMM_NUM_THREADS")):
        if not setting.isdecimal() or int(setting) < 1:
            raise ValueError(f"FASTGMM_NUM_THREADS must be a positive integer, but is {setting!r}.")
        n_threads = int(setting)
    if n_threads is not None and (isinstance(n_threads, bool) or not hasattr(n_threads, "__index__") or n_threads < 1):
        raise ValueError(f"n_threads must be a positive integer or None, but is {n_threads!r}.")
    alone = not _forked and not _in_worker()
    safe = alone and threading.current_thread() is threading.main_thread()
    if n_threads is None:
        n_threads = available() if alone else 1
    if n_threads == 1 or not safe:
        return Team(int(n_threads), "serial")
    import numba

    # Numba cannot start more threads than it was configured for; Python can.
    return Team(int(n_threads), "parallel" if n_threads <= numba.config.NUMBA_NUM_THREADS else "serial")


def _in_worker() -> bool:
    """Whether this is a process that another one made to work in parallel with others."""
    return multiprocessing.parent_process() is not None or "LOKY_WORKER" in os.environ or _is_dask_worker()


def _is_dask_worker() -> bool:
    worker = sys.modules.get("distributed.worker")
    instances = getattr(worker.Worker, "_instances", ()) if worker is not None else ()
    # Those that closed linger until they are collected.
    return any(getattr(getattr(one, "status", None), "name", "") != "closed" for one in list(instances))


def available() -> int:
    """Processors that this process may use: its affinity, cut by a control group's quota and ``OMP_NUM_THREADS``."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _control_group_quota()
    if quota is not None:
        count = min(count, max(1, int(quota)))
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        setting = os.environ.get(name, "")
        if setting.isdecimal() and int(setting) > 0:
            count = min(count, int(setting))
    return count


def _control_group_quota() -> float | None:
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return None if quota == "max" else float(quota) / float(period)
    except (OSError, ValueError):
        return None
