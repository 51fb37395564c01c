"""Plan: how a run measures, whatever it measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How often, with how many threads, on how much of the rows, and for how long."""

    iterations: tuple[int, int] = (2, 7)
    """Two fits whose difference counts, where whole fits of libraries are timed from outside."""
    rounds: int = 5
    threads: int = 2
    scale: float = 1.0
    """Factor on the number of rows."""
    timeout: float = 600.0
    """Seconds of work after which a process is given up."""
    patience: float = 12.0
    """Seconds of work on a case after which a contender sits out the rounds that are left."""
    peers: tuple[str, ...] = ("fastgmm",)
