"""Stepwise EM by `partial_fit`: how near two passes over batches come to exact EM from the same start."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np

from bench import child, summary
from bench.cases import ONLINE
from bench.plan import Plan
from bench.tables import grid, seconds
from bench.targets import Finding

KIND = "online"
TITLE = "Stepwise EM"
ROUNDS = 1

CASES = tuple(ONLINE)
BATCH_ROWS = 4096
PASSES = 2
SEEDS = (0, 1, 2)

TOLERANCE, MOST_ITERATIONS = 1e-5, 1000
"""Of batch EM: a hundredth of the default, so that it ends near its optimum."""


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Compare in a process of its own."""
    return child.call(compare, name, plan, plan=plan)


def compare(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Stream the rows, and fit all of them at once, from the start that the first batch gives."""
    from fastgmm import GaussianMixture

    X = ONLINE[name].rows(plan.scale)
    k = ONLINE[name].n_components
    size = {"n_samples": len(X), "n_features": X.shape[1], "n_components": k}
    common = {"kind": KIND, "case": name, **size, "threads": plan.threads, "scale": plan.scale}
    lines = []
    for seed in SEEDS:
        rng = np.random.RandomState(seed)
        stream = GaussianMixture(k, random_state=seed, n_threads=plan.threads)
        start: dict[str, Any] = {}
        began = perf_counter()
        for _ in range(PASSES):
            for chosen in np.array_split(rng.permutation(len(X)), max(1, len(X) // BATCH_ROWS)):
                stream.partial_fit(X[chosen])
                start = start or _start(stream)
        lapse, found = perf_counter() - began, stream.score(X)
        began = perf_counter()
        batch = GaussianMixture(k, tol=TOLERANCE, max_iter=MOST_ITERATIONS, n_threads=plan.threads, **start).fit(X)
        facts = {"seed": seed, "batch_rows": BATCH_ROWS, "seconds": lapse, "log_likelihood": found}
        facts |= {"batch_seconds": perf_counter() - began, "batch_iterations": batch.n_iter_}
        best = batch.score(X)
        lines.append({**common, **facts, "batch_log_likelihood": best, "below": best - found, "error": None})
    return lines


def _start(gm: Any) -> dict[str, Any]:
    return {"weights_init": gm.weights_, "means_init": gm.means_, "precisions_init": gm.precisions_}


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is compared."""
    return (
        f"Two passes of `partial_fit` over shuffled batches of {BATCH_ROWS} rows, against exact EM on all rows from "
        f"the parameters after the first batch, with `tol={TOLERANCE:g}`. Below: what the stream lacks of the mean "
        "log-likelihood; negative where it found more."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = []
    for line in lines:
        stream = [seconds(line["seconds"]), f"{line['log_likelihood']:.6f}"]
        batch = [seconds(line["batch_seconds"]), str(line["batch_iterations"]), f"{line['batch_log_likelihood']:.6f}"]
        body.append([f"{line['case']}, seed {line['seed']}", *stream, *batch, f"{line['below']:+.5f}"])
    return grid(["case", "stream s", "log-likelihood", "batch EM s", "iterations", "log-likelihood", "below"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the largest difference of each case."""
    for case, group in summary.by_case(lines).items():
        worst = max(line["below"] for line in group)
        yield Finding("stepwise EM, two passes: nats per row below batch EM from the same start", case, worst)
