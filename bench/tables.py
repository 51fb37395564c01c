"""Markdown tables, padded so that they read well in a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTHING = "–"


def grid(headings: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (headings, *body)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))


def seconds(value: float | None) -> str:
    """Return four digits of a time."""
    return NOTHING if value is None else f"{value:.4g}"


def times(value: float | None) -> str:
    """Return a ratio."""
    return NOTHING if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """Return a share."""
    return NOTHING if value is None else f"{100 * value:.1f} %"
