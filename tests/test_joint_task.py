"""Joint tasks: each has the sums that it would have alone."""

from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.bounded_task import BoundedState, BoundedTask, Step
from fastgmm.expectation_task import ExpectationTask
from fastgmm.joint_task import JointTask
from fastgmm.packed import PackedMixture
from fastgmm.rows.memory import ArrayRows
from fastgmm.sweep import AbstractTask
from fastgmm.threads import Team

M = problems.mixture(3, 9)._replace(means=6 * problems.mixture(3, 9).means)
ROWS = ArrayRows(problems.drawn(M, 5 * 3072 + 100))
MIXTURE = PackedMixture(ROWS.frame, ROWS.frame.enter(problems.parameters(M)))


def bounded(work: list[int]) -> BoundedTask:
    state = BoundedState(ROWS.n_rows, 9, 3)
    state.work[:] = work
    return BoundedTask(MIXTURE, state=state, motion=state.move(Step.none(3)))


@pytest.mark.parametrize("team", [Team(2, "parallel"), Team(3, "serial"), Team(1, "serial")])
def test_threads_that_share_blocks_by_their_work_alone_share_them_alike_together(team: Team) -> None:
    first, last = [10**6, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 10**6]
    makers = [lambda: bounded(first), lambda: ExpectationTask(MIXTURE), lambda: bounded(last)]
    joint = JointTask(tuple[AbstractTask, ...](make() for make in makers))
    found = joint.split(ROWS.sweep(joint, team))
    for sums, make in zip(found, makers, strict=True):
        np.testing.assert_array_equal(sums, ROWS.sweep(make(), team))
