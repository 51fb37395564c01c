"""Whole default fits against scikit-learn's: `GaussianMixture(k, random_state=0).fit(X)`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench import summary
from bench.cases import WHOLE
from bench.measure import write
from bench.plan import Plan
from bench.tables import grid, seconds, times
from bench.targets import Finding
from bench.turns import turns
from bench.worker import PeerError, Worker

logger = logging.getLogger(__name__)

KIND = "fit"
TITLE = "Whole fits against scikit-learn"
ROUNDS = 5

PEERS = ("fastgmm", "scikit-learn")
CASES = tuple(WHOLE)
REPEATS = {"iris": 20}
"""Fits in a row within a round, where one is too short to be timed between others' turns."""


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Fit in turn, each library in its process; a library that fails gives a line with the reason."""
    case, repeats = WHOLE[name], REPEATS.get(name, 1)
    with tempfile.TemporaryDirectory(prefix="fastgmm-bench-") as folder, ExitStack() as stack:
        rows, start = Path(folder, "rows.npy"), Path(folder, "start.npz")
        shape = write(case, plan.scale, rows, start)
        workers = {p: stack.enter_context(Worker(p, rows, start, plan.threads, plan.timeout)) for p in PEERS}
        facts = {p: _facts(worker, warm=p == summary.BASE or repeats > 1) for p, worker in workers.items()}
        able = {p: worker for p, worker in workers.items() if facts[p]["error"] is None}
        fit: Callable[[Worker], Callable[[], float]] = lambda worker: lambda: median(worker.whole(repeats))  # noqa: E731
        rounds = turns({p: fit(worker) for p, worker in able.items()}, plan)
        for p, worker in able.items():
            facts[p] |= worker.finish() | {"seconds": median(rounds[p]), "seconds_rounds": rounds[p]}
            logger.info("%s  %s: fitted", name, p)
    size = {"n_samples": shape[0], "n_features": shape[1], "n_components": case.n_components}
    common = {"kind": KIND, "case": name, **size, "threads": plan.threads, "scale": plan.scale, "repeats": repeats}
    return [{**common, "peer": p, **of} for p, of in facts.items()]


def _facts(worker: Worker, warm: bool) -> dict[str, Any]:
    """Wait for a library; `warm` fits once without the clock, which compiles what is compiled."""
    try:
        facts = worker.hello() | {"error": None}
        if warm:
            worker.whole(1)
    except PeerError as error:
        return {"label": worker.name, "version": None, "error": str(error)}
    return facts


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is compared."""
    return (
        "`GaussianMixture(K, random_state=0).fit(X)` with all defaults, kernels compiled before; median of up to "
        f"{ROUNDS} interleaved rounds. Times: scikit-learn's seconds in units of fastgmm's; below 1, fastgmm lost. "
        "Log-likelihood: mean of all rows under the fitted parameters, by the same NumPy code for both."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = []
    for case, group in summary.by_case(lines).items():
        pace = {line["peer"]: line.get("seconds") for line in group}
        for line in group:
            name = f"{case}, {line['label']}"
            if line["error"]:
                body.append([name, f"({line['error']})", *["–"] * 4])
                continue
            ratio = None if pace["fastgmm"] is None else line["seconds"] / pace["fastgmm"]
            count = line["log_likelihood_iterations"]
            each = [seconds(line["seconds"]), times(ratio), str(count), seconds(line["seconds"] / count)]
            body.append([name, *each, f"{line['log_likelihood']:.8f}"])
    return grid(["fit", "s", "times", "iterations", "s / iteration, start included", "log-likelihood"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give ratios and differences of the log-likelihood."""
    for case, group in summary.by_case(lines).items():
        of = {line["peer"]: line for line in group if line["error"] is None}
        if set(PEERS) <= set(of):
            ours, theirs = (of[p] for p in PEERS)
            ratio = theirs["seconds"] / ours["seconds"]
            yield Finding("whole fit, times scikit-learn's speed", case, ratio, is_ratio=True)
            better = ours["log_likelihood"] - theirs["log_likelihood"]
            yield Finding("whole fit, log-likelihood above scikit-learn's", case, better)
