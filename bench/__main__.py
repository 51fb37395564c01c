"""The command line: `python -m bench --cases d2k8,d16k32 --peers fastgmm,onedal --json out.jsonl`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bench import machine, summary
from bench.cases import CASES
from bench.measure import Plan, measure
from bench.peers import MODULES


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; print a table per case as it is done, and the geometric means at the end."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    plan = Plan(options.iterations, options.rounds, options.threads, options.scale, options.timeout)
    rows: list[dict[str, Any]] = []
    with options.json.open("w") if options.json else nullcontext() as file:
        _keep(file, [machine.describe()])
        for name in options.cases:
            group = measure(CASES[name], options.peers, plan)
            _keep(file, group)
            rows += group
            print(_table(group), flush=True)
    for label, (mean, count) in summary.geometric_means(rows).items():
        print(f"{label}: {mean:.2f} times fastgmm's seconds (geometric mean over {count} cases)")
    return 0


def _keep(file: Any, lines: Sequence[dict[str, Any]]) -> None:
    """Write lines at once: an interrupted run keeps the cases that it has done."""
    if file is not None:
        file.writelines(json.dumps(line) + "\n" for line in lines)
        file.flush()


def _table(group: Sequence[dict[str, Any]]) -> str:
    lines = [list(summary.HEADINGS), *(summary.cells(row, group) for row in group)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([summary.title(group[0]), *text, ""])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time EM iterations of fastgmm and its peers.")
    parser.add_argument("--cases", type=_names(CASES), default=list(CASES), help=f"of {','.join(CASES)}; default all")
    parser.add_argument("--peers", type=_names(MODULES), default=list(MODULES), help=f"of {','.join(MODULES)}")
    parser.add_argument("--rounds", type=_positive, default=5, help="measurements of each peer (default 5)")
    parser.add_argument("--iterations", type=_pair, default=(2, 7), help="n1,n2: two fits whose difference counts")
    parser.add_argument("--threads", type=_positive, default=2, help="the same for all peers (default 2)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of rows, for quick runs")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds of work for each peer and case")
    parser.add_argument("--json", type=Path, help="write the rows here, one JSON object a line")
    return parser


def _names(known: dict[str, Any]) -> Any:
    def names(text: str) -> list[str]:
        wanted = text.split(",")
        if unknown := [name for name in wanted if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; choose from {', '.join(known)}")
        return wanted

    return names


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, but is {text}")
    return int(text)


def _pair(text: str) -> tuple[int, int]:
    few, many = (int(part) for part in text.split(","))
    if not 1 <= few < many:
        raise argparse.ArgumentTypeError(f"must be n1,n2 with 1 <= n1 < n2, but is {text}")
    return few, many


if __name__ == "__main__":
    sys.exit(main())
