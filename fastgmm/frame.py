"""Frame: the coordinates in which kernels compute, x' = (x − centre) · scale, chosen so that both steps are exact.

Scales are powers of two. A feature is centred only if all its values lie within a factor of two of each other: then the
subtraction is exact (Sterbenz), so timestamps near 1.6e9 lose nothing, and otherwise its numbers are small already.
A fit is therefore bit for bit the same when the data are scaled by powers of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]

PADDING = 8
"""Features that a kernel may read beyond the last: the largest panel's."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Standardised coordinates of D features: ``centre`` (D,) in the user's units, ``exponents`` (D,) of the scales."""

    centre: Floats
    exponents: NDArray[np.int64]

    @classmethod
    def around(cls, low: Floats, high: Floats) -> Frame:
        """Choose the frame for data whose features range from `low` to `high`, both of shape (D,)."""
        same_sign = (low > 0) | (high < 0)
        near, far = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
        centred = same_sign & (far / 2 <= near)
        centre = np.where(centred, low / 2 + high / 2, 0.0)
        reach = np.where(centred, (high - centre) / 2 + (centre - low) / 2, far)
        exponents = -np.frexp(reach)[1].astype(np.int64)
        varies = reach > 0
        # A constant feature takes the finest scale of the others, so that it does not set their common one.
        exponents[~varies] = exponents[varies].max() if varies.any() else 0
        return cls(centre, exponents)

    @classmethod
    def identity(cls, n_features: int) -> Frame:
        """Return the frame that changes nothing."""
        return cls(np.zeros(n_features), np.zeros(n_features, dtype=np.int64))

    @classmethod
    def of(cls, parameters: Parameters) -> Frame:
        """Choose the frame for any rows under a mixture, so that a row's score does not depend on other rows."""
        reach = 4 * np.sqrt(np.maximum(parameters.variances, 0.0))
        frame = cls.around((parameters.means - reach).min(axis=0), (parameters.means + reach).max(axis=0))
        return frame.isotropic() if parameters.form == "spherical" else frame

    def isotropic(self) -> Frame:
        """Return the frame with one scale for all features, which keeps the user's distances."""
        return Frame(self.centre, np.full_like(self.exponents, self.exponents.min()))

    @cached_property
    def scale(self) -> Floats:
        """Powers of two, (D,)."""
        return np.ldexp(1.0, np.clip(self.exponents, -1022, 1023))

    @cached_property
    def padded(self) -> tuple[Floats, Floats]:
        """Centre and scale, (D + PADDING,), zeros at the end: kernels take whole panels of features."""
        behind = np.zeros(PADDING)
        return np.concatenate([self.centre, behind]), np.concatenate([self.scale, behind])

    @cached_property
    def log_volume(self) -> float:
        """Log |dx'/dx|: what log-densities lose on the way back to the user's units."""
        return float(np.log2(self.scale).sum()) * math.log(2.0)

    def rows(self, X: Floats) -> Floats:
        """Standardise rows (n, D)."""
        return (np.asarray(X, dtype=np.float64) - self.centre) * self.scale

    def enter(self, parameters: Parameters) -> Parameters:
        """Bring a mixture of the user's units into the frame."""
        return parameters.rescaled(self.rows(parameters.means), self.scale)

    def leave(self, parameters: Parameters) -> Parameters:
        """Bring a mixture of the frame into the user's units."""
        return parameters.rescaled(parameters.means / self.scale + self.centre, 1 / self.scale)

    def leave_statistics(self, statistics: SufficientStatistics, origins: Floats) -> SufficientStatistics:
        """Bring sums of the frame into the user's units; `origins` (K, D) are their origins there."""
        return statistics.rescaled(origins, 1 / self.scale)
