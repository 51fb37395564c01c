"""The protocol: all peers on one case, their rounds interleaved, seconds per iteration from differences."""

from __future__ import annotations

import logging
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases import Case
from bench.plan import Plan
from bench.worker import PeerError, Worker

logger = logging.getLogger(__name__)


@dataclass
class Record:
    """What one peer did on one case, while it is being measured."""

    peer: str
    first: float = 0.0
    rounds: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """Return the fields of the JSON line; those that a failed peer lacks are None."""
        seconds = statistics.median(self.rounds) if self.rounds and not self.error else None
        return {
            "label": self.facts.get("label", self.peer),
            "version": self.facts.get("version"),
            "seconds_per_iteration": seconds,
            "seconds_min": min(self.rounds) if seconds is not None else None,
            "seconds_max": max(self.rounds) if seconds is not None else None,
            "seconds_rounds": self.rounds,
            "first_call_seconds": self.first - seconds if seconds is not None else None,
            "import_seconds": self.facts.get("import_seconds"),
            "log_likelihood": self.facts.get("log_likelihood"),
            "own_log_likelihood": self.facts.get("own_log_likelihood"),
            "rss_before_mib": self.facts.get("rss_before_mib"),
            "peak_rss_mib": self.facts.get("peak_rss_mib"),
            "error": self.error,
        }


def measure(case: Case, names: Sequence[str], plan: Plan) -> list[dict[str, Any]]:
    """Measure the peers on the case; return one row for each, also for those that are missing or fail."""
    with tempfile.TemporaryDirectory(prefix="fastgmm-bench-") as folder:
        rows, start = Path(folder, "rows.npy"), Path(folder, "start.npz")
        shape = write(case, plan.scale, rows, start)
        records = [Record(name) for name in names]
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(n, rows, start, plan.threads, plan.timeout)) for n in names]
            _rounds(case, list(zip(workers, records, strict=True)), plan)
    common = {
        "kind": "row",
        "case": case.name,
        "n_samples": shape[0],
        "n_features": shape[1],
        "n_components": case.n_components,
        "threads": plan.threads,
        "scale": plan.scale,
        "iterations": list(plan.iterations),
        "rounds": plan.rounds,
    }
    return [{**common, "peer": record.peer, **record.row()} for record in records]


def write(case: Case, scale: float, rows: Path, start: Path) -> tuple[int, ...]:
    """Write rows and start for the workers; nothing of them stays in this process."""
    X = case.rows(scale)
    np.save(rows, X)
    case.start(X).save(start)
    return X.shape


def _rounds(case: Case, pairs: list[tuple[Worker, Record]], plan: Plan) -> None:
    """Ask each worker in turn: machines drift, and what drifts must not favour whoever comes first."""
    for worker, record in pairs:
        _attempt(case, worker, record, lambda w, r: r.facts.update(w.hello()), "ready")
    for worker, record in pairs:
        _attempt(case, worker, record, _first, "first call")
    for i in range(plan.rounds):
        for worker, record in pairs:
            if not record.rounds or worker.spent <= plan.patience:
                what = f"round {i + 1}/{plan.rounds}"
                _attempt(case, worker, record, lambda w, r: _round(w, r, plan.iterations), what)
    for worker, record in pairs:
        _attempt(case, worker, record, lambda w, r: r.facts.update(w.finish()), "finished")


def _first(worker: Worker, record: Record) -> None:
    record.first = worker.run(1)


def _round(worker: Worker, record: Record, iterations: tuple[int, int]) -> None:
    few, many = iterations
    seconds = worker.run(few)
    record.rounds.append((worker.run(many) - seconds) / (many - few))


def _attempt(case: Case, worker: Worker, record: Record, step: Any, what: str) -> None:
    """Take one step unless the peer has failed before; a failure ends its process and becomes its row's reason."""
    if record.error is not None:
        return
    try:
        step(worker, record)
        logger.info("%s  %s: %s", case.name, worker.name, what)
    except PeerError as error:
        record.error = str(error)
        worker.close()
        logger.warning("%s  %s: %s", case.name, worker.name, error)
