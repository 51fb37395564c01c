"""Assigning rows to the nearest of some centres: the sweep behind k-means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import Frame
from fastgmm.sweep import AbstractTask, NodeArrays

Floats = NDArray[np.float64]
Labels = NDArray[np.int32]


def packed_centres(centres: Floats) -> tuple[Floats, Floats]:
    """Pack centres (K, D) in panels of PANEL, and −½‖c‖² with −inf for the padding of the last panel; both flat."""
    from fastgmm.kernels.target import PANEL
    from fastgmm.kernels.variants import pack_centres_kernel

    k, d = centres.shape
    count = -(-k // PANEL) * PANEL
    panels, offsets = np.empty(count * d), np.empty(count)
    pack_centres_kernel()(1, centres, panels, offsets)
    return panels, offsets


@dataclass(frozen=True, eq=False)
class AssignmentTask(AbstractTask):
    """Inertia, counts and sums of the rows nearest to each centre; labels and squared distances on the way."""

    frame: Frame
    centres: Floats
    """(K, D), in the frame's coordinates."""
    labels: Labels = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    """Written if not empty."""
    distances: Floats = field(default_factory=lambda: np.empty(0))
    """Squared, written if not empty."""

    @property
    def flop_per_row(self) -> float:
        """Inner products, and a constant for loading."""
        return 2.0 * self.centres.size + 20.0 * self.centres.shape[1]

    @property
    def block(self) -> int:
        """Rows of a block."""
        from fastgmm.kernels.layout import block_rows

        return block_rows(self.centres.shape[1])

    @property
    def node_length(self) -> int:
        """A header, a count and a sum for each centre, and room for the end of the last panel."""
        from fastgmm.kernels.layout import HEADER
        from fastgmm.kernels.target import PANEL

        k, d = self.centres.shape
        return HEADER + k * (d + 1) + PANEL

    @cached_property
    def packed(self) -> tuple[Floats, Floats]:
        """The centres in panels, and −½‖c‖² of each, as kernels read them."""
        return packed_centres(self.centres)

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return `kernels.nearest`."""
        from fastgmm.kernels.variants import nearest_kernel

        return nearest_kernel(dtype, mode)

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on a span."""
        from fastgmm.kernels.layout import strip_rows

        first_block, *stacks = nodes
        span = slice(start, start + len(X))
        kernel(
            len(stacks[0]), X, weights, *self.frame.padded, self.centres.ravel(), *self.packed, self.block,
            strip_rows(X.shape[1], 1), first_block, self.labels[span], self.distances[span], *stacks,
        )  # fmt: skip

    def moved(self, sums: Floats) -> tuple[float, Floats, Floats, float]:
        """Unpack a sweep: inertia, weight of each cluster (K,), its mean (K, D), and the centres' squared shift.

        Empty clusters stay.
        """
        from fastgmm.kernels.variants import move_centres_kernel

        counts, moved, told = np.empty(len(self.centres)), np.empty(self.centres.shape), np.empty(2)
        move_centres_kernel()(1, sums, self.centres, counts, moved, told)
        return float(told[0]), counts, moved, float(told[1])
