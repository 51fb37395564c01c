"""One (peer, case) in its own process: `python -m bench.runner PEER ROWS.npy START.npz`, driven through stdin.

Commands, one a line: `run N` fits N iterations; `whole R` runs R default fits; `finish` reports and ends. Replies are
JSON, one a line. The parent's side is in `worker.py`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from bench import peers
from bench.likelihood import mean_log_likelihood, whole_log_likelihood
from bench.process import memory_mib, private_stdout
from bench.start import Start


def main(arguments: list[str]) -> int:
    """Serve one peer until `finish` or the end of stdin; errors are replies, not crashes."""
    replies = private_stdout()
    try:
        name, rows, start = arguments
        _serve(name, Path(rows), Path(start), replies)
    except Exception as error:
        _reply(replies, error=f"{type(error).__name__}: {error}")
        return 1
    return 0


def _serve(name: str, rows: Path, start_file: Path, replies: BinaryIO) -> None:
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
    result, iterations, whole = None, 0, False
    seconds: Any
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "finish":
            break
        if whole := command == "whole":
            seconds, (result, iterations) = _whole(peer, X, len(start.weights), int(rest[0]))
        else:
            iterations = int(rest[0])
            began = time.perf_counter()
            result = peer.fit(X, start, iterations)
            seconds = time.perf_counter() - began
        _reply(replies, iterations=iterations, seconds=seconds)
    if result is None:
        return
    # The peak is read before the evaluation below, whose arrays are the harness's own.
    peak = memory_mib()["peak"]
    evaluate = whole_log_likelihood if whole else mean_log_likelihood
    _reply(
        replies,
        log_likelihood=evaluate(X, result.weights, result.means, result.covariances),
        own_log_likelihood=None if math.isnan(result.log_likelihood_mean) else result.log_likelihood_mean,
        log_likelihood_iterations=iterations,
        rss_before_mib=before,
        peak_rss_mib=peak,
    )


def _whole(peer: peers.Peer, X: peers.Floats, n_components: int, repeats: int) -> tuple[list[float], Any]:
    """Return the seconds of default fits, and the result and iterations of the last one."""
    seconds: list[float] = []
    fitted: Any = None
    for _ in range(repeats):
        began = time.perf_counter()
        fitted = cast("peers.WholePeer", peer).fit_whole(X, n_components)
        seconds.append(time.perf_counter() - began)
    return seconds, fitted


def _reply(replies: BinaryIO, **fields: Any) -> None:
    replies.write(json.dumps(fields).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
