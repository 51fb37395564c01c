"""SufficientStatistics: everything that EM needs to know of the rows. A value with ``+``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fastgmm import tensors
from fastgmm.errors import StatisticsError

Floats = NDArray[np.float64]

FORMAT = "fastgmm-statistics-1"


@dataclass(frozen=True, eq=False)
class SufficientStatistics:
    """Sums over rows of responsibilities and of their moments about each component's origin.

    With z_ik = x_i − origin_k and responsibilities γ_ik (times the rows' weights, if they have any):

    Parameters
    ----------
    origins : array of shape (K, D)
        Where moments are taken about: the means of the pass that made the sums.
    sum_w : array of shape (K,)
        Σ_i γ_ik.
    sum_x : array of shape (K, D)
        Σ_i γ_ik z_ik.
    sum_xx : array of shape (K, D, D)
        Σ_i γ_ik z_ik z_ikᵀ.
    log_likelihood : float
        Σ_i log p(x_i) under the parameters of the pass.
    weight : float
        Σ_i of the rows' weights: their number, if they have none.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgmm
    >>> X = fastgmm.datasets.load_faithful()
    >>> p = fastgmm.Parameters(np.ones(1), X.mean(axis=0)[None], np.cov(X.T)[None])
    >>> whole = fastgmm.expectation(X, p)
    >>> halves = fastgmm.expectation(X[:136], p) + fastgmm.expectation(X[136:], p)
    >>> np.allclose(whole.sum_xx, halves.sum_xx)
    True
    """

    origins: Floats
    sum_w: Floats
    sum_x: Floats
    sum_xx: Floats
    log_likelihood: float
    weight: float

    def __post_init__(self) -> None:
        k, d = np.shape(self.origins)
        for name, shape in (("sum_w", (k,)), ("sum_x", (k, d)), ("sum_xx", (k, d, d))):
            if np.shape(getattr(self, name)) != shape:
                raise StatisticsError(f"{name} must have shape {shape}, but got {np.shape(getattr(self, name))}.")

    @classmethod
    def zeros(cls, n_components: int, n_features: int) -> Self:
        """Return the sums over no rows: the neutral element of ``+``."""
        k, d = n_components, n_features
        return cls(np.zeros((k, d)), np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)), 0.0, 0.0)

    @property
    def n_components(self) -> int:
        """K."""
        return self.origins.shape[0]

    @property
    def n_features(self) -> int:
        """D."""
        return self.origins.shape[1]

    @property
    def is_zero(self) -> bool:
        """Whether no row has been counted, so that the origins mean nothing."""
        return self.weight == 0 and not self.sum_w.any()

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Return the sums over both sets of rows, about this one's origins."""
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        if self.origins.shape != other.origins.shape:
            raise StatisticsError(
                f"statistics of {self.n_components} components × {self.n_features} features cannot be added to "
                f"{other.n_components} × {other.n_features}; use the same mixture for both passes."
            )
        if other.is_zero:
            return self
        if self.is_zero:
            return other
        other = other.recentre(self.origins)
        return SufficientStatistics(
            self.origins,
            self.sum_w + other.sum_w,
            self.sum_x + other.sum_x,
            self.sum_xx + other.sum_xx,
            self.log_likelihood + other.log_likelihood,
            self.weight + other.weight,
        )

    def recentre(self, origins: Floats) -> SufficientStatistics:
        """Return the same statistics about other origins (K, D), exactly but for rounding.

        With δ = old origin − new: Σγ(z+δ) = sum_x + sum_w δ,
        Σγ(z+δ)(z+δ)ᵀ = sum_xx + sum_x δᵀ + δ sum_xᵀ + sum_w δδᵀ.
        """
        if np.array_equal(origins, self.origins):
            return self
        shift = self.origins - origins
        cross = self.sum_x[:, :, None] * shift[:, None, :]
        square = self.sum_w[:, None, None] * (shift[:, :, None] * shift[:, None, :])
        return replace(
            self,
            origins=np.array(origins, dtype=np.float64),
            sum_x=self.sum_x + self.sum_w[:, None] * shift,
            sum_xx=self.sum_xx + cross + cross.swapaxes(1, 2) + square,
        )

    def to_bytes(self) -> bytes:
        """Return a data-only serialisation: the same bits come back from `from_bytes`."""
        scalars = np.array([self.log_likelihood, self.weight])
        arrays = {"origins": self.origins, "sum_w": self.sum_w, "sum_x": self.sum_x, "sum_xx": self.sum_xx}
        return tensors.pack({**arrays, "scalars": scalars}, {"format": FORMAT})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote; raise `StatisticsError` on anything else."""
        try:
            arrays, metadata = tensors.unpack(content)
            if metadata.get("format") != FORMAT:
                raise ValueError(f"the format is {metadata.get('format')!r}, not {FORMAT!r}")
            tensors.require_float64(arrays)
            log_likelihood, weight = arrays.pop("scalars")
            return cls(**arrays, log_likelihood=float(log_likelihood), weight=float(weight))
        except (ValueError, TypeError, KeyError) as error:
            raise StatisticsError(f"These bytes are not fastgmm statistics: {error}.") from None
