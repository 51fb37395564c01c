"""EM iterations of all peers, from the same start."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bench import summary
from bench.cases import CASES as PROBLEMS
from bench.measure import measure as measure_peers
from bench.plan import Plan
from bench.tables import grid
from bench.targets import Finding

KIND = "row"
TITLE = "Iterations, dense, against other libraries"
ROUNDS = 5

CASES = tuple(PROBLEMS)

EIGHT = ("d2k8", "d3k64", "d8k16", "d16k32", "d16k128", "d32k32", "d64k32", "d128k16")
"""The cases that the geometric means are asked of."""


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Time all peers on a case."""
    return measure_peers(PROBLEMS[name], plan.peers, plan)


def about(lines: list[dict[str, Any]]) -> str:
    """Return the protocol, from the first line."""
    few, many = lines[0]["iterations"]
    scaled = "" if lines[0]["scale"] == 1.0 else f" Rows scaled by {lines[0]['scale']:g}."
    return (
        f"{lines[0]['threads']} threads, float64, full covariances, the same start for all; median of up to "
        f"{lines[0]['rounds']} interleaved rounds. Ratio: seconds in units of fastgmm's; below 1, fastgmm lost. "
        f"Log-likelihood: mean per row after {many} iterations. Seconds: from fits of {few} and {many}.{scaled}"
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return a table for each case, and the geometric means of several."""
    groups = summary.by_case(lines)
    parts = [f"### {summary.title(group[0])}\n\n{_table(group)}" for group in groups.values()]
    if len(groups) > 1 and (means := summary.geometric_means(lines)):
        body = [[label, f"{mean:.2f}", str(count)] for label, (mean, count) in means.items()]
        parts.append("### Geometric mean of the ratios\n\n" + grid(["peer", "ratio", "cases"], body))
    return "\n\n".join(parts)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give each peer's ratios, and their geometric means over the eight synthetic cases if all were measured."""
    ratios: dict[str, dict[str, float]] = {}
    for case, group in summary.by_case(lines).items():
        for row in group:
            if row["peer"] != summary.BASE and (value := summary.ratio(row, group)) is not None:
                ratios.setdefault(row["label"], {})[case] = value
    for label, of in ratios.items():
        if set(EIGHT) <= set(of):
            mean = math.exp(math.fsum(math.log(of[case]) for case in EIGHT) / len(EIGHT))
            yield Finding(f"times {label}'s speed, geometric mean", "eight synthetic", mean)
        for case, value in of.items():
            yield Finding(f"times {label}'s speed", case, value, is_ratio=True)


def _table(group: list[dict[str, Any]]) -> str:
    body = []
    missing = [row["label"] for row in group if row["error"] == summary.MISSING]
    for row in group:
        if row["error"] != summary.MISSING:
            label, *rest = summary.cells(row, group)
            body.append([f"{label} {row['version'] or ''}".strip(), *rest])
    left = f"\n\nNot installed: {', '.join(missing)}." if missing else ""
    return grid(summary.HEADINGS, body) + left
