"""SufficientStatistics: everything that EM needs to know of the rows. A value with ``+``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fastgmm import tensors
from fastgmm.errors import StatisticsError
from fastgmm.forms import FORMS

Floats = NDArray[np.float64]

FORMAT = "fastgmm-statistics-1"


def _full_squares(sum_w: Floats, sum_x: Floats, shift: Floats) -> Floats:
    cross = sum_x[:, :, None] * shift[:, None, :]
    return cross + cross.swapaxes(1, 2) + sum_w[:, None, None] * (shift[:, :, None] * shift[:, None, :])


def _diag_squares(sum_w: Floats, sum_x: Floats, shift: Floats) -> Floats:
    return shift * (2 * sum_x + sum_w[:, None] * shift)


def _tied_squares(sum_w: Floats, sum_x: Floats, shift: Floats) -> Floats:
    half = (sum_x + 0.5 * sum_w[:, None] * shift).T @ shift
    return half + half.T


def _spherical_squares(sum_w: Floats, sum_x: Floats, shift: Floats) -> Floats:
    return np.asarray(_diag_squares(sum_w, sum_x, shift).mean(axis=1))


SQUARES = {"full": _full_squares, "diag": _diag_squares, "tied": _tied_squares, "spherical": _spherical_squares}
"""What a shift δ of z adds to the second moments, by their form: Σγ (zδᵀ + δzᵀ + δδᵀ)."""

TELLS = {"full": ("tied", "diag", "spherical"), "diag": ("spherical",)}
"""Forms that can be made of those that say more."""


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
    sum_xx : array of shape (K, D, D), (K, D), (D, D) or (K,)
        Σ_i γ_ik z_ik z_ikᵀ; its diagonals only where `form` is "diag", their means where it is "spherical", its sum
        over components where it is "tied".
    log_likelihood : float
        Σ_i log p(x_i) under the parameters of the pass.
    weight : float
        Σ_i of the rows' weights: their number, if they have none.
    form : {"full", "diag", "tied", "spherical"}, default="full"
        Which second moments there are.

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
    form: str = "full"

    def __post_init__(self) -> None:
        k, d = self.origins.shape
        if self.form not in SQUARES:
            raise StatisticsError(f"form must be one of {', '.join(SQUARES)}, but is {self.form!r}.")
        for name, shape in (("sum_w", (k,)), ("sum_x", (k, d)), ("sum_xx", FORMS[self.form].shape(k, d))):
            if getattr(self, name).shape != shape:
                raise StatisticsError(f"{name} must have shape {shape}, but got {getattr(self, name).shape}.")

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
        if self.form != other.form and not (self.is_zero or other.is_zero):
            raise StatisticsError(
                f"statistics with {self.form} and {other.form} second moments cannot be added; take both passes alike."
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
            self.form,
        )

    def recentre(self, origins: Floats) -> SufficientStatistics:
        """Return the same statistics about other origins (K, D), exactly but for rounding.

        With δ = old origin − new: Σγ(z+δ) = sum_x + sum_w δ,
        Σγ(z+δ)(z+δ)ᵀ = sum_xx + sum_x δᵀ + δ sum_xᵀ + sum_w δδᵀ.
        """
        if np.array_equal(origins, self.origins):
            return self
        shift = self.origins - origins
        return replace(
            self,
            origins=np.array(origins, dtype=np.float64),
            sum_x=self.sum_x + self.sum_w[:, None] * shift,
            sum_xx=self.sum_xx + SQUARES[self.form](self.sum_w, self.sum_x, shift),
        )

    def rescaled(self, origins: Floats, scale: Floats) -> SufficientStatistics:
        """Return the statistics of features multiplied by `scale` (D,), about `origins` (K, D) in their new units."""
        sum_xx = FORMS[self.form].rescaled(self.sum_xx, scale)
        return replace(self, origins=origins, sum_x=self.sum_x * scale, sum_xx=sum_xx)

    @property
    def scatters(self) -> Floats:
        """Second moments about each component's own mean, in their form: what covariances are made of.

        W_k = S_k − m_k m_kᵀ / n_k for sums n, m, S; the origins are near the means, so nothing is lost.
        """
        counts = np.maximum(self.sum_w, np.finfo(np.float64).tiny)
        return self.sum_xx + SQUARES[self.form](self.sum_w, self.sum_x, -self.sum_x / counts[:, None])

    def reduced(self, form: str) -> SufficientStatistics:
        """Return the statistics with second moments of a form that says no more.

        "full" says all, "diag" what "spherical" does.

        Raises
        ------
        StatisticsError
            If these statistics do not know what is asked for.
        """
        if form == self.form:
            return self
        if form not in TELLS.get(self.form, ()):
            raise StatisticsError(f"statistics with {self.form} second moments do not tell {form} ones.")
        if form == "tied":
            return replace(self, sum_xx=self.sum_xx.sum(axis=0), form=form)
        squares = np.einsum("kdd->kd", self.sum_xx) if self.form == "full" else self.sum_xx
        return replace(self, sum_xx=squares if form == "diag" else squares.mean(axis=1), form=form)

    def to_bytes(self) -> bytes:
        """Return a data-only serialisation: the same bits come back from `from_bytes`."""
        scalars = np.array([self.log_likelihood, self.weight])
        arrays = {"origins": self.origins, "sum_w": self.sum_w, "sum_x": self.sum_x, "sum_xx": self.sum_xx}
        return tensors.pack({**arrays, "scalars": scalars}, {"format": FORMAT, "form": self.form})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote; raise `StatisticsError` on anything else."""
        try:
            arrays, metadata = tensors.unpack(content)
            if metadata.get("format") != FORMAT:
                raise ValueError(f"the format is {metadata.get('format')!r}, not {FORMAT!r}")
            tensors.require_float64(arrays)
            log_likelihood, weight = arrays.pop("scalars")
            form = metadata.get("form", "full")
            return cls(**arrays, log_likelihood=float(log_likelihood), weight=float(weight), form=form)
        except (ValueError, TypeError, KeyError) as error:
            raise StatisticsError(f"These bytes are not fastgmm statistics: {error}.") from None
