"""One thread against several."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from bench import child, fast
from bench.cases import CASES as PROBLEMS
from bench.plan import Plan
from bench.tables import grid, seconds, times
from bench.targets import Finding
from bench.turns import turns

KIND = "threads"
TITLE = "Threads"
ROUNDS = 5

CASES = tuple(PROBLEMS)


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Compare in a process of its own."""
    return child.call(compare, name, plan, plan=plan)


def compare(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Run the same dense iterations on one thread and on `plan.threads`."""
    X = PROBLEMS[name].rows(plan.scale)
    start = PROBLEMS[name].start(X)
    teams = {"one": 1, "all": plan.threads}
    iterations = max(fast.enough_iterations(X, start, n, algorithm="dense") for n in teams.values())
    traces = turns({t: partial(fast.trace, X, start, iterations, n, algorithm="dense") for t, n in teams.items()}, plan)
    paces = fast.paces(traces)
    size = {"n_samples": len(X), "n_features": X.shape[1], "n_components": len(start.weights)}
    common = {"kind": KIND, "case": name, **size, "threads": plan.threads, "scale": plan.scale}
    same = all(
        np.array_equal(getattr(traces["one"][0].model, field), getattr(traces["all"][0].model, field))
        for field in ("weights_", "means_", "covariances_")
    )
    pair = {"seconds_per_iteration_one": paces["one"], "seconds_per_iteration": paces["all"]}
    return [{**common, **pair, "times_one": paces["one"] / paces["all"], "same_bits": same, "error": None}]


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is compared."""
    return f"The same dense iterations on 1 and on {lines[0]['threads']} threads; results are compared bit for bit."


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = []
    for line in lines:
        pair = [seconds(line["seconds_per_iteration_one"]), seconds(line["seconds_per_iteration"])]
        body.append([line["case"], *pair, times(line["times_one"]), "yes" if line["same_bits"] else "NO"])
    return grid(["case", "1 thread, s / iteration", "all", "times one", "same bits"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the ratios, and whether bits are the same."""
    for line in lines:
        yield Finding("all threads, times one thread's speed", line["case"], line["times_one"], is_ratio=True)
        yield Finding("all threads, the same bits as one", line["case"], float(line["same_bits"]))
