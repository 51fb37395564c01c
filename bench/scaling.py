"""Scaling on paper: the cost of an iteration on a cluster, fitted to `bench.cluster`, and what it says of large ones.

``python -m bench.scaling FILE`` prints the fit and the tables of ``docs/scaling.md``.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

D = 64
SPREAD = 0.05
"""Standard deviation of the logarithm of a task's time, on machines that nobody else uses: an assumption."""

DEATHS = 1 / (30 * 86400)
"""Of a worker, in a second: one in thirty days. An assumption."""

DRAWS = 400

STEALS = 16
LINE, HOP = 1e-9, 1e-3
"""Seconds of a byte on a line of 1 GB/s, and of a message between workers: assumptions."""


@dataclass(frozen=True)
class Cost:
    """Seconds of an iteration: what is fitted, and what is assumed of machines."""

    latency: float
    """Of a round: submit, wait, fetch."""
    task: float
    """Of the scheduler and the caller, for one task."""
    byte: float
    """Of a byte of sums or parameters that passes the caller."""
    rate: float = 1e11
    """flop/s of a core: 20 000 × 64 rows, K = 32, in 53 ms on one thread of an idle Zen 5."""
    cores: int = 8
    """Of a worker, each a task's."""
    memory: float = 48e9
    """Bytes of a worker for rows."""
    disk: float = 2e9
    """Bytes a second that a worker reads where rows do not fit."""
    merged: int = 64
    fan_in: int = 16
    root: int = 8
    """From so many tasks on, parameters are fetched from a worker, in a tree of copies."""


def fit(rows: list[dict[str, Any]]) -> Cost:
    """Fit latency, task and byte to the least times of rounds: relative errors, non-negative numbers."""
    rounds = [row for row in rows if row["kind"] == "round"]
    columns = np.array([[1.0, row["workers"], row["bytes"]] for row in rounds])
    columns /= np.array([[row["least"]] for row in rounds])
    free = [0, 1, 2]
    while True:
        found = np.zeros(3)
        found[free] = np.linalg.lstsq(columns[:, free], np.ones(len(rounds)), rcond=None)[0]
        if (found >= 0).all():
            return Cost(*found.tolist())
        free.remove(int(np.argmin(found)))


def iteration(cost: Cost, n: float, k: int, workers: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the seconds of an iteration over n rows, by what they go to."""
    slots = workers * cost.cores
    flop = n * k * (2.0 * D * (D + 1) + 60.0)
    share = flop / slots / cost.rate
    resident = n * D * 8 / workers <= cost.memory
    read = 0.0 if resident else (n * D * 8 / workers - cost.memory) / cost.disk
    own = max(share, read)
    slowest = np.exp(SPREAD * rng.standard_normal((DRAWS, min(slots, 1 << 17)))).max(axis=1).mean()
    sums = 8.0 * k * (D * (D + 1) / 2 + D + 1)
    received, levels = slots, 0
    while received > cost.merged:
        received, levels = math.ceil(received / cost.fan_in), levels + 1
    merges = levels * (cost.latency / 2 + cost.fan_in * 2 * sums * cost.byte)
    spread_out = 0.0 if slots <= cost.root else math.log2(workers + 1) * sums * cost.byte
    caller = received * 2 * sums * cost.byte + spread_out
    scheduler = cost.latency + cost.task * slots * (1 + 1 / (cost.fan_in - 1) * (levels > 0))
    found = {
        "work": own,
        "stragglers": own * (slowest - 1),
        "reduction": merges + caller,
        "scheduler": scheduler,
    }
    base = sum(found.values())
    # A dead worker's rows are loaded and summed again by all others.
    again = n * D * 8 / workers / cost.disk / max(workers - 1, 1) + own / max(workers - 1, 1) + own
    found["deaths"] = DEATHS * workers * base * again
    return found


def changed(cost: Cost, n: float, k: int, workers: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the seconds of an iteration after what would be changed.

    One task of eight threads for a worker, in STEALS small stretches that idle cores take; a loop that lives on workers
    and adds sums by reduce-scatter and all-gather, each byte once up and once down in parallel, so that neither the
    scheduler nor the caller sees an iteration.
    """
    found = iteration(cost, n, k, workers, rng)
    sums = 8.0 * k * (D * (D + 1) / 2 + D + 1)
    found["stragglers"] /= STEALS**0.5
    found["reduction"] = 4 * sums * LINE + 2 * math.log2(workers + 1) * HOP
    found["scheduler"] = 0.0
    return found


def table(cost: Cost, k: int) -> list[str]:
    """Return lines: seconds of an iteration, and the share of it that is arithmetic."""
    rng = np.random.default_rng(0)
    lines = [
        "| rows | workers | work | stragglers | reduction | scheduler | deaths | iteration | efficiency | changed |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for n in (1e10, 1e11, 1e12):
        for workers in (10, 100, 1000, 10_000):
            parts = iteration(cost, n, k, workers, rng)
            total = sum(parts.values())
            pure = n * k * (2.0 * D * (D + 1) + 60.0) / (workers * cost.cores) / cost.rate
            other = sum(changed(cost, n, k, workers, rng).values())
            cells = " | ".join(f"{parts[name]:.3g}" for name in parts)
            lines.append(
                f"| 1e{round(math.log10(n))} | {workers} | {cells} | {total:.3g} s | {pure / total:.0%} | "
                f"{other:.3g} s, {pure / other:.0%} |"
            )
    return lines


def main() -> None:
    """Print the fit and the tables."""
    with open(sys.argv[1]) as stream:
        rows = [json.loads(line) for line in stream]
    cost = fit(rows)
    print(
        f"latency {cost.latency * 1e3:.1f} ms, a task {cost.task * 1e3:.2f} ms, "
        f"a megabyte {cost.byte * 1e9:.2f} ms, a core {cost.rate / 1e9:.0f} GF/s\n"
    )
    for row in (row for row in rows if row["kind"] == "round"):
        model = cost.latency + cost.task * row["workers"] + cost.byte * row["bytes"]
        times = " | ".join(f"{seconds * 1e3:.1f}" for seconds in (row["least"], row["median"], model))
        print(f"| {row['workers']} | {row['bytes'] / 1e6:.3g} | {times} |")
    for k in (32, 512):
        print(f"\nK = {k}\n")
        print("\n".join(table(cost, k)))


if __name__ == "__main__":
    main()
