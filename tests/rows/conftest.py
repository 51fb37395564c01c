"""Make `fits` importable, and share rows and what is watched."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fastgmm.rows import limits

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def small_spans(monkeypatch):
    """One block a span, and nothing small enough to be read into memory."""
    monkeypatch.setattr(limits, "LEAST_SPAN_BYTES", 1)
    monkeypatch.setattr(limits, "SPAN_BYTES_PER_THREAD", 0)


@pytest.fixture
def no_reader_left():
    """Every walk ends its thread."""
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastgmm")]


@pytest.fixture(scope="session")
def X():
    """Rows of three blocks and some, of two overlapping components and a far one."""
    rng = np.random.default_rng(7)
    parts = [rng.normal(0, 1, (4000, 2)), rng.normal(2, 2, (4000, 2)), rng.normal(9, 0.5, (2500, 2))]
    return rng.permutation(np.concatenate(parts))
