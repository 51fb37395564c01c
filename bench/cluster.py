"""What a round on a Dask cluster costs: measured on 1, 2 and 4 workers of this machine.

``python -m bench.cluster WORKERS [FILE]`` adds one JSON line for each case: ``round`` moves bytes and computes
nothing, `bench.scaling` fits its model to these; ``pass`` is a dense expectation, which the model is to foretell.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

PARTITIONS = 128
ROUNDS = 20
BYTES = (1_000, 100_000, 1_000_000, 4_000_000)
"""Of the parameters that go to each worker, and of the sums that come from it."""

ROWS, FEATURES, COMPONENTS = 50_000, 64, 32


def echo(bundle: Any, parameters: bytes) -> bytes:
    """Return as many bytes as came."""
    return bytes(len(parameters))


def measure(n_workers: int) -> Iterator[dict[str, Any]]:
    """Time rounds and passes."""
    import dask.array as da
    from distributed import Client, LocalCluster

    from fastgmm.expectation_task import ExpectationTask
    from fastgmm.parameters import Parameters
    from fastgmm.rows.dask import collection_rows
    from fastgmm.rows.memory import ArrayRows
    from fastgmm.threads import ALONE

    k, d = COMPONENTS, FEATURES
    X = np.random.default_rng(0).normal(size=(ROWS, d))
    here = ArrayRows(X)
    near = Parameters(np.full(k, 1 / k), X[:k], np.tile(np.eye(d), (k, 1, 1)))
    task = ExpectationTask(here.packed(here.frame.enter(near)))
    options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster):
        rows = collection_rows(da.from_array(X, chunks=(-(-len(X) // PARTITIONS), d)))
        common = {"workers": n_workers, "partitions": PARTITIONS, "runs": sum(map(len, rows.bundles))}
        for size in BYTES:
            content = bytes(size)
            seconds = timed(lambda rows=rows, some=content: rows.each(echo, [(some,)] * len(rows.bundles)))
            yield {"kind": "round", **common, "bytes": 2 * size * len(rows.bundles), **summary(seconds)}
        alone = min(timed(lambda: here.sweep(task, ALONE), 5))
        seconds = timed(lambda rows=rows: rows.sweep(task, ALONE))
        size = 8 * task.node_length * (common["runs"] + len(rows.bundles))
        work = {"alone": alone, "flop": task.flop_per_row * len(X)}
        yield {"kind": "pass", **common, "bytes": size, **work, **summary(seconds)}


def summary(seconds: list[float]) -> dict[str, float]:
    """Return the least and the median of some times."""
    return {"least": float(np.min(seconds)), "median": float(np.median(seconds))}


def timed(call: Any, rounds: int = ROUNDS) -> list[float]:
    """Return the times of some calls, after three that do not count."""
    seconds = []
    for number in range(rounds + 3):
        began = time.perf_counter()
        call()
        if number >= 3:
            seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Measure, and write."""
    with open(sys.argv[2], "a") if len(sys.argv) > 2 else sys.stdout as stream:
        for row in measure(int(sys.argv[1])):
            print(json.dumps(row), file=stream, flush=True)


if __name__ == "__main__":
    main()
