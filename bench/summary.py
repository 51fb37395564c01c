"""What tables show: cells of rows, ratios to fastgmm and their geometric means. Prints nothing."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from bench import tables

Row = dict[str, Any]

BASE = "fastgmm"
MISSING = "not installed"
REASON_WIDTH = 60  # the whole reason is in the JSON line
HEADINGS = (
    "peer",
    "s / iteration",
    "min–max",
    "ratio",
    "log-likelihood",
    "peak MiB",
    "fit MiB",
    "first call s",
)


def by_case(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows by their case, in the order in which cases first appear."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["case"], []).append(row)
    return groups


def title(row: Row) -> str:
    """Return the case's name and size."""
    return f"{row['case']}: {row['n_samples']} × {row['n_features']}, K = {row['n_components']}"


def cells(row: Row, group: Sequence[Row]) -> list[str]:
    """Return what a table says of one row, in the order of `HEADINGS`; a failure gives its reason."""
    if row["error"] is not None:
        reason = textwrap.shorten(row["error"], REASON_WIDTH, placeholder="…")
        return [row["label"], f"({reason})", *[tables.NOTHING] * (len(HEADINGS) - 2)]
    relative = ratio(row, group)
    return [
        row["label"],
        f"{row['seconds_per_iteration']:.4g}",
        f"{row['seconds_min']:.4g}–{row['seconds_max']:.4g}",
        tables.NOTHING if relative is None else f"{relative:.2f}",
        f"{row['log_likelihood']:.8f}",
        f"{row['peak_rss_mib']:.0f}",
        f"{row['peak_rss_mib'] - row['rss_before_mib']:.0f}",
        f"{row['first_call_seconds']:.2f}",
    ]


def ratio(row: Row, group: Sequence[Row]) -> float | None:
    """Return the row's seconds in units of fastgmm's on the same case: below 1, fastgmm lost."""
    base = next((other["seconds_per_iteration"] for other in group if other["peer"] == BASE), None)
    mine = row["seconds_per_iteration"]
    # Differences of timings can come out negative where a case is too small to be timed at all.
    return mine / base if mine is not None and base is not None and mine > 0 and base > 0 else None


def geometric_means(rows: Iterable[Row]) -> dict[str, tuple[float, int]]:
    """Return for each peer's label the geometric mean of its ratios, and over how many cases."""
    ratios: dict[str, list[float]] = {}
    for group in by_case(rows).values():
        for row in group:
            if (value := ratio(row, group)) is not None:
                ratios.setdefault(row["label"], []).append(value)
    return {label: (math.exp(math.fsum(map(math.log, v)) / len(v)), len(v)) for label, v in ratios.items()}
