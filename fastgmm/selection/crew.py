"""Crews: threads that take parts of many short pieces of work, and live as long as the search does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Crew:
    """`size` threads, the caller's among them: starting others for every batch took a third of its time.

    Who takes which part does not matter to what comes out: parts write to places of their own.
    """

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size - 1, thread_name_prefix="fastgmm-crew") if size > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def share(self, work: Callable[[int], None], parts: int) -> None:
        """Do all parts, each by whoever is free."""
        if self._pool is None or parts == 1:
            for part in range(parts):
                work(part)
            return
        waiting = iter(range(parts))

        def take() -> None:
            for part in waiting:
                work(part)

        others = [self._pool.submit(take) for _ in range(self.size - 1)]
        try:
            take()
        finally:
            for other in others:
                other.result()


ALONE = Crew()
