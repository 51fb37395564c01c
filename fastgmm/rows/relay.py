"""A relay: threads that read in turn, each of which computes with what it has read while the next one reads.

What a thread has read lies in its core's cache, and no thread waits for another but for its turn. Where several can
read at once, as they can from a file, only setting out to read is done in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock, Semaphore, Thread
from typing import Generic, TypeVar

Buffer = TypeVar("Buffer")
Given = TypeVar("Given")
Result = TypeVar("Result")

WAITING = 2
"""Results for each thread that may wait for an earlier one."""


class Relay(Generic[Buffer, Given, Result]):
    """A walk by as many threads as there are buffers.

    Parameters
    ----------
    begin : callable
        Sets out to fill a buffer, and returns what is left to do for that, which gives what was read; None at the end.
        Called by one thread at a time, in the order of the rows.
    use : callable
        Makes a result of what was read, by many threads at once.
    add : callable
        Takes a result. Called by one thread at a time, in the order of the rows.
    gate : context manager
        Entered around `use`: how many may compute at once.
    """

    def __init__(
        self,
        begin: Callable[[Buffer], Callable[[], Given] | None],
        use: Callable[[Given], Result],
        add: Callable[[Result], object],
        gate: AbstractContextManager[object],
    ) -> None:
        self._begin, self._use, self._add, self._gate = begin, use, add, gate
        self._turn, self._order = Lock(), Lock()
        self._begun, self._added, self._over = 0, 0, False
        self._results, self._errors = dict[int, Result](), dict[int, BaseException]()

    def run(self, buffers: Sequence[Buffer]) -> None:
        """Walk to the end. What is raised first, in the order of the rows, ends the walk and is raised here.

        No thread is left, whatever happens. The caller only waits: woken for every result, it took 50 µs from it.
        """
        self._room = Semaphore(WAITING * len(buffers))
        threads = [Thread(target=self._run, args=(b,), name="fastgmm-relay", daemon=True) for b in buffers]
        started = list[Thread]()
        try:
            for thread in threads:
                thread.start()
                started.append(thread)
            for thread in threads:
                thread.join()
        finally:
            self._stop(len(threads))
            for thread in started:
                thread.join()
        if self._errors:
            raise self._errors[min(self._errors)]

    def _stop(self, n_threads: int) -> None:
        self._over = True
        self._room.release(n_threads)

    def _run(self, buffer: Buffer) -> None:
        """Read, compute and add, until there is nothing left."""
        number = 0
        try:
            while True:
                self._room.acquire()
                with self._turn:
                    if self._over:
                        return
                    number = self._begun
                    rest = self._begin(buffer)
                    if rest is None:
                        self._over = True
                        return
                    self._begun += 1
                given = rest()
                with self._gate:
                    result = self._use(given)
                self._hand_in(number, result)
        except BaseException as error:
            self._errors[number] = error
        finally:
            self._stop(1)

    def _hand_in(self, number: int, result: Result) -> None:
        """Add a result, and those that waited for it."""
        with self._order:
            self._results[number] = result
            while self._added in self._results:
                self._add(self._results.pop(self._added))
                self._added += 1
                self._room.release()
