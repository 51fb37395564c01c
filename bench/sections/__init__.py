"""What is measured: one file a section, each with the names of `Section`; `python -m bench NAME` runs one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Protocol

from bench.plan import Plan
from bench.sections import (
    acceleration,
    bounded,
    cold,
    families,
    files,
    fits,
    float32,
    iterations,
    memory,
    online,
    roofline,
    slopes,
    threads,
)
from bench.targets import Finding

Line = dict[str, Any]
"""One JSON line: its `kind` is the section's, its `case` one of the section's; what else, the section knows."""


class Section(Protocol):
    """The names that a section's module has."""

    @property
    def KIND(self) -> str:
        """Return the `kind` of its JSON lines."""

    @property
    def TITLE(self) -> str:
        """Return its heading."""

    @property
    def ROUNDS(self) -> int:
        """Return how often it measures by default."""

    @property
    def CASES(self) -> Collection[str]:
        """Return the names of its cases."""

    def measure(self, name: str, plan: Plan) -> list[Line]:
        """Measure one case."""

    def about(self, lines: list[Line]) -> str:
        """Return a paragraph on how the lines were measured."""

    def tables(self, lines: list[Line]) -> str:
        """Return the lines as Markdown tables."""

    def findings(self, lines: list[Line]) -> Iterable[Finding]:
        """Return what targets ask for."""


SECTIONS: dict[str, Section] = {
    "roofline": roofline,
    "iterations": iterations,
    "bounded": bounded,
    "families": families,
    "float32": float32,
    "threads": threads,
    "slopes": slopes,
    "memory": memory,
    "cold": cold,
    "fits": fits,
    "acceleration": acceleration,
    "online": online,
    "files": files,
}
"""In the order in which `python -m bench all` runs them: what is asked most first."""


def failed(section: Section, name: str, error: Exception) -> Line:
    """Return the line of a case that could not be measured."""
    return {"kind": section.KIND, "case": name, "error": " ".join(f"{type(error).__name__}: {error}".split())}
