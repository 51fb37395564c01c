"""The sweep with transported bounds: what is known of pairs of rows and components, and how it moves along.

Let y = W (x − μ) be a row whitened by a component, and (L, μ) → (L', μ') its update. Then y' = A y + b with A = W'L and
b = W'(μ − μ'), so that ‖y'‖ ≥ σ_min(A) ‖y‖ − ‖b‖: a lower bound of a distance stays one after the parameters moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import ExpectationTask
from fastgmm.parameters import Parameters
from fastgmm.sweep import NodeArrays

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Share by which transported bounds are loosened for rounding in σ_min and ‖b‖."""


def transport(before: Parameters, after: Parameters) -> tuple[Floats, Floats]:
    """Return lower bounds of σ_min(A_k) and upper bounds of ‖b_k‖, both (K,).

    σ_min(A) = 1 / ‖A⁻¹‖ and A⁻¹ = W L' = I + E with E small near convergence: ‖A⁻¹‖ ≤ 1 + ‖E‖, where
    ‖E‖ ≤ ‖(EᵀE)⁴‖_F^⅛, within a factor D^(1/16) of the spectral norm. 8 K D³ flop.
    """
    error = before.whiteners @ after.choleskys - np.eye(before.n_features)
    scale = np.abs(error).max(axis=(1, 2), keepdims=True)
    scale[scale == 0] = 1.0
    power = error / scale
    power = power.swapaxes(1, 2) @ power
    power = power @ power
    power = power @ power
    norms = np.linalg.norm(power, axis=(1, 2)) ** 0.125 * scale[:, 0, 0]
    steps = np.einsum("kde,ke->kd", after.whiteners, before.means - after.means)
    return (1 - ROUNDING) / (1 + norms), np.linalg.norm(steps, axis=1) * (1 + ROUNDING)


@dataclass(frozen=True, eq=False)
class BoundedState:
    """What is known from the passes before; kernels renew it in place."""

    bounds: NDArray[np.float32]
    """Lower bounds of distances by groups of rows: (groups, K, rows of a group), flat."""
    homes: NDArray[np.int32]
    """The component that was best for each row, (N,); −1 before the first pass."""

    @classmethod
    def fresh(cls, n_rows: int, n_components: int) -> BoundedState:
        """Return the state of knowing nothing."""
        from fastgmm.kernels.layout import WIDTH

        groups = -(-n_rows // WIDTH)
        return cls(np.zeros(groups * n_components * WIDTH, dtype=np.float32), np.full(n_rows, -1, dtype=np.int32))


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundedTask(ExpectationTask):
    """Statistics of rows under a mixture, with a state that rules pairs out."""

    state: BoundedState
    moves: tuple[Floats, Floats]
    """What `transport` says of the step since the state was renewed."""

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return `kernels.bounded`."""
        from fastgmm.kernels.variants import bounded_kernel

        return bounded_kernel(self.n_features, dtype, mode)

    def evaluated(self, sums: Floats) -> float:
        """Return how many pairs of rows and components a sweep computed."""
        return float(sums[1])

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on a span."""
        from fastgmm.kernels.layout import WIDTH, layout, strip_rows

        shape, k = layout(self.n_features), self.n_components
        stop = start + len(X)
        bounds = self.state.bounds[start * k : -(-stop // WIDTH) * WIDTH * k]
        first_block, *stacks = nodes
        centre, scale, _, log_constants, whiteners = self.mixture.arrays
        log_skip = math.log(k) - math.log(self.skip_below)
        # Longer strips than the dense pass takes: what survives of one must fill tiles. ×1 / 2 / 4 on d64k32 at a share
        # of 0.04: 0.39 / 0.35 / 0.34 of the dense pass's time.
        strip = min(self.block, 4 * strip_rows(self.n_features, k))
        kernel(
            X, weights, centre, scale, self.mixture.padded_means, log_constants, whiteners, *self.moves, log_skip,
            self.skip_below, shape.record, shape.row_length, self.block, strip, bounds,
            self.state.homes[start:stop], first_block, *stacks,
        )  # fmt: skip
