import threading
import time

import pytest

from fastgmm.rows.ahead import ahead

pytestmark = pytest.mark.usefixtures("no_reader_left")


def counting(most):
    """Fill lists with the numbers from 1; remember in which thread."""
    seen = []

    def fill(buffer):
        if len(seen) == most:
            return 0
        seen.append(threading.current_thread().name)
        buffer[0] = len(seen)
        return 1

    return fill, seen


@pytest.mark.parametrize("n_buffers", [1, 2, 3])
def test_all_buffers_come_in_order(n_buffers):
    fill, seen = counting(20)
    assert [buffer[0] for buffer, _ in ahead(fill, [[0] for _ in range(n_buffers)])] == list(range(1, 21))
    assert set(seen) == {"fastgmm-reader"}


def test_no_more_is_read_than_there_are_buffers():
    fill, seen = counting(100)
    walk = ahead(fill, [[0], [0], [0]])
    next(walk)
    deadline = time.monotonic() + 5
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(seen) == 3
    walk.close()
    assert len(seen) == 3


def test_errors_are_raised_where_they_are_waited_for():
    def fill(buffer):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        next(ahead(fill, [[0], [0]]))


def test_a_walk_that_is_left_ends_its_thread():
    fill, _ = counting(100)
    walk = ahead(fill, [[0], [0]])
    next(walk)
    with pytest.raises(RuntimeError, match="stop"):
        walk.throw(RuntimeError("stop"))
