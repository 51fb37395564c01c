"""Joint tasks: several sums over the same rows, formed while each span of them is at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.sweep import AbstractTask, NodeArrays

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointTask(AbstractTask):
    """Tasks of one block size, whose nodes are joined end to end: each has the sums that it would have alone."""

    tasks: tuple[AbstractTask, ...]

    @property
    def block(self) -> int:
        """Rows of a block."""
        return self.tasks[0].block

    @property
    def flop_per_row(self) -> float:
        """That of all tasks."""
        return sum(task.flop_per_row for task in self.tasks)

    @property
    def node_length(self) -> int:
        """Numbers that all tasks sum."""
        return sum(task.node_length for task in self.tasks)

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., Any]:
        """Return the tasks' kernels, by their numbers."""
        return [task.kernel(dtype, mode) for task in self.tasks].__getitem__

    def call(self, kernel: Callable[..., Any], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays) -> None:
        """Run each kernel on the span; where nodes lie in the tree, all say alike."""
        first_block, sums, levels, depths = nodes
        at = 0
        for number, task in enumerate(self.tasks):
            own = np.empty((*sums.shape[:2], task.node_length))
            task.alike().call(kernel(number), start, X, weights, (first_block, own, levels, depths))
            for part, depth in enumerate(depths):
                sums[part, :depth, at : at + task.node_length] = own[part, :depth]
            at += task.node_length

    def split(self, sums: Floats) -> list[Floats]:
        """Return the sums of each task."""
        return np.split(sums, np.cumsum([task.node_length for task in self.tasks])[:-1])


def joined(tasks: Sequence[AbstractTask]) -> list[list[int]]:
    """Return the numbers of the tasks that can be summed together: those of one block size."""
    groups: dict[int, list[int]] = {}
    for number, task in enumerate(tasks):
        groups.setdefault(task.block, []).append(number)
    return list(groups.values())
