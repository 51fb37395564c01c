"""Sweeps: sum something over all rows, in one canonical order whoever does the work.

Rows are cut into blocks. A block's sums are a node of level 0; nodes are added pairwise in the dyadic tree over block
numbers. Which additions are made depends on the number of rows alone: threads, spans and machines cannot change a bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.threads import Team

Floats = NDArray[np.float64]
Node = tuple[int, Floats]
"""Level in the tree (2**level blocks) and sums."""

SPAN_FLOP = 8e9
"""Work between two looks at the clock and the keyboard, at most: 30–200 ms on two cores, so Ctrl-C is answered in time.

At its end threads wait for the last: a quarter of it took 1.02 (d64k32) to 1.09 (d32k32, 9 blocks for two) of the time.
"""


def blocks_per_span(flop_per_row: float, block: int) -> int:
    """Return how many blocks make a span's work: a power of two, for threads to share alike."""
    return 1 << (max(1, int(SPAN_FLOP / (flop_per_row * block))).bit_length() - 1)


class DyadicSum:
    """Adds nodes that come in the order of their blocks, from `first_block` on; may write on those that are `spent`."""

    def __init__(self, first_block: int = 0, spent: bool = False) -> None:
        self._stack: list[Node] = []
        self._blocks, self._spent = first_block, spent

    @property
    def nodes(self) -> list[Node]:
        """What was added, in as few nodes as there can be: another sum goes on with them."""
        return list(self._stack)

    def add(self, level: int, sums: Floats) -> None:
        """Add the next node; complete pairs are joined at once, so log₂ of the blocks are held at most."""
        place = self._blocks >> level
        self._blocks += 1 << level
        while place & 1 and self._stack and self._stack[-1][0] == level:
            sums = self._added(self._stack.pop()[1], sums)
            level, place = level + 1, place >> 1
        self._stack.append((level, sums))

    def total(self) -> Floats:
        """Return the sum: nodes without a partner are added from the last to the first."""
        result = self._stack[-1][1]
        for _, sums in reversed(self._stack[:-1]):
            result = self._added(sums, result)
        return result

    def _added(self, left: Floats, right: Floats) -> Floats:
        """Return a sum; where it may lie on a node it does: new memory has left the caches (K = 32, D = 64: 0.6 MB)."""
        return np.add(left, right, out=left) if self._spent else left + right


class AbstractTask(ABC):
    """A sum over rows: what a kernel adds up over a span of them. Data only, so that it can travel."""

    @property
    @abstractmethod
    def block(self) -> int:
        """Rows of a block."""

    @property
    @abstractmethod
    def flop_per_row(self) -> float:
        """Work that a row makes."""

    @property
    @abstractmethod
    def node_length(self) -> int:
        """Numbers that are summed."""

    @cached_property
    def blocks_per_span(self) -> int:
        """Blocks between two returns to Python."""
        return blocks_per_span(self.flop_per_row, self.block)

    def cuts(self, first_block: int, blocks: int, parts: int) -> list[int]:
        """Return where to cut a run of blocks into so many parts, each about as much work."""
        return [blocks * t // parts for t in range(parts + 1)]

    def runs(self, parts: int) -> int:
        """Return in how many runs of blocks a kernel does its parts' work: each leaves a stack of nodes."""
        return parts

    def alike(self) -> AbstractTask:
        """Return the task that leaves its nodes where all others of its block size do."""
        return self

    @abstractmethod
    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on the rows `start` … of X; it leaves stacks of nodes."""

    @abstractmethod
    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return the compiled kernel."""


NodeArrays = tuple[int, Floats, NDArray[np.int64], NDArray[np.int64]]
"""First block, nodes (runs, depth, length), levels (runs, depth), depths (runs,)."""


def sweep(spans: Iterable[tuple[int, NDArray[Any], Floats]], n_rows: int, task: AbstractTask, team: Team) -> Floats:
    """Sum `task` over spans of whole blocks that come in order."""
    lasting = n_rows > task.block * task.blocks_per_span
    return added(DyadicSum(spent=True), spans, n_rows, task, team, lasting).total()


def added(
    total: DyadicSum,
    spans: Iterable[tuple[int, NDArray[Any], Floats]],
    n_rows: int,
    task: AbstractTask,
    team: Team,
    lasting: bool = True,
) -> DyadicSum:
    """Add `task` over spans of whole blocks, which go on where `total` ends, and return it.

    Of one span whose sum is wanted at once, nodes need not last.
    """
    team = team.suited(n_rows, task.block)
    with team.limit():
        for start, X, weights in spans:
            if team.mode == "parallel" or team.size == 1:
                nodes = nodes_of(task, team.size, team.mode, start, X, weights, lasting)
            else:
                pieces = _pieces(task, start, X, weights, team.size)
                runs = team.map(lambda piece: nodes_of(task, 1, "serial", *piece), pieces)
                nodes = [node for run in runs for node in run]
            for level, sums in nodes:
                total.add(level, sums)
    return total


def stacks(blocks: int, runs: int, length: int) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return room for the nodes that a kernel leaves of so many blocks: nodes, levels and depths of each run."""
    depth = 2 * blocks.bit_length() + 2  # a run may be most of them
    return np.empty((runs, depth, length)), np.empty((runs, depth), np.int64), np.empty(runs, np.int64)


def nodes_of(
    task: AbstractTask, parts: int, mode: str, start: int, X: NDArray[Any], weights: Floats, lasting: bool = True
) -> list[Node]:
    """Call the kernel on a span with work for `parts` threads, and collect their nodes in order.

    Those that are to last are taken out of the stack, most of which is room.
    """
    blocks = -(-len(X) // task.block)
    runs = task.runs(min(parts, blocks))
    nodes, levels, depths = stacks(blocks, runs, task.node_length)
    kernel = task.kernel(X.dtype, mode)
    task.call(kernel, start, X, weights, (start // task.block, nodes, levels, depths))
    found = [(int(levels[t, i]), nodes[t, i]) for t in range(runs) for i in range(depths[t])]
    # Joined before they are copied, one in the place of six: the room lives longer, 700 page faults a pass, 1.05 of it.
    return [(level, sums.copy()) for level, sums in found] if lasting else found


def _pieces(
    task: AbstractTask, start: int, X: NDArray[Any], weights: Floats, parts: int
) -> list[tuple[int, Any, Floats]]:
    """Cut a span into contiguous runs of whole blocks, one for each thread."""
    blocks = -(-len(X) // task.block)
    places = task.cuts(start // task.block, blocks, min(parts, blocks))
    cuts = [min(place * task.block, len(X)) for place in places]
    return [
        (start + low, X[low:high], weights[low:high] if weights.size else weights)
        for low, high in pairwise(cuts)
        if low < high
    ]
