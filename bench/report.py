"""From JSON lines to the tables of docs/benchmarks.md: `python -m bench.report results.jsonl --write FILE`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import summary

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report, or write it between the markers of a Markdown file."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description="Turn results into Markdown tables.")
    parser.add_argument("results", type=Path, nargs="+", help="files that `python -m bench --json` wrote")
    parser.add_argument("--write", type=Path, help="a Markdown file with the two markers; default: print")
    options = parser.parse_args(arguments)
    text = "\n".join(markdown(read(path)) for path in options.results)
    if options.write is None:
        print(text)
    else:
        options.write.write_text(between_markers(options.write.read_text(), text))
    return 0


def read(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a results file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def markdown(lines: Iterable[dict[str, Any]]) -> str:
    """Return the machine, a table per case and the geometric means; losses as they are."""
    lines = list(lines)
    parts = [_machine(line) for line in lines if line["kind"] == "machine"]
    rows = [line for line in lines if line["kind"] == "row"]
    if rows:
        parts.append(_protocol(rows[0]))
    groups = summary.by_case(rows).values()
    parts += [f"### {summary.title(group[0])}\n\n{_table(group)}" for group in groups]
    if means := summary.geometric_means(rows):
        body = [[label, f"{mean:.2f}", str(count)] for label, (mean, count) in means.items()]
        parts.append("### Geometric mean of the ratios\n\n" + _grid(["peer", "ratio", "cases"], body))
    return "\n\n".join(parts) + "\n"


def between_markers(document: str, text: str) -> str:
    """Return the document with what is between its markers replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The document has no {BEGIN} followed by {END}. Add both lines where the tables belong.")
    return f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}"


def _machine(line: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in line["versions"].items())
    where = f"{line['cpu']}, {line['cores']} cores, {line['system']}"
    return f"Measured on {line['date']}: {where}; Python {line['python']}, {versions}."


def _protocol(row: dict[str, Any]) -> str:
    few, many = row["iterations"]
    scaled = "" if row["scale"] == 1.0 else f" Rows scaled by {row['scale']:g}."
    return (
        f"{row['threads']} threads, float64, full covariances, the same start for all; median of "
        f"{row['rounds']} interleaved rounds. Ratio: seconds in units of fastgmm's; below 1, fastgmm lost. "
        f"Log-likelihood: mean per row after {many} iterations. Seconds: from fits of {few} and {many}.{scaled}"
    )


def _table(group: Sequence[dict[str, Any]]) -> str:
    body = []
    for row in group:
        label, *rest = summary.cells(row, group)
        body.append([f"{label} {row['version'] or ''}".strip(), *rest])
    return _grid(list(summary.HEADINGS), body)


def _grid(headings: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["--:"] * (len(headings) - 1)]
    lines = ([cell.replace("|", "\\|") for cell in line] for line in [headings, rule, *body])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
