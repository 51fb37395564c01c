"""The command line: `python -m bench`, `python -m bench bounded --cases china-patches`, `python -m bench all`."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import sys
import traceback
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.peers import MODULES
from bench.plan import Plan
from bench.sections import SECTIONS, Section, failed

ALL = "all"
CASES = tuple(dict.fromkeys(case for section in SECTIONS.values() for case in section.CASES))

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; print each case as it is done, and what became of the targets at the end."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    names = list(SECTIONS) if ALL in options.sections else options.sections or ["iterations"]
    todo = [(SECTIONS[s], case) for s in names for case in SECTIONS[s].CASES if case in (options.cases or CASES)]
    if not todo:
        parser.error(f"argument --cases: none of them belongs to {', '.join(names)}")
    plan = Plan(options.iterations, 1, options.threads, options.scale, options.timeout, options.patience, options.peers)
    run = {"run": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    _keep(options.json, [machine.describe() | run])
    lines: list[dict[str, Any]] = []
    for section, case in todo:
        logger.info("%s  %s", section.KIND, case)
        rounds = options.rounds or section.ROUNDS
        group = [line | run for line in _measured(section, case, replace(plan, rounds=rounds))]
        _keep(options.json, group)
        lines += group
    print(_verdicts(lines))
    return 0


def _measured(section: Section, case: str, plan: Plan) -> list[dict[str, Any]]:
    """Measure and print a case; one that cannot be measured must not cost the others."""
    try:
        lines = section.measure(case, plan)
        print(section.tables(lines), end="\n\n", flush=True)
    except Exception as error:
        logger.warning("%s", traceback.format_exc())
        return [failed(section, case, error)]
    return lines


def _verdicts(lines: list[dict[str, Any]]) -> str:
    """Return the targets that something was measured for, and what was lost."""
    return f"{report.targets(lines, unmeasured=False)}\n\n{report.lost(lines)}"


def _keep(path: Path | None, lines: Iterable[dict[str, Any]]) -> None:
    """Append lines at once: an interrupted run keeps the cases that it has done."""
    if path is not None:
        with path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time fastgmm and its peers.")
    about = f"of {', '.join(SECTIONS)}, or {ALL}; default iterations"
    parser.add_argument("sections", nargs="*", type=_section, metavar="section", help=about)
    parser.add_argument("--cases", type=_names(CASES), help="of the sections' cases; default all")
    parser.add_argument("--peers", type=_names(MODULES), default=list(MODULES), help=f"of {','.join(MODULES)}")
    parser.add_argument("--rounds", type=_positive, help="measurements of each contender; default: the section's")
    parser.add_argument("--iterations", type=_pair, default=(2, 7), help="n1,n2: two fits whose difference counts")
    parser.add_argument("--threads", type=_positive, default=2, help="the same for all peers (default 2)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of rows, for quick runs")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds of work for each peer and case")
    parser.add_argument("--patience", type=float, default=12.0, help="seconds of work after which rounds are left out")
    parser.add_argument("--json", type=Path, help="append the lines to this file, one JSON object a line")
    return parser


def _section(text: str) -> str:
    if text not in (*SECTIONS, ALL):
        raise argparse.ArgumentTypeError(f"unknown {text}; choose from {', '.join((*SECTIONS, ALL))}")
    return text


def _names(known: Collection[str]) -> Any:
    def names(text: str) -> tuple[str, ...]:
        wanted = tuple(text.split(","))
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
