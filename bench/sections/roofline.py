"""The machine's limits, and how near to them one core comes: every pair computed, no responsibility skipped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from bench import child
from bench import roofline as limits
from bench.cases import CASES as PROBLEMS
from bench.cases import Case
from bench.plan import Plan
from bench.tables import grid, percent, seconds
from bench.targets import Finding
from bench.turns import turns

KIND = "roofline"
TITLE = "Shares of the machine's peak"
ROUNDS = 7

MACHINE = "machine"
CASES = (MACHINE, "d8k16", "d16k32", "d32k32", "d64k32", "d128k16")
DTYPES = ("float64", "float32")
EVERYTHING = -1.0  # skip responsibilities below: none


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Measure the machine, or the share of a case, in a process of its own."""
    if name == MACHINE:
        return child.call(machine, plan, plan=plan)
    return child.call(shares, name, plan, plan=plan)


def machine(plan: Plan) -> list[dict[str, Any]]:
    """Return the best of all rounds: a limit is what was reached once."""
    teams = sorted({1, plan.threads})
    contenders: dict[tuple[str, str, int], Callable[[], float]] = {
        ("bandwidth", "float64", n): partial(limits.bandwidth, n) for n in teams
    }
    contenders |= {("peak", dtype, n): partial(limits.peak, n, dtype) for dtype in DTYPES for n in teams}
    lines = []
    for (what, dtype, n), rates in turns(contenders, plan).items():
        of = {"what": what, "dtype": dtype, "threads": n, "lanes": limits.lanes(dtype)}
        lines.append({"kind": KIND, "case": MACHINE, **of, "billions_per_second": max(rates), "error": None})
    return lines


def shares(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Time passes on one core in turn with the peak, for both dtypes."""
    X = PROBLEMS[name].rows(plan.scale)
    return [_share(PROBLEMS[name], X.astype(dtype), plan) for dtype in DTYPES]


def _share(case: Case, X: Any, plan: Plan) -> dict[str, Any]:
    from fastgmm.parameters import Parameters
    from fastgmm.rows.memory import ArrayRows
    from fastgmm.threads import Team

    start, rows, team = case.start(X.astype(np.float64)), ArrayRows(X), Team(1, "serial")
    parameters = rows.frame.enter(Parameters(start.weights, start.means, start.covariances))

    def one_pass() -> float:
        began = time.perf_counter()
        rows.expectation(parameters, team, skip_below=EVERYTHING)
        return time.perf_counter() - began

    one_pass()  # compiled before it is timed
    contenders: dict[str, Callable[[], float]] = {"peak": partial(limits.peak, 1, X.dtype), "pass": one_pass}
    results = turns(contenders, plan)
    taken, peak = median(results["pass"]), max(results["peak"])
    n, d = X.shape
    gigaflops = 2.0 * n * case.n_components * d * (d + 1) / taken / 1e9
    size = {"n_samples": n, "n_features": d, "n_components": case.n_components}
    rates = {"seconds": taken, "gigaflops": gigaflops, "peak_gigaflops": peak, "share": gigaflops / peak}
    return {"kind": KIND, "case": case.name, **size, "dtype": str(X.dtype), "scale": plan.scale, **rates, "error": None}


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is counted."""
    return (
        "Peak: multiply-adds of register tiles without memory; bandwidth: a sum over 256 MiB; the best of all rounds, "
        "with fastgmm's own instructions. Share: one core, one pass over the rows, 2 N K D (D + 1) flop, no "
        "responsibility skipped, median of rounds taken in turn with the peak."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return the limits and the shares."""
    limits_, shares_ = [], []
    for line in lines:
        if line["case"] == MACHINE:
            unit = "GB/s" if line["what"] == "bandwidth" else "GF/s"
            best = f"{line['billions_per_second']:.1f} {unit}"
            limits_.append([f"{line['what']}, {line['dtype']}", str(line["threads"]), best])
        else:
            rate = [seconds(line["seconds"]), f"{line['gigaflops']:.1f}", f"{line['peak_gigaflops']:.1f}"]
            shares_.append([f"{line['case']}, {line['dtype']}", *rate, percent(line["share"])])
    parts = [grid(["limit", "threads", "rate"], limits_)] * bool(limits_)
    parts += [grid(["case", "s / pass", "GF/s", "peak GF/s", "share"], shares_)] * bool(shares_)
    return "\n\n".join(parts)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the shares; those of float32 have no target."""
    for line in lines:
        if line["case"] != MACHINE:
            quantity = "share of the FMA peak" + ("" if line["dtype"] == "float64" else f", {line['dtype']}")
            yield Finding(quantity, line["case"], line["share"])
