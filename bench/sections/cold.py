"""What a new process waits for: the import, and the first fit with and without compiled kernels in the cache."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import child
from bench.plan import Plan
from bench.rows import mixture
from bench.tables import NOTHING, grid
from bench.targets import Finding

KIND = "cold"
TITLE = "Cold start"
ROUNDS = 5

IMPORT, FAITHFUL = "import", "faithful"
SIZES = {"d8k16-200k": (200_000, 8, 16), "d16k32-100k": (100_000, 16, 32), FAITHFUL: (272, 2, 2)}
CASES = (IMPORT, *SIZES)
ITERATIONS = 10  # of a fit: enough to load all that a longer one would, short enough for the rest to show
EMPTY = 2  # rounds with an empty cache, which take long


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Measure in as many new processes as rounds."""
    if name == IMPORT:
        found = [child.call(import_seconds, plan=plan) for _ in range(plan.rounds)]
        numpy_, ours = (median(values) for values in zip(*found, strict=True))
        return [{"kind": KIND, "case": name, "numpy_seconds": numpy_, "fastgmm_seconds": ours, "error": None}]
    n, d, k = SIZES[name]
    n = n if name == FAITHFUL else max(round(n * plan.scale), 4 * k * d)
    with tempfile.TemporaryDirectory(prefix="fastgmm-bench-") as folder:
        rows = Path(folder, "rows.npy")
        np.save(rows, _faithful() if name == FAITHFUL else mixture(n, d, k, seed=2))
        caches = [{"FASTGMM_CACHE_DIR": str(Path(folder, f"cache{i}"))} for i in range(min(EMPTY, plan.rounds))]
        fit = partial(child.call, first_fit, str(rows), k, plan.threads, plan=plan)
        empty = [fit(extra=cache) for cache in caches]
        warm = [fit(extra=caches[0]) for _ in range(plan.rounds)]
    size = {"n_samples": n, "n_features": d, "n_components": k, "threads": plan.threads, "scale": plan.scale}
    first = {"empty_seconds": median(f for f, _ in empty), "warm_seconds": median(f for f, _ in warm)}
    return [{"kind": KIND, "case": name, **size, **first, "again_seconds": median(a for _, a in warm), "error": None}]


def import_seconds() -> tuple[float, float]:
    """Return the seconds of NumPy's import, which this process has done, and of fastgmm's after it."""
    import subprocess
    import sys

    code = "import time; a = time.perf_counter(); import numpy; b = time.perf_counter(); import fastgmm"
    code += "; c = time.perf_counter(); print(b - a, c - b)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    numpy_, ours = map(float, done.stdout.split())
    return numpy_, ours


def first_fit(path: str, n_components: int, threads: int) -> tuple[float, float]:
    """Return the seconds of the import and the first fit, and of the same fit again."""
    X = np.load(path)
    began = time.perf_counter()
    from fastgmm import GaussianMixture

    model = GaussianMixture(n_components, max_iter=ITERATIONS, random_state=0, n_threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, as asked
        model.fit(X)
        first = time.perf_counter()
        model.fit(X)
    return first - began, time.perf_counter() - first


def _faithful() -> Any:
    from fastgmm.datasets import load_faithful

    return load_faithful()


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is counted."""
    return (
        f"In new processes that have imported NumPy: `import fastgmm` and a first fit of at most {ITERATIONS} "
        "iterations, with an empty cache of compiled kernels and with the cache that this left; and the same fit again."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = []
    for line in lines:
        if line["case"] == IMPORT:
            body.append([f"import, beyond NumPy's {line['numpy_seconds'] * 1e3:.0f} ms", NOTHING])
            body[-1] += [f"{line['fastgmm_seconds']:.4f}", NOTHING]
        else:
            body.append([line["case"], *(f"{line[f'{field}_seconds']:.3f}" for field in ("empty", "warm", "again"))])
    return grid(["what", "empty cache s", "warm cache s", "again s"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give milliseconds of the import and seconds of first fits."""
    for line in lines:
        if line["case"] == IMPORT:
            yield Finding("milliseconds of `import fastgmm` beyond NumPy's", IMPORT, 1e3 * line["fastgmm_seconds"])
        else:
            yield Finding("seconds of the first fit, warm cache", line["case"], line["warm_seconds"])
            yield Finding("seconds of the first fit, empty cache", line["case"], line["empty_seconds"])
