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

    k, d = centres.shape
    panels = -(-k // PANEL)
    padded = np.zeros((panels * PANEL, d))
    padded[:k] = centres
    offsets = np.full(panels * PANEL, -np.inf)
    offsets[:k] = -0.5 * (centres * centres).sum(axis=1)
    return np.ascontiguousarray(padded.reshape(panels, PANEL, d).swapaxes(1, 2)).ravel(), offsets


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
        """A header, and a count and a sum for each centre."""
        from fastgmm.kernels.layout import HEADER

        k, d = self.centres.shape
        return HEADER + k * (d + 1)

    @cached_property
    def _packed(self) -> tuple[Floats, Floats]:
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
            len(stacks[0]), X, weights, *self.frame.padded, self.centres.ravel(), *self._packed, self.block,
            strip_rows(X.shape[1], 1), first_block, self.labels[span], self.distances[span], *stacks,
        )  # fmt: skip

    def moved(self, sums: Floats) -> tuple[float, Floats, Floats]:
        """Unpack a sweep: inertia, weight of each cluster (K,), and its mean (K, D); empty clusters stay."""
        from fastgmm.kernels.layout import HEADER

        k, d = self.centres.shape
        records = sums[HEADER:].reshape(k, d + 1)
        counts = records[:, 0]
        steps = records[:, 1:] / np.where(counts > 0, counts, 1.0)[:, None]
        return float(sums[0]), counts, self.centres + steps
