"""Rows in files in the page cache against the same rows in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import child, fast
from bench.plan import Plan
from bench.rows import mixture
from bench.start import Start, make_start
from bench.tables import grid, seconds, times
from bench.targets import Finding
from bench.turns import turns

KIND = "files"
TITLE = "Rows in files"
ROUNDS = 3

BYTES = 256 << 20
"""Of rows of float64: four times what a pass over a file may take of memory."""
ITERATIONS = 10
TIMES = 8  # the same rows so often: making them costs more than fitting them

SIZES = {f"d{d}k{d}-{dtype}": (d, dtype) for d in (2, 4, 8, 16) for dtype in ("float64", "float32")}
CASES = tuple(SIZES)
MEMORY, NPY, PARQUET, CACHE = "memory", ".npy", "Parquet", "Parquet, cache"


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Write the files, and fit them in a process of its own."""
    d, dtype = SIZES[name]
    n = max(round(BYTES // (8 * d) * plan.scale), 4 * d * d)
    with tempfile.TemporaryDirectory(prefix="fastgmm-bench-") as folder:
        part = mixture(-(-n // TIMES), d, d, seed=1)
        X = np.tile(part, (TIMES, 1))[:n].astype(dtype)
        np.save(Path(folder, "rows.npy"), X)
        _write_parquet(Path(folder, "rows.parquet"), X)
        make_start(part, d, 1).save(Path(folder, "start.npz"))
        found = child.call(compare, folder, plan, plan=plan)
    size = {"n_samples": n, "n_features": d, "n_components": d, "threads": plan.threads, "scale": plan.scale}
    return [{"kind": KIND, "case": name, "from": where, **size, **line, "error": None} for where, line in found.items()]


def _write_parquet(path: Path, X: NDArray[Any]) -> None:
    """Write columns as a user would who changes no option, if pyarrow is installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return
    pyarrow.parquet.write_table(pyarrow.table({f"x{d}": column for d, column in enumerate(X.T)}), path)


def compare(folder: str, plan: Plan) -> dict[str, dict[str, float]]:
    """Fit rows in memory and in each kind of file; return seconds of whole fits and of their iterations."""
    from fastgmm import rows

    start = Start.load(Path(folder, "start.npz"))
    X = np.load(Path(folder, "rows.npy"))
    path, decoded = os.path.join(folder, "rows"), os.path.join(folder, "decoded")
    sources: dict[str, Callable[[], Any]] = {MEMORY: lambda: X, NPY: lambda: rows.npy(path + ".npy")}
    if os.path.exists(path + ".parquet"):
        rows.parquet(path + ".parquet", cache=decoded)
        sources[PARQUET] = lambda: rows.parquet(path + ".parquet")
        sources[CACHE] = lambda: rows.parquet(path + ".parquet", cache=decoded)
    for source in sources.values():
        _fit(source, start, 2, plan.threads)  # loads kernels, and fills the page cache
    rounds = turns(
        {where: partial(_fit, source, start, ITERATIONS, plan.threads) for where, source in sources.items()}, plan
    )
    whole, pace = ({where: median(one[i] for one in found) for where, found in rounds.items()} for i in (0, 1))
    return {
        where: {
            "seconds": whole[where], "times_memory": whole[MEMORY] / whole[where],
            "seconds_per_iteration": pace[where], "times_memory_iteration": pace[MEMORY] / pace[where],
        }
        for where in sources
    }  # fmt: skip


def _fit(source: Callable[[], Any], start: Start, iterations: int, threads: int) -> tuple[float, float]:
    """Return the seconds of a dense fit from the start, opening and checking included, and of an iteration."""
    began = perf_counter()
    trace = fast.trace(source(), start, iterations, threads, algorithm="dense")
    return perf_counter() - began, trace.pace()


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is compared."""
    return (
        f"Dense fits of {ITERATIONS} iterations from the same start, of rows in memory and of files that lie in the "
        "page cache, everything included: files are opened, and all rows checked. Parquet as pyarrow writes it by "
        "default; with `cache` it was decoded before."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = [
        [
            line["case"], line["from"], seconds(line["seconds"]), times(line["times_memory"]),
            seconds(line["seconds_per_iteration"]), times(line["times_memory_iteration"]),
        ]
        for line in lines
    ]  # fmt: skip
    return grid(["case", "rows in", "fit, s", "times memory's speed", "iteration, s", "times memory's"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the speeds."""
    for line in lines:
        if line["from"] != MEMORY:
            yield Finding(f"{line['from']}, whole fit, times the speed in memory", line["case"], line["times_memory"])
