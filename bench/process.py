"""What measured processes need: their variables, their memory, and a stdout that libraries cannot print on."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20

# A workplace may pin OpenBLAS to an older kernel or cache size; peers must run as their users would run them.
REMOVED_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def variables(threads: int) -> dict[str, str]:
    """Return this process's variables, less what slows libraries down, with the number of threads."""
    kept = {key: value for key, value in os.environ.items() if key not in REMOVED_VARIABLES}
    return kept | dict.fromkeys(THREAD_VARIABLES, str(threads))


def memory_mib() -> dict[str, float]:
    """Return this process's resident memory, now and at its peak, in MiB.

    On Linux `ru_maxrss` survives exec: a child of a large parent would report the parent. `/proc` does not lie so.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return {name: int(fields[field].split()[0]) / 1024 for name, field in (("rss", "VmRSS"), ("peak", "VmHWM"))}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)
    return {"rss": peak, "peak": peak}


def reset_peak() -> None:
    """Make the peak what is resident now; OSError where the system cannot."""
    Path("/proc/self/clear_refs").write_text("5")


def private_stdout() -> BinaryIO:
    """Keep stdout for replies and send what libraries print to stderr, even from C."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies
