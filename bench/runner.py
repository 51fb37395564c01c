"""One (peer, case) in its own process: `python -m bench.runner PEER ROWS.npy START.npz`, driven through stdin.

Commands, one a line: `run N` fits N iterations; `finish` reports and ends. Replies are JSON, one a line. The parent's
side is in `worker.py`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench import peers
from bench.likelihood import mean_log_likelihood
from bench.start import Start

MIB = 1 << 20


def main(arguments: list[str]) -> int:
    """Serve one peer until `finish` or the end of stdin; errors are replies, not crashes."""
    replies = _private_stdout()
    try:
        name, rows, start = arguments
        _serve(name, Path(rows), Path(start), replies)
    except Exception as error:
        _reply(replies, error=f"{type(error).__name__}: {error}")
        return 1
    return 0


def _serve(name: str, rows: Path, start_file: Path, replies: IO[str]) -> None:
    began = time.perf_counter()
    peer = peers.load(name)
    if not peer.available():
        _reply(replies, error="not installed")
        return
    import_seconds = time.perf_counter() - began
    X: peers.Floats = np.load(rows)
    start = Start.load(start_file)
    before = memory_mib()["rss"]
    _reply(replies, label=peer.LABEL, version=peer.version(), import_seconds=import_seconds)
    result, iterations = None, 0
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "finish":
            break
        iterations = int(rest[0])
        began = time.perf_counter()
        result = peer.fit(X, start, iterations)
        _reply(replies, iterations=iterations, seconds=time.perf_counter() - began)
    if result is None:
        return
    # The peak is read before the evaluation below, whose arrays are the harness's own.
    peak = memory_mib()["peak"]
    quality = mean_log_likelihood(X, result.weights, result.means, result.covariances)
    _reply(
        replies,
        log_likelihood=quality,
        own_log_likelihood=result.log_likelihood_mean,
        log_likelihood_iterations=iterations,
        rss_before_mib=before,
        peak_rss_mib=peak,
    )


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


def _private_stdout() -> IO[str]:
    """Keep stdout for replies and send what libraries print to stderr, even from C."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


def _reply(replies: IO[str], **fields: Any) -> None:
    replies.write(json.dumps(fields) + "\n")
    replies.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
