"""float32 rows against the same rows in float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from bench import child, fast
from bench.cases import CASES as PROBLEMS
from bench.likelihood import mean_log_likelihood
from bench.plan import Plan
from bench.tables import grid, seconds, times
from bench.targets import Finding
from bench.turns import turns

KIND = "float32"
TITLE = "float32"
ROUNDS = 5

FEWEST_FEATURES = 8
CASES = tuple(name for name, case in PROBLEMS.items() if case.n_features >= FEWEST_FEATURES)


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Compare in a process of its own."""
    return child.call(compare, name, plan, plan=plan)


def compare(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Run the same dense iterations on the rows and on the rows cast to float32."""
    X = PROBLEMS[name].rows(plan.scale)
    start = PROBLEMS[name].start(X)
    rows: dict[str, Any] = {"float64": X, "float32": X.astype(np.float32)}
    iterations = max(fast.enough_iterations(of, start, plan.threads, algorithm="dense") for of in rows.values())
    fits = {d: partial(fast.trace, of, start, iterations, plan.threads, algorithm="dense") for d, of in rows.items()}
    traces = turns(fits, plan)
    paces = fast.paces(traces)
    quality = {d: _quality(X, of[0].model) for d, of in traces.items()}
    size = {"n_samples": len(X), "n_features": X.shape[1], "n_components": len(start.weights)}
    common = {"kind": KIND, "case": name, **size, "threads": plan.threads, "scale": plan.scale}
    seconds_ = {f"seconds_per_iteration_{d}": pace for d, pace in paces.items()}
    ratio = paces["float64"] / paces["float32"]
    loss = {"log_likelihood": quality["float64"], "log_likelihood_change": quality["float32"] - quality["float64"]}
    return [{**common, "iterations": iterations, **seconds_, "times_float64": ratio, **loss, "error": None}]


def _quality(X: Any, model: Any) -> float:
    fitted = (np.asarray(a, dtype=np.float64) for a in (model.weights_, model.means_, model.covariances_))
    return mean_log_likelihood(X, *fitted)


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is compared."""
    return (
        "The same dense iterations on the same rows, cast. Change: of the mean log-likelihood of the float64 rows "
        "after as many iterations, by the same NumPy code."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = []
    for line in lines:
        pair = [seconds(line["seconds_per_iteration_float64"]), seconds(line["seconds_per_iteration_float32"])]
        body.append([line["case"], *pair, times(line["times_float64"]), f"{line['log_likelihood_change']:+.1e}"])
    return grid(["case", "float64 s / iteration", "float32", "times float64", "change"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the ratios."""
    for line in lines:
        yield Finding("float32, times float64's speed", line["case"], line["times_float64"], is_ratio=True)
