"""Transported bounds against dense passes: whole fits of 40 iterations from one k-means start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from bench import child, fast
from bench.cases import APART
from bench.cases import CASES as PROBLEMS
from bench.plan import Plan
from bench.tables import NOTHING, grid, percent, seconds, times
from bench.targets import Finding
from bench.turns import turns

KIND = "bounded"
TITLE = "Bounds against dense passes"
ROUNDS = 3

ITERATIONS, HALF = 40, 20
FULL = (*APART, "china-patches")
"""Where all algorithms are measured; elsewhere `dense` and `auto` only, which may not lose."""
CASES = (*FULL, *(name for name in PROBLEMS if name not in FULL))

DENSE = "dense"
ALGORITHMS: dict[str, dict[str, Any]] = {
    DENSE: {"algorithm": DENSE},
    "auto": {"algorithm": "auto"},
    "bounded": {"algorithm": "bounded"},
    "bounded 1e-9": {"algorithm": "bounded", "skip_below": 1e-9},
}
EXACT = ("auto", "bounded")


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Compare the algorithms in a process of their own."""
    return child.call(compare, name, plan, plan=plan)


def compare(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Run all algorithms from one start; one line for each."""
    case = (PROBLEMS | APART)[name]
    X = case.rows(plan.scale)
    start = fast.kmeans_start(X, case.n_components, plan.threads)
    fit = partial(fast.trace, X, start, ITERATIONS, plan.threads)
    wanted = ALGORITHMS if name in FULL else {DENSE: ALGORITHMS[DENSE], "auto": ALGORITHMS["auto"]}
    traces = turns({a: partial(fit, **options) for a, options in wanted.items()}, plan)
    dense = traces[DENSE]
    labels = dense[0].model.predict(X)
    size = {"n_samples": len(X), "n_features": X.shape[1], "n_components": case.n_components}
    common = {"kind": KIND, "case": name, **size, "threads": plan.threads, "scale": plan.scale}
    return [{**common, "algorithm": a, **_against(dense, traces[a], labels, X), "error": None} for a in wanted]


def _against(dense: list[fast.Trace], traces: list[fast.Trace], labels: Any, X: Any) -> dict[str, Any]:
    """Return the fields of one algorithm."""
    pace, first = median(one.pace(HALF) for one in traces), traces[0]
    seen, exact = (np.array(one.log_likelihoods) for one in (first, dense[0]))
    return {
        "seconds_per_iteration": pace,
        "seconds_rounds": [one.pace(HALF) for one in traces],
        "times_dense": median(one.pace(HALF) for one in dense) / pace,
        "evaluated": float(np.mean(first.evaluated[HALF:])),
        "evaluated_all": float(np.mean(first.evaluated)),
        "log_likelihood_difference": float(np.max(np.abs(seen - exact) / np.abs(exact))),
        "same_labels": float(np.mean(first.model.predict(X) == labels)),
    }


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is timed."""
    return (
        f"Seconds of iterations {HALF + 1}–{ITERATIONS} of a fit from the default k-means start, the same for all. "
        "Times dense: speed in units of the dense pass's; below 1, bounds lost. Evaluated: share of pairs of rows and "
        "components that were computed, in those iterations and in all. Difference: the largest relative one from "
        "dense's log-likelihood over all iterations. `bounded 1e-9` is `skip_below=1e-9`. The cases apart-… are "
        "separated so that about the share of pairs survives that DESIGN §5 quotes."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    cells: list[Callable[[dict[str, Any]], str]] = [
        lambda line: seconds(line["seconds_per_iteration"]),
        lambda line: times(line["times_dense"]),
        lambda line: percent(line["evaluated"]),
        lambda line: percent(line["evaluated_all"]),
        lambda line: f"{line['log_likelihood_difference']:.1e}",
        lambda line: f"{line['same_labels']:.6f}",
    ]
    body = [
        [f"{line['case']}, {line['algorithm']}"]
        + ([NOTHING] * len(cells) if line["error"] else [cell(line) for cell in cells])
        for line in lines
    ]
    headings = ["fit", "s / iteration", "times dense", "evaluated", "of all", "difference", "same labels"]
    return grid(headings, body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give speeds against dense, and how far results are from its own."""
    for line in lines:
        if line["error"] or line["algorithm"] == DENSE:
            continue
        of = line["algorithm"]
        yield Finding(f"{of}, times dense's speed", line["case"], line["times_dense"], is_ratio=True)
        if of in EXACT:
            difference = line["log_likelihood_difference"]
            yield Finding(f"{of}, log-likelihood's relative difference from dense", line["case"], difference)
            yield Finding(f"{of}, share of labels equal to dense's", line["case"], line["same_labels"])
