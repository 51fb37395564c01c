"""Lloyd's steps in compiled calls: many of them in one, for rows that are few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastgmm.assignment_task import AssignmentTask
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.repeated import PASS_FLOP, Repeated, repeated

if TYPE_CHECKING:
    from fastgmm.threads import Team

Floats = NDArray[np.float64]

STEP_FLOP = PASS_FLOP / 10
"""Work of a step up to which steps are compiled: on more, as of a sample of many rows, what is saved is less than the
1.2 s that compiling them takes in a first fit."""


def compiled_steps(rows: AbstractRows, task: AssignmentTask, team: Team, tolerance: float) -> Steps | None:
    """Return what moves the task's centres; None where passes are long, or rows are not in memory."""
    passes = repeated(rows, task, team, STEP_FLOP)
    return None if passes is None else Steps(rows, task, passes, tolerance)


class Steps:
    """Centres on their way, and the memory that their steps work in."""

    def __init__(self, rows: AbstractRows, task: AssignmentTask, passes: Repeated, tolerance: float) -> None:
        from fastgmm.kernels.layout import strip_rows
        from fastgmm.kernels.variants import lloyd_kernel, move_centres_kernel, pack_centres_kernel

        k, d = task.centres.shape
        self._kernel, self._rows, self._passes = lloyd_kernel(rows.dtype), rows, passes
        self._ended = np.zeros(2, dtype=np.int64)
        steps = pack_centres_kernel().address, move_centres_kernel().address
        self._arguments = (
            np.array([*passes.addresses, *steps]), *passes.rows, *task.frame.padded, task.block, strip_rows(d, 1),
            task.labels, task.distances, *passes.stacks, tolerance, rows.weight * d, *task.packed, np.empty(k),
            np.empty(2), np.empty((k, d)),
        )  # fmt: skip

    def take(self, centres: Floats, most: int) -> tuple[Floats, int]:
        """Return where centres (K, D) go in `most` steps, or as many as a call may take, and how many were taken."""
        moved = centres.copy()
        with self._passes.team.limit():
            self._kernel(1, *self._arguments, min(most, self._passes.turns), self._ended, moved, moved.ravel())
        self._rows.swept += int(self._ended[0])
        return moved, int(self._ended[0])

    @property
    def rest(self) -> bool:
        """Whether the last step was a small one."""
        from fastgmm.kernels.lloyd import RESTS

        return bool(self._ended[1] == RESTS)

    @property
    def stuck(self) -> bool:
        """Whether the next step would leave a centre without rows."""
        from fastgmm.kernels.lloyd import EMPTY

        return bool(self._ended[1] == EMPTY)
