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


class Squarem(AbstractAcceleration):
    """Squared extrapolation: two steps of EM, θ₀ → θ₁ → θ₂, then θ₀ + 2 α r + α² v with r = θ₁ − θ₀, v = θ₂ − θ₁ − r.

    α = ‖r‖ / ‖v‖, at most `_most`, which grows where it is reached and shrinks where a proposal is refused.
    """

    def __init__(self, inside: Within, stabilise: bool = True) -> None:
        super().__init__(inside)
        self._before: Parameters | None = None
        self._most, self._long, self._stabilise = FIRST_LENGTH, False, stabilise

    def propose(self, at: Parameters, updated: Parameters, jumped: bool) -> Parameters | None:
        """Extrapolate from every second step."""
        if jumped and self._long:
            self._most *= GROWTH
        self._long = False
        if jumped and self._stabilise:
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
        length = float(np.linalg.norm(step)) / curvature if curvature > 0 else 1.0
        if not length > SHORTEST:
            return None
        self._long = length >= self._most
        length = min(length, self._most)
        point = backward + 2.0 * length * step + length**2 * bend
        return self._inside(chart.parameters(point), updated)

    def refused(self) -> None:
        """Dare less."""
        self._most = max(self._most / GROWTH, FIRST_LENGTH)
        self._long = False

    def reset(self) -> None:
        """Begin a new pair of steps."""
        self._before, self._long = None, False


FIRST_LENGTH, GROWTH, SHORTEST = 4.0, 4.0, 1.01
"""Longest step at first, what it grows by, and the shortest that is more than two of EM's."""


class Anderson(AbstractAcceleration):
    """Anderson's mixing: the point where a linear model of EM's steps, from the last few of them, has none."""

    def __init__(self, inside: Within, memory: int = 8) -> None:
        super().__init__(inside)
        self._memory = memory
        self._chart: Chart | None = None
        self._images: list[Floats] = []
        self._steps: list[Floats] = []

    def propose(self, at: Parameters, updated: Parameters, jumped: bool) -> Parameters | None:
        """Combine the last steps so that what is left of them is least."""
        try:
            if self._chart is None:
                self._chart = Chart(at)
            point, image = self._chart.coordinates(at), self._chart.coordinates(updated)
        except DegenerateComponentError:
            self.reset()
            return None
        self._images = [*self._images[-self._memory :], image]
        self._steps = [*self._steps[-self._memory :], image - point]
        if len(self._steps) < FEWEST_STEPS:
            return None
        steps, images = np.diff(self._steps, axis=0), np.diff(self._images, axis=0)
        shares = _least_squares(steps, self._steps[-1])
        return self._inside(self._chart.parameters(image - shares @ images), updated)

    def refused(self) -> None:
        """Learn anew: the steps were not linear."""
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self._chart, self._images, self._steps = None, [], []


FEWEST_STEPS = 3
DAMPING = 1e-10
"""Of the largest singular value, squared: added to all of them."""


def _least_squares(rows: Floats, target: Floats) -> Floats:
    """Return c that makes |c rows − target| least, with a little damping."""
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    return np.asarray((right @ target) * (values / (values**2 + DAMPING * values[0] ** 2 + 1e-300)) @ left.T)


def acceleration(name: str | None, model: str, ridge: Floats | float) -> AbstractAcceleration | None:
    """Return the acceleration of a run, by its name; its proposals stay within the model."""

    def inside(parameters: Parameters | None, before: Parameters) -> Parameters | None:
        return within(parameters, model, ridge, before)

    if name is None:
        return None
    return Squarem(inside) if name == "squarem" else Anderson(inside)
