"""From JSON lines to docs/benchmarks.md: `python -m bench.report results.jsonl --write FILE`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.sections import SECTIONS
from bench.summary import BASE
from bench.tables import grid
from bench.targets import Finding, Verdict, losses, verdicts

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
    """Return the machine, the targets, what was lost, and the tables of every section that was measured."""
    kept = latest(lines)
    parts = [_machine(line) for line in kept if line["kind"] == "machine"][-1:]
    parts += [targets(kept), lost(kept)]
    for section in SECTIONS.values():
        if good := measured(kept, section.KIND):
            parts.append(f"## {section.TITLE}\n\n{section.about(good)}\n\n{section.tables(good)}")
    return "\n\n".join(parts) + "\n"


def latest(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the last run of every case: ratios are of one run, or of none."""
    known = list(lines)
    runs = {(line["kind"], line.get("case")): line.get("run") for line in known}
    return [line for line in known if runs[line["kind"], line.get("case")] == line.get("run")]


def measured(lines: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return a section's lines, less cases that failed as a whole."""
    return [line for line in lines if line["kind"] == kind and not is_failure(line)]


def is_failure(line: dict[str, Any]) -> bool:
    """Say whether a line holds nothing but the reason why a case could not be measured."""
    return set(line) <= {"kind", "case", "run", "error"}


def found(lines: list[dict[str, Any]]) -> list[Finding]:
    """Return the findings of all sections."""
    return [f for s in SECTIONS.values() if (of := measured(lines, s.KIND)) for f in s.findings(of)]


def targets(lines: list[dict[str, Any]], unmeasured: bool = True) -> str:
    """Return the table of targets, with those that nothing was measured for or without."""
    body = [_verdict(verdict) for verdict in verdicts(found(lines)) if verdict.finding is not None or unmeasured]
    return "## Targets\n\n" + grid(["target", "case", "asked", "found", "met"], body)


def lost(lines: list[dict[str, Any]]) -> str:
    """Return what speaks against fastgmm: ratios below 1, targets missed, cases that failed."""
    all_found = found(lines)
    items = [f"slower: {f.quantity}, {f.case}: {f.value:.3g}" for f in losses(all_found)]
    for verdict in verdicts(all_found):
        if verdict.finding is not None and not verdict.met:
            f = verdict.finding
            items.append(f"missed: {f.quantity}, {f.case}: {f.value:.3g}, asked {verdict.target.bounds}")
    broken = [line for line in lines if line.get("error") and line.get("peer", BASE) == BASE]
    items += [f"failed: {line['kind']}, {line['case']}: {line['error']}" for line in broken]
    text = "\n".join(f"- {item}" for item in items) or "Nowhere, in what was measured."
    return f"## Where fastgmm loses\n\n{text}"


def between_markers(document: str, text: str) -> str:
    """Return the document with what is between its markers replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The document has no {BEGIN} followed by {END}. Add both lines where the tables belong.")
    return f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}"


def _verdict(verdict: Verdict) -> list[str]:
    target, finding = verdict.target, verdict.finding
    if finding is None:
        return [target.quantity, target.case, target.bounds, "not measured", ""]
    return [target.quantity, finding.case, target.bounds, f"{finding.value:.3g}", "yes" if verdict.met else "NO"]


def _machine(line: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in line["versions"].items())
    where = f"{line['cpu']}, {line['cores']} cores, {line['system']}"
    return f"Measured on {line['date']}: {where}; Python {line['python']}, {versions}."


if __name__ == "__main__":
    sys.exit(main())
