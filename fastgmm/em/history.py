"""What a run remembers of its iterations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class History:
    """Four lists, one entry an iteration."""

    lower_bound: list[float] = field(default_factory=list)
    """The objective."""
    seconds: list[float] = field(default_factory=list)
    """Since the fit began. Iterations of one compiled call, of a few milliseconds, share its time evenly."""
    passes: list[int] = field(default_factory=list)
    """Sweeps over all rows so far, those of the start and of refused proposals included."""
    evaluated: list[float] = field(default_factory=list)
    """Share of the pairs of rows and components that the iteration's pass computed."""

    def __len__(self) -> int:
        """Return the number of iterations."""
        return len(self.lower_bound)

    def add(self, lower_bound: float, seconds: float, passes: int, evaluated: float = 1.0) -> None:
        """Remember an iteration."""
        self.lower_bound.append(lower_bound)
        self.seconds.append(seconds)
        self.passes.append(passes)
        self.evaluated.append(evaluated)

    def extend(self, lower_bounds: list[float], since: float, until: float, passes: int) -> None:
        """Remember iterations of one pass each, between two times, after so many passes."""
        n = len(lower_bounds)
        self.lower_bound.extend(lower_bounds)
        self.seconds.extend(since + (until - since) * (i + 1) / n for i in range(n))
        self.passes.extend(range(passes + 1, passes + n + 1))
        self.evaluated.extend([1.0] * n)

    def copied(self) -> History:
        """Return a history that later iterations do not change."""
        return History([*self.lower_bound], [*self.seconds], [*self.passes], [*self.evaluated])

    def arrays(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        """Return equally long arrays by their names."""
        return {
            "lower_bound": np.array(self.lower_bound, dtype=np.float64),
            "seconds": np.array(self.seconds, dtype=np.float64),
            "passes": np.array(self.passes, dtype=np.int64),
            "evaluated": np.array(self.evaluated, dtype=np.float64),
        }
