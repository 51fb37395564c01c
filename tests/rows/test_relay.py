import threading
import time
from contextlib import nullcontext
from threading import Event, Lock, Semaphore

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.rows.relay import WAITING, Relay

pytestmark = pytest.mark.usefixtures("no_reader_left")

SOON = 20  # seconds that nothing here takes


def numbers(most):
    """Set out to read the numbers below `most`."""
    left = iter(range(most))

    def begin(buffer):
        number = next(left, None)
        return None if number is None else lambda: number

    return begin


def walked(begin, use=lambda number: number, n_buffers=3, gate=None):
    found = []
    Relay(begin, use, found.append, gate or nullcontext()).run([[] for _ in range(n_buffers)])
    return found


@given(st.integers(0, 30), st.integers(1, 5), st.sets(st.integers(0, 30)))
def test_results_are_added_in_the_order_of_the_rows(most, n_buffers, slow):
    def use(number):
        time.sleep(0.001 * (number in slow))
        return number

    assert walked(numbers(most), use, n_buffers) == list(range(most))


def test_one_reads_while_another_computes():
    reading, computing = Event(), Event()
    begin = numbers(4)

    def slow(buffer):
        rest = begin(buffer)
        if computing.is_set():
            reading.set()
        return rest

    def use(number):
        if not number:  # the first is computed with until a later one is being read
            computing.set()
            assert reading.wait(SOON)
        return number

    assert walked(slow, use, 2) == [0, 1, 2, 3]


def test_one_sets_out_at_a_time_and_several_read():
    setting_out, together = Lock(), threading.Barrier(2)
    begin = numbers(2)

    def alone(buffer):
        assert setting_out.acquire(blocking=False)
        time.sleep(0.001)
        number = begin(buffer)
        setting_out.release()
        return None if number is None else lambda: together.wait(SOON)

    assert sorted(walked(alone, n_buffers=2)) == [0, 1]


def test_the_gate_limits_who_computes():
    inside, most = [], []

    def use(number):
        inside.append(number)
        most.append(len(inside))
        time.sleep(0.001)
        inside.remove(number)
        return number

    walked(numbers(20), use, 4, Semaphore(2))
    assert max(most) <= 2


def test_no_thread_runs_far_ahead():
    begun, held = [], Event()
    begin = numbers(100)

    def counted(buffer):
        begun.append(1)
        return begin(buffer)

    def use(number):
        if not number:
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline and len(begun) <= 2 * WAITING:
                time.sleep(0.001)
            held.set()
            assert len(begun) <= 2 * WAITING
        return number

    walked(counted, use, 2)
    assert held.is_set()


@pytest.mark.parametrize("n_buffers", [1, 2, 5])
def test_the_first_error_in_the_order_of_the_rows_is_raised(n_buffers):
    def use(number):
        time.sleep(0.002 * (5 - number))  # the later ones fail before
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^0$"):
        walked(numbers(5), use, n_buffers)


def test_errors_of_whoever_sets_out_or_adds():
    begin = numbers(10)

    def gone(buffer):
        rest = begin(buffer)
        if rest is not None and rest() == 7:
            raise OSError("gone")
        return rest

    found = []
    with pytest.raises(OSError, match="gone"):
        Relay(gone, lambda number: number, found.append, nullcontext()).run([[], []])
    assert found == list(range(7))

    def full(number):
        raise MemoryError

    with pytest.raises(MemoryError):
        Relay(numbers(10), lambda number: number, full, nullcontext()).run([[], [], []])
