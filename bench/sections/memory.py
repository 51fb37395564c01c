"""What a dense fit takes beyond its rows."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import child
from bench.plan import Plan
from bench.process import memory_mib, reset_peak
from bench.rows import mixture
from bench.tables import grid
from bench.targets import Finding

KIND = "memory"
TITLE = "Memory"
ROUNDS = 1

SIZES = {
    "d2k8-4M": (4_000_000, 2, 8),
    "d3k64-1M": (1_000_000, 3, 64),
    "d8k16-3M": (3_000_000, 8, 16),
    "d16k64-300k": (300_000, 16, 64),
    "d16k8-300k": (300_000, 16, 8),
    "d32k16-100k": (100_000, 32, 16),
    "d64k4-50k": (50_000, 64, 4),
    "d128k1-30k": (30_000, 128, 1),
}
"""All with K D² ≤ 20 000, of which the target speaks."""
CASES = tuple(SIZES)
ITERATIONS = 5
WARM_ROWS = 20_000  # several blocks, so that the kernels for threads are loaded too


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Make the rows here, and fit them in a process of its own that never held anything else."""
    n, d, k = SIZES[name]
    n = max(round(n * plan.scale), 4 * k * d)
    with tempfile.TemporaryDirectory(prefix="fastgmm-bench-") as folder:
        np.save(Path(folder, "rows.npy"), mixture(n, d, k, seed=1))
        used = child.call(extra, str(Path(folder, "rows.npy")), k, plan.threads, plan=plan)
    size = {"n_samples": n, "n_features": d, "n_components": k, "threads": plan.threads, "scale": plan.scale}
    return [{"kind": KIND, "case": name, **size, "rows_mib": n * d / 2**17, **used, "error": None}]


def extra(path: str, n_components: int, threads: int) -> dict[str, float]:
    """Return resident memory before a fit, kernels and rows loaded, and the most that the fit adds."""
    from fastgmm import GaussianMixture

    X = np.load(path)
    model = GaussianMixture(
        n_components, algorithm="dense", max_iter=ITERATIONS, tol=0.0, random_state=0, n_threads=threads
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, as asked
        model.fit(X[:WARM_ROWS])
        reset_peak()
        before = memory_mib()["rss"]
        model.fit(X)
    return {"before_mib": before, "extra_mib": memory_mib()["peak"] - before}


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is counted."""
    return (
        f"A dense fit of {ITERATIONS} iterations with its k-means start, in a process that has loaded the rows and the "
        "kernels before. Extra: peak resident memory of the fit (VmHWM, reset before it) less what was resident."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = [
        [line["case"], *(f"{line[field]:.1f}" for field in ("rows_mib", "before_mib", "extra_mib"))] for line in lines
    ]
    return grid(["case", "rows MiB", "resident before", "extra MiB"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the extra memory."""
    for line in lines:
        yield Finding("MiB beyond the rows", line["case"], line["extra_mib"])
