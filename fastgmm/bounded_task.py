"""The sweep with transported bounds: what is known of pairs of rows and components, and how it moves along.

Let y = W (x − μ) be a row whitened by a component, and (L, μ) → (L', μ') its update. Then y' = A y + b with A = W'L and
b = W'(μ − μ'), so that ‖y'‖ ≥ σ_min(A) ‖y‖ − ‖b‖: a lower bound of a distance stays one after the parameters moved.
Likewise ‖y'‖ ≤ σ_max(A) ‖y‖ + ‖b‖ keeps an upper bound.

Rows that are alone with a component are *settled* (`kernels.settled`): their sums about an origin that stays are formed
once, and moved to the means of each pass.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.expectation_task import SKIP_BELOW, ExpectationTask, pair_share
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import NodeArrays, blocks_per_span
from fastgmm.threads import ALONE, Team

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Share by which what `transport` says is loosened for rounding."""

SLACK = 2.0**-20
"""Share by which what was taken off bounds is exaggerated when they are read: 16 roundings of float32."""

WORN = 256.0
"""What may be taken off a bound before all are stored anew, in whitened units and as a factor: it costs them digits."""


FEWEST = 0.1
"""Share of the evaluated pairs from which it pays to settle the rows that are alone: each spares one.

d64k32 at a share of 0.38: 0.79 of the sweep's time; d32k32 at 0.11: 0.96;
photograph's patches with 1e-9 at 0.05: 1.00; d16k128 with 1e-9 at 0.007: 1.10.
"""

SPENDS = 4.0
"""How many times a pair's share a row must be allowed to lose for its pairs to share that unevenly.

Few of the K pairs are near what may be left out; the others are far below. Photograph's patches / d16k128 with 1e-9:
0.95 / 0.86 of the pairs evaluated, 0.95 / 0.97 of the time. Moments' pairs taken off the allowance one by one: d16k128
1.04 of that.
"""

FAR = 2.0
"""Step, in whitened units and as a factor, at which settled sums are formed anew."""

SUMS = ("origins", "sum_w", "sum_x", "sum_xx")
"""Arrays of settled sums."""

LOOSE = 1.5
"""What is not known of squared distances from homes where these are evaluated before bounds are compared.

Photograph's patches with 1e-9, 4 to 16: 0.91 of the time, for 0.82 to 0.85 of the pairs. d64k32, d32k32, d16k128,
0.02 to 1: no fewer pairs, and d32k32 1.03 of the time, for shorter lists.
"""

EVEN = 1.02
"""Work of the busiest thread, as a multiple of what each would have, that is good enough."""

LONGER = 2
"""How many times as much work as in other passes a span is: 30–400 ms on two cores.

Photograph's patches, 22 blocks, some with thrice the work of others: spans of 6 of them, halved, 1.4 of the time.
"""


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


def transport(before: Parameters, after: Parameters, team: Team = ALONE) -> Step:
    """Bound how far distances can change from one set of parameters to the next. 3.5 K D³ flop."""
    from fastgmm.kernels.variants import growth_kernel

    found = np.empty((3, len(before.means)))
    triangles = map(np.ascontiguousarray, (before.whiteners, after.choleskys, after.whiteners))
    team.run(growth_kernel, *triangles, before.means, after.means, ROUNDING, *found)
    return Step(*found)


class BoundedState:
    """What is known from the passes before; kernels renew the arrays in place.

    A bound is stored as (distance + offset) / factor of the time when it was computed, so that later it reads as
    factor · stored − offset with factor and offset grown by the steps since: no bound is touched when parameters move.
    """

    def __init__(self, n_rows: int, n_features: int, n_components: int) -> None:
        from fastgmm.kernels.layout import STEP, block_rows

        self.bounds = np.zeros(-(-n_rows // STEP) * STEP * n_components, dtype=np.float32)
        """Lower bounds of distances by strips: (strips, K, rows of a strip), flat."""
        self.homes = np.full(n_rows, -1, dtype=np.int32)
        """The component that was best for each row, (N,); −1 before the first pass."""
        self.distances = np.zeros(n_rows, dtype=np.float32)
        """Upper bounds of the distances there, (N,)."""
        self.settled = np.full(n_rows, -1, dtype=np.int32)
        """The component in whose settled sums each row is, (N,); −1 where it is in none."""
        self.sums: SufficientStatistics | None = None
        """The settled sums."""
        self.waste = 0.0
        """Rows that were computed since these were formed, and would not have been if they had been formed anew."""
        self.alone = self._kept = self._evaluated = 0.0
        """Rows that would be settled now."""
        self.work = np.zeros(-(-n_rows // block_rows(n_features)), dtype=np.int64)
        """Densities and moments that each block took in the pass before."""
        self.factor, self.offset = np.ones(n_components), np.zeros(n_components)

    def move(self, step: Step) -> Motion:
        """Take a step; return how a pass is to read and store bounds."""
        factor, offset = step.shrink * self.factor, step.shrink * self.offset + step.shift
        worn = bool((offset > WORN * factor).any() or (factor * WORN < 1).any())
        self.factor = np.ones_like(factor) if worn else factor
        self.offset = np.zeros_like(offset) if worn else offset
        return Motion(step, factor, offset * (1 + SLACK), 1 / self.factor, self.offset, worn)

    def settles(self, step: Step, skip_below: float) -> bool:
        """Return whether the next pass is to form settled sums anew.

        It computes rows that it need not, so it waits until as many were computed for want of it; but sums about an
        origin that is far away in whitened units lose digits.
        """
        if skip_below < SKIP_BELOW:
            return False
        if self.sums is not None and not self._near(step):
            return True
        return self.waste > self.alone >= FEWEST * (self._kept + self._evaluated)

    def _near(self, step: Step) -> bool:
        return bool(step.shift.max() < FAR and step.grow.max() < FAR and step.shrink.min() > 1 / FAR)

    def learn(self, task: BoundedTask, sums: Floats) -> None:
        """Take over what a pass formed, and counted."""
        self._evaluated, fresh, lost = (float(n) for n in sums[1:4])
        if task.settle:
            self.sums, self.waste, self.alone, self._kept = task.settling(sums), 0.0, fresh, fresh
            self._evaluated -= fresh
        else:
            self.waste, self.alone = self.waste + fresh + lost, self._kept + fresh - lost

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is settled by names; `restore` takes it back."""
        found = {
            "settled": self.settled,
            "settled.counts": np.array([self.waste, self.alone, self._kept, self._evaluated]),
        }
        if self.sums is not None:
            found |= {f"settled.{name}": getattr(self.sums, name) for name in SUMS}
        return found

    def restore(self, found: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` returned."""
        self.settled = found["settled"]
        self.waste, self.alone, self._kept, self._evaluated = (float(n) for n in found["settled.counts"])
        if "settled.sum_w" in found:
            origins, sum_w, sum_x, sum_xx = (found[f"settled.{name}"] for name in SUMS)
            self.sums = SufficientStatistics(origins, sum_w, sum_x, sum_xx, 0.0, 0.0)


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
    settle: bool = False
    """Whether settled sums are to be formed anew."""
    even: bool = False
    """Whether threads share the blocks by their number, not by their work."""

    @property
    def flop_per_row(self) -> float:
        """What the pass before came to, and some for each bound."""
        return self.share * super().flop_per_row + 20.0 * self.n_components

    @property
    def node_length(self) -> int:
        """Where settled sums are formed, their records follow on the others."""
        length = super().node_length
        return length + self.settle * self.n_components * self.mixture.shape.record

    def statistics(self, sums: Floats, weight: float) -> SufficientStatistics:
        """Unpack the sums of a sweep, and add what is settled."""
        if self.state.sums is not None and not self.settle:
            return self._with_settled(sums, weight, self.state.sums)
        found = super().statistics(sums[: super().node_length], weight)
        if not self.settle:
            return found
        settled = self.settling(sums)
        return replace(
            found,
            sum_w=found.sum_w + settled.sum_w,
            sum_x=found.sum_x + settled.sum_x,
            sum_xx=found.sum_xx + settled.sum_xx,
        )

    def _with_settled(self, sums: Floats, weight: float, settled: SufficientStatistics) -> SufficientStatistics:
        """Add settled sums to a sweep's, and Σ_k n_k c_k − ½ tr(W_k S_k W_kᵀ), the settled rows' log_joint at home."""
        from fastgmm.kernels.layout import HEADER
        from fastgmm.kernels.variants import lengths_kernel

        (k, d), shape, origins = (self.n_components, self.n_features), self.mixture.shape, self.mixture.origins
        found, lengths = (np.empty(k), np.empty((k, d)), np.empty((k, d, d))), np.empty(k)
        own = settled.origins - origins, settled.sum_w, settled.sum_x, settled.sum_xx
        whiteners, records = self.mixture.parameters.whiteners, sums[HEADER:]
        self.team.run(lengths_kernel, whiteners, *own, records, shape.record, shape.moments, *found, lengths)
        present = settled.sum_w > 0  # a log constant may be −inf for the others
        constants = self.mixture.log_constants[present].astype(np.float64)
        joint = float(settled.sum_w[present] @ constants) - 0.5 * float(lengths.sum())
        return SufficientStatistics(origins, *found, float(sums[0]) + weight * self.offset + joint, weight)

    def settling(self, sums: Floats) -> SufficientStatistics:
        """Unpack the settled sums that a sweep formed."""
        from fastgmm.kernels.layout import HEADER

        cut = super().node_length
        return super().statistics(np.concatenate([np.zeros(HEADER), sums[cut:]]), 0.0)

    @cached_property
    def columns(self) -> NDArray[Any]:
        """Whiteners as the kernel reads them."""
        return self.mixture.columns(self.team)

    @property
    def shares(self) -> tuple[float, float]:
        """The share that a pair may have to be left out, and what a row may lose in all where that is not enough."""
        share = pair_share(self.skip_below, self.n_components)
        return (share / 2, self.skip_below) if self.skip_below > SPENDS * share else (share, 0.0)

    @property
    def homes_first(self) -> bool:
        """Whether rows' homes are to be evaluated before bounds are compared."""
        step, weights = self.motion.step, self.mixture.parameters.weights
        loose = (step.grow**2 - 1) * self.n_features + 2 * step.shift * math.sqrt(self.n_features)
        return float((weights * loose).sum()) > LOOSE

    @cached_property
    def blocks_per_span(self) -> int:
        """Few spans: blocks differ in work, and at the end of each span threads wait for the one with most."""
        return blocks_per_span(self.flop_per_row / LONGER, self.block)

    def cuts(self, first_block: int, blocks: int, parts: int) -> list[int]:
        """Return where to cut a run of blocks, by the work that each was in the pass before."""
        return self.arcs(first_block, blocks, parts, 1)[:-1]

    def runs(self, parts: int) -> int:
        """Arcs of a circle of blocks, of which that of part 0 may begin before the end."""
        return parts if self.even else parts + 1

    def alike(self) -> BoundedTask:
        """Return the task that shares blocks by their number."""
        return replace(self, even=True)

    def arcs(self, first_block: int, blocks: int, parts: int, ends: int = 0) -> list[int]:
        """Return cuts, parts + 2 of them, by which parts are about as much work, by that of blocks in the pass before.

        Where all is `even` cuts are parts + 1.
        Part 0 takes the first run and the last, which may be empty; it begins at one of so many `ends`.
        """
        if self.even:
            return super().cuts(first_block, blocks, parts)
        # One run each: photograph's patches with 1e-9, 22 blocks, 0.47 and 0.53 of the work; 1.05 of the time.
        work = (self.state.work[first_block : first_block + blocks] + self.block).tolist()
        before = list(accumulate(work, initial=0))
        whole, half = before[-1], 0.5 * before[-1] / blocks
        best, least = [0, blocks, blocks], math.inf
        for last in range(blocks, blocks - (ends or max(blocks // parts, 1)), -1):
            wanted = [before[last] - whole * t / parts - half for t in range(parts - 1, 0, -1)]
            edges = [0, *(bisect_left(before, place, 0, last) for place in wanted), last]
            loads = [before[high] - before[low] for low, high in pairwise(edges)]
            loads[0] += whole - before[last]
            if max(loads) < least:
                best, least = [*edges, blocks], max(loads)
            if least * parts <= EVEN * whole:
                break
        return best

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
        blocks = -(-len(X) // self.block)
        parts = len(stacks[0]) - (not self.even)
        cuts = self.arcs(first_block, blocks, parts)
        share, allowance = self.shares
        log_skip = math.inf if share <= 0 else -math.log(share)
        # Longer strips than the dense pass takes: each one's sums are fetched and stored for every component. Times of
        # ×1 / 2 / 4 / 8: d64k32 at a share of 0.04 1.9 / 1.3 / 1 / 1.2, d16k128 at 0.20 1.2 / 1.1 / 1 / 1.
        # Tried: blocks of half as many rows, for threads to share work more evenly, 1.00 to 1.04; a component's record
        # merged with its sibling's as soon as it is complete, 0.98 to 1.00; moments of pairs below 2⁻³⁶ of their row in
        # float32, 1.0; a distance given up at 24 of 64 features, which tells 0.17 of the pairs left in vain.
        strip = min(self.block, 4 * strip_rows(self.n_features, k))
        kernel(
            parts, X, weights, *self.mixture.frame.padded, self.mixture.padded_means,
            self.mixture.log_constants, self.columns, motion.factor, motion.offset, motion.new_factor,
            motion.new_offset, motion.step.grow, motion.step.shift, log_skip, share, allowance,
            int(self.homes_first), int(motion.worn), int(self.settle), shape.record, shape.row_length, self.block,
            strip, np.array(cuts, dtype=np.int64), bounds,
            self.state.homes[start:stop], self.state.distances[start:stop], self.state.settled[start:stop],
            self.state.work[first_block : first_block + blocks], first_block,
            *stacks,
        )  # fmt: skip
