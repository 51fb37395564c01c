"""Repeated passes: what a compiled loop needs to sweep over rows by itself, many times in one call.

It pays where a pass is so short that what Python does between two takes longer, and the call must be short too, so that
Ctrl-C is answered in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastgmm.rows.base import AbstractRows
from fastgmm.sweep import AbstractTask, Floats, stacks
from fastgmm.threads import Team

CALL_FLOP = 2e8
"""Work of a call: 2 to 25 ms on one core of Zen 5."""

PASS_FLOP = CALL_FLOP / 10
"""Work of a pass up to which passes are repeated by a call.

Whole fits, with and without: 1 000 × 4, K = 5 0.9 and 2.1 ms; 10 000 × 8, K = 8 13 and 16 ms. Beyond, what is saved is
less than compiling the loops takes in a first fit, 2 s.
"""


@dataclass(frozen=True, eq=False)
class Repeated:
    """Passes of one kind over some rows, for as long as these stay as they are."""

    team: Team
    """Who takes them: calls are made within its limit."""
    turns: int
    """How many passes a call may take."""
    addresses: tuple[Any, Any]
    """Of the kernel's machine code, and of the code that launches it on threads: 0 for one thread."""
    rows: tuple[NDArray[Any], Floats]
    """Rows and weights, as kernels read them."""
    stacks: tuple[NDArray[Any], ...]
    """Room for nodes, levels and depths of all parts, and for the one stack that they are added in, with its levels."""


def repeated(rows: AbstractRows, task: AbstractTask, team: Team, most: float = PASS_FLOP) -> Repeated | None:
    """Return what repeats a task's passes; None where they are long, by Python's threads, or not in memory."""
    flop = task.flop_per_row * rows.n_rows
    if flop > most:
        return None
    team, held = team.suited(rows.n_rows, task.block), rows.held()
    if held is None or (team.mode == "serial" and team.size > 1):
        return None
    blocks = -(-rows.n_rows // task.block)
    nodes = stacks(blocks, min(team.size, blocks), task.node_length)
    (stack,), (levels,), _ = stacks(blocks, 1, task.node_length)
    kernel: Any = task.kernel(rows.dtype, team.mode)
    turns = max(1, int(CALL_FLOP / flop))
    return Repeated(team, turns, (kernel.address, kernel.launch_address), held, (*nodes, stack, levels))
