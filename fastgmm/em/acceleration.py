"""Acceleration: where to take the next pass instead of where EM goes. EM's own step stays at hand, and the last word.

References
----------
Varadhan and Roland (2008), Simple and globally convergent methods for accelerating the convergence of any EM algorithm.
Scandinavian Journal of Statistics 35, 335-353. (SQUAREM; its third step length.)

Henderson and Varadhan (2019), Damped Anderson acceleration with restarts and monotonicity control for accelerating EM
and EM-like algorithms. J. Computational and Graphical Statistics 28, 834-846.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.coordinates import Chart, within
from fastgmm.em.state import Arrays, arrays_of, parameters_of
from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]
Within = Callable[[Parameters | None, Parameters], Parameters | None]
"""(mixture, the last one) → the nearest mixture of the model, or None."""

ACCELERATIONS = ("squarem", "anderson")


class AbstractAcceleration(ABC):
    """Proposals of one run. A proposal is refused where the pass from it sees a lower objective than the last did."""

    def __init__(self, inside: Within) -> None:
        self._inside = inside

    @abstractmethod
    def propose(self, at: Parameters, updated: Parameters, jumped: bool) -> Parameters | None:
        """Return where to go from `at`, which EM takes to `updated`; None: there.

        `jumped` says whether `at` was proposed here, and accepted.
        """

    @abstractmethod
    def refused(self) -> None:
        """Learn that the last proposal was: the next pass is from the `updated` that it was made with."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything: the components are other ones."""

    @abstractmethod
    def state(self) -> Arrays:
        """Return all that the proposals to come depend on."""

    @abstractmethod
    def restore(self, state: Arrays, form: str) -> None:
        """Go on from what `state` returned; `form` is of the covariances."""


class Squarem(AbstractAcceleration):
    """Squared extrapolation: two steps of EM, θ₀ → θ₁ → θ₂, then θ₀ + 2 α r + α² v with r = θ₁ − θ₀, v = θ₂ − θ₁ − r.

    α = ‖r‖ / ‖v‖, no more than a limit that grows where it was reached and falls where a proposal is refused. A step of
    EM follows each proposal before the next pair of them.
    """

    def __init__(self, inside: Within) -> None:
        super().__init__(inside)
        self._before: Parameters | None = None
        self._limit, self._reached = FIRST_LIMIT, False

    def propose(self, at: Parameters, updated: Parameters, jumped: bool) -> Parameters | None:
        """Extrapolate from every second step of EM."""
        if jumped:
            self._limit *= GROWTH if self._reached else 1.0
            self._before = None
            return None
        if self._before is None:
            self._before = at
            return None
        before, self._before = self._before, None
        try:
            chart = Chart(at)
            backward, forward = chart.coordinates(before), chart.coordinates(updated)
        except DegenerateComponentError:
            return None
        step, bend = -backward, forward + backward
        curvature = float(np.linalg.norm(bend))
        length = float(np.linalg.norm(step)) / curvature if curvature > 0 else 0.0
        if not length > SHORTEST:
            return None
        self._reached = length >= self._limit
        length = min(length, self._limit)
        return self._inside(chart.parameters(backward + 2.0 * length * step + length**2 * bend), updated)

    def refused(self) -> None:
        """Dare less."""
        self._limit = max(self._limit / GROWTH, FIRST_LIMIT)

    def reset(self) -> None:
        """Begin a new pair of steps."""
        self._before = None

    def state(self) -> Arrays:
        """Return the limit, and where the pair of steps began."""
        limits = {"limits": np.array([self._limit, self._reached])}
        return limits if self._before is None else limits | arrays_of(self._before, "before")

    def restore(self, state: Arrays, form: str) -> None:
        """Go on from a state."""
        self._limit, self._reached = float(state["limits"][0]), bool(state["limits"][1])
        self._before = parameters_of(state, "before", form) if "before.means" in state else None


FIRST_LIMIT, GROWTH = 4.0, 2.0
SHORTEST = 2.0
"""EM that shrinks its steps to less than half needs no help, and two steps of it, α = 1, are no bet.

On 120 problems (5 separations, 24 seeds; K = 3, D = 2): median of the passes' ratio to EM's, largest, fits that ended
lower / higher than EM's. Shortest 1.01: 0.41, 1.20, 2 / 3; 1.5: 0.39, 1.20, 0 / 2; 2: 0.41, 1.09, 0 / 2.
"""


class Anderson(AbstractAcceleration):
    """Anderson's mixing: the point where a linear model of EM's steps, from the last few of them, has none.

    After a refusal it waits, the longer the more of them came in a row.
    """

    def __init__(self, inside: Within) -> None:
        super().__init__(inside)
        self._chart: Chart | None = None
        self._images: list[Floats] = []
        self._steps: list[Floats] = []
        self._wait = self._refusals = 0

    def propose(self, at: Parameters, updated: Parameters, jumped: bool) -> Parameters | None:
        """Combine the last steps so that what is left of them is least."""
        try:
            if self._chart is None:
                self._chart = Chart(at)
            point, image = self._chart.coordinates(at), self._chart.coordinates(updated)
        except DegenerateComponentError:
            self.reset()
            return None
        self._images = [*self._images[-MEMORY:], image]
        self._steps = [*self._steps[-MEMORY:], image - point]
        if jumped:
            self._refusals = 0
        if len(self._steps) < FEWEST_STEPS or _fast(*self._steps[-2:]):
            return None
        if self._wait:
            self._wait -= 1
            return None
        steps, images = np.diff(self._steps, axis=0), np.diff(self._images, axis=0)
        shares = _least_squares(steps, self._steps[-1])
        return self._inside(self._chart.parameters(image - shares @ images), updated)

    def refused(self) -> None:
        """Learn anew: the steps were not linear."""
        self.reset()
        self._refusals += 1
        self._wait = min(2**self._refusals, LONGEST_WAIT)

    def reset(self) -> None:
        """Forget all steps."""
        self._chart, self._images, self._steps = None, [], []

    def state(self) -> Arrays:
        """Return the last steps, and the chart that they are in."""
        counts = {"counts": np.array([self._wait, self._refusals], dtype=np.int64)}
        if self._chart is None:
            return counts
        steps = {"images": np.array(self._images), "steps": np.array(self._steps)}
        return counts | arrays_of(self._chart.origin, "origin") | steps

    def restore(self, state: Arrays, form: str) -> None:
        """Go on from a state."""
        self._wait, self._refusals = (int(n) for n in state["counts"])
        if "origin.means" in state:
            self._chart = Chart(parameters_of(state, "origin", form))
            self._images, self._steps = [*state["images"]], [*state["steps"]]


MEMORY, FEWEST_STEPS, LONGEST_WAIT = 8, 5, 16
"""Differences of steps that are kept, steps before the first proposal, and between refusals.

On the problems of `SHORTEST`: 0.60, 1.15, 1 / 0. From three steps on, without waiting: 0.65, 1.77, 1 / 1.
"""
DAMPING = 1e-10
"""Of the sum of the squared singular values: added to each of them."""


def _fast(earlier: Floats, last: Floats) -> bool:
    """Return whether steps shrink to less than half."""
    return bool(SHORTEST * np.linalg.norm(last) < np.linalg.norm(earlier))


def _least_squares(rows: Floats, target: Floats) -> Floats:
    """Return c that makes |c rows − target| least, with a little damping: what rounding says is not followed."""
    products = rows @ rows.T
    damping = DAMPING * np.trace(products) + np.finfo(np.float64).tiny
    return np.asarray(np.linalg.solve(products + damping * np.eye(len(rows)), rows @ target))


def acceleration(name: str | None, model: str, ridge: Floats | float) -> AbstractAcceleration | None:
    """Return the acceleration of a run, by its name; its proposals stay within the model."""

    def inside(parameters: Parameters | None, before: Parameters) -> Parameters | None:
        return within(parameters, model, ridge, before)

    if name is None:
        return None
    return Squarem(inside) if name == "squarem" else Anderson(inside)
