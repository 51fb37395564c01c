"""Reading ahead: a thread fills buffers while those before are computed with."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Buffer = TypeVar("Buffer")


def ahead(fill: Callable[[Buffer], int], buffers: Sequence[Buffer]) -> Generator[tuple[Buffer, int], None, None]:
    """Fill buffers in turn by a thread of its own; yield each with what `fill` returned, until that is 0.

    A buffer is filled again once the next has been asked for. The thread has ended when the generator has: at its
    end, when it is closed, and when `fill` raises, which is raised here.
    """
    free: SimpleQueue[Buffer | None] = SimpleQueue()
    full: SimpleQueue[tuple[Buffer, int] | BaseException] = SimpleQueue()
    stopped = Event()
    for buffer in buffers:
        free.put(buffer)

    def work() -> None:
        try:
            while (buffer := free.get()) is not None and not stopped.is_set():
                count = fill(buffer)
                full.put((buffer, count))
                if not count:
                    return
        except BaseException as error:
            full.put(error)

    thread = Thread(target=work, name="fastgmm-reader", daemon=True)
    thread.start()
    try:
        while True:
            got = full.get()
            if isinstance(got, BaseException):
                raise got
            if not got[1]:
                return
            yield got
            free.put(got[0])
    finally:
        stopped.set()
        free.put(None)
        thread.join()
