"""The sweep with transported bounds: what is known of pairs of rows and components, and how it moves along.

Let y = W (x − μ) be a row whitened by a component, and (L, μ) → (L', μ') its update. Then y' = A y + b with A = W'L and
b = W'(μ − μ'), so that ‖y'‖ ≥ σ_min(A) ‖y‖ − ‖b‖: a lower bound of a distance stays one after the parameters moved.
Likewise ‖y'‖ ≤ σ_max(A) ‖y‖ + ‖b‖ keeps an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import ExpectationTask, pair_share
from fastgmm.parameters import Parameters
from fastgmm.sweep import NodeArrays

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Share by which what `transport` says is loosened for rounding."""

SLACK = 2.0**-20
"""Share by which what was taken off bounds is exaggerated when they are read: 16 roundings of float32."""

WORN = 256.0
"""What may be taken off a bound before all are stored anew, in whitened units and as a factor: it costs them digits."""


@dataclass(frozen=True, eq=False)
class Step:
    """How distances may have changed: ‖y'‖ ≥ shrink ‖y‖ − shift and ‖y'‖ ≤ grow ‖y‖ + shift; all (K,)."""

    shrink: Floats
    grow: Floats
    shift: Floats

    @classmethod
    def none(cls, n_components: int) -> Step:
        """Return the step that changes nothing."""
        return cls(np.ones(n_components), np.ones(n_components), np.zeros(n_components))


def transport(before: Parameters, after: Parameters) -> Step:
    """Bound how far distances can change from one set of parameters to the next.

    ‖y‖² / ‖y'‖² lies between the least and the largest eigenvalue of GᵀG, where G = A⁻¹ = W L'. 3.5 K D³ flop.
    """
    steps = np.einsum("kde,ke->kd", after.whiteners, before.means - after.means)
    least, largest = _changes(before.whiteners, after.choleskys).T
    slack = ROUNDING * (1 + np.abs(least) + np.abs(largest))
    with np.errstate(divide="ignore"):
        grow = 1 / np.sqrt(np.maximum(1 + least - slack, 0))
    shrink = 1 / np.sqrt(1 + largest + slack)
    return Step(shrink, grow, np.linalg.norm(steps, axis=1) * (1 + ROUNDING))


def _changes(whiteners: Floats, choleskys: Floats) -> Floats:
    """Return bounds (K, 2) of the eigenvalues of GᵀG − I, G = W L', for triangles of shape (K, D, D)."""
    from fastgmm.kernels.variants import growth_kernel

    extremes = np.empty((len(whiteners), 2))
    growth_kernel()(1, np.ascontiguousarray(whiteners), np.ascontiguousarray(choleskys), extremes)
    return np.where(np.isfinite(extremes).all(axis=1, keepdims=True), extremes, [-1.0, np.inf])


class BoundedState:
    """What is known from the passes before; kernels renew the arrays in place.

    A bound is stored as (distance + offset) / factor of the time when it was computed, so that later it reads as
    factor · stored − offset with factor and offset grown by the steps since: no bound is touched when parameters move.
    """

    def __init__(self, n_rows: int, n_components: int) -> None:
        from fastgmm.kernels.layout import STEP

        self.bounds = np.zeros(-(-n_rows // STEP) * STEP * n_components, dtype=np.float32)
        """Lower bounds of distances by strips: (strips, K, rows of a strip), flat."""
        self.homes = np.full(n_rows, -1, dtype=np.int32)
        """The component that was best for each row, (N,); −1 before the first pass."""
        self.distances = np.zeros(n_rows, dtype=np.float32)
        """Upper bounds of the distances there, (N,)."""
        self.factor, self.offset = np.ones(n_components), np.zeros(n_components)

    def move(self, step: Step) -> Motion:
        """Take a step; return how a pass is to read and store bounds."""
        factor, offset = step.shrink * self.factor, step.shrink * self.offset + step.shift
        worn = bool((offset > WORN * factor).any() or (factor * WORN < 1).any())
        self.factor = np.ones_like(factor) if worn else factor
        self.offset = np.zeros_like(offset) if worn else offset
        return Motion(step, factor, offset * (1 + SLACK), 1 / self.factor, self.offset, worn)


@dataclass(frozen=True, eq=False)
class Motion:
    """One pass's way of reading bounds, as factor · stored − offset, and of storing them; arrays of (K,)."""

    step: Step
    factor: Floats
    offset: Floats
    new_factor: Floats
    new_offset: Floats
    worn: bool
    """Whether all bounds are to be stored anew."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundedTask(ExpectationTask):
    """Statistics of rows under a mixture, with a state that rules pairs out."""

    state: BoundedState
    motion: Motion
    share: float = 1.0
    """Of the pairs that the pass before evaluated."""

    @property
    def flop_per_row(self) -> float:
        """What the pass before came to, and some for each bound."""
        return self.share * super().flop_per_row + 20.0 * self.n_components

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        """Return `kernels.bounded`."""
        from fastgmm.kernels.variants import bounded_kernel

        return bounded_kernel(self.n_features, dtype, self.mixture.real, mode)

    def call(
        self, kernel: Callable[..., None], start: int, X: NDArray[Any], weights: Floats, nodes: NodeArrays
    ) -> None:
        """Run the kernel on a span."""
        from fastgmm.kernels.layout import STEP, strip_rows

        shape, k, motion = self.mixture.shape, self.n_components, self.motion
        stop = start + len(X)
        bounds = self.state.bounds[start * k : -(-stop // STEP) * STEP * k]
        first_block, *stacks = nodes
        share = pair_share(self.skip_below, k)
        log_skip = math.inf if share <= 0 else -math.log(share)
        # Longer strips than the dense pass takes: each one's sums are fetched and stored for every component. Times of
        # ×1 / 2 / 4 / 8: d64k32 at a share of 0.04 1.9 / 1.3 / 1 / 1.2, d16k128 at 0.20 1.2 / 1.1 / 1 / 1.
        strip = min(self.block, 4 * strip_rows(self.n_features, k))
        kernel(
            len(stacks[0]), X, weights, *self.mixture.frame.padded, self.mixture.padded_means,
            self.mixture.log_constants, self.mixture.columns, motion.factor, motion.offset, motion.new_factor,
            motion.new_offset, motion.step.grow, motion.step.shift, log_skip, share, int(motion.worn), shape.record,
            shape.row_length, self.block, strip, bounds, self.state.homes[start:stop],
            self.state.distances[start:stop], first_block, *stacks,
        )  # fmt: skip
