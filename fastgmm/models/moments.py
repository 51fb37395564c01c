"""Moments: what the models see of the statistics. Counts, means, and the covariances of the rows of each component."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import ILL_DEFINED_COVARIANCE, DegenerateComponentError
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)

EMPTY = 10 * EPS
"""Added to each count, as scikit-learn does, so that an empty component keeps its mean instead of becoming NaN.

It shrinks with the total weight where that is below one row's: the unit of weights must not matter."""

NOISE = 64 * EPS
"""A variance up to this share of the second moment that it is the rest of is taken for rounding of that sum."""


def added(weight: float) -> float:
    """Return what is added to each count, of rows of this total weight."""
    return EMPTY * min(1.0, weight)


@dataclass(frozen=True, eq=False)
class Moments:
    """Counts, means and covariances of G groups of rows: of each component, or of all pooled (G = 1)."""

    sizes: Floats
    """n_k of the K components, (K,)."""
    means: Floats
    """(K, D)."""
    counts: Floats
    """n_g of the groups, (G,)."""
    covariances: Floats
    """W_g / n_g, (G, D, D) or their diagonals (G, D), or the means of these (G, 1)."""
    noise: Floats
    """Variances up to which there are none, (G, D) or (G, 1)."""

    @classmethod
    def of(cls, statistics: SufficientStatistics, *, pooled: bool = False) -> Moments:
        """W_k / n_k = S_k / n_k − δ_k δ_kᵀ with δ_k = m_k / n_k, and x̄_k = o_k + δ_k.

        o, n, m, S are origins, sum_w, sum_x and sum_xx. The moments are about the last means, so the difference is of
        numbers of the size of W_k / n_k and loses nothing.
        """
        counts = statistics.sum_w + added(statistics.weight)
        shift = statistics.sum_x / counts[:, None]
        means = statistics.origins + shift
        if statistics.form == "tied":
            total = counts.sum()
            second = statistics.sum_xx / total
            covariances = (second - shift.T @ (shift * (counts / total)[:, None]))[None]
            covariances = (covariances + covariances.swapaxes(1, 2)) / 2
            noise = NOISE * np.diagonal(second)[None]
            return cls(counts, means, total[None], covariances, noise)
        if statistics.form == "spherical":
            second = (statistics.sum_xx / counts)[:, None]
            found = cls(counts, means, counts, second - (shift * shift).mean(axis=1, keepdims=True), NOISE * second)
        elif statistics.form == "diag":
            second = statistics.sum_xx / counts[:, None]
            found = cls(counts, means, counts, second - shift * shift, NOISE * second)
        else:
            second = statistics.sum_xx / counts[:, None, None]
            covariances = second - shift[:, :, None] * shift[:, None, :]
            found = cls(counts, means, counts, covariances, NOISE * np.einsum("kdd->kd", second))
        return found.pooled() if pooled else found

    def pooled(self) -> Moments:
        """Return those of all rows about their components' means: W = Σ_k W_k."""
        total = self.counts.sum()
        shares = self.counts / total
        covariances = np.tensordot(shares, self.cleaned, axes=1)[None]
        return replace(self, counts=total[None], covariances=covariances, noise=(shares @ self.noise)[None])

    def ridged(self, ridge: Floats) -> Moments:
        """Return those of rows with noise of variances `ridge` (D,) added."""
        if self.covariances.ndim == 2:
            return replace(self, covariances=self.cleaned + ridge)
        return replace(self, covariances=self.cleaned + np.diag(ridge))

    @cached_property
    def cleaned(self) -> Floats:
        """`covariances` without the rows and columns of features that vary by rounding only; variances are not < 0."""
        if self.covariances.ndim == 2:
            return np.where(self.covariances > self.noise, self.covariances, 0.0)
        varies = np.einsum("gdd->gd", self.covariances) > self.noise
        return np.where(varies[:, :, None] & varies[:, None, :], self.covariances, 0.0)

    @property
    def scatters(self) -> Floats:
        """W_g, (G, D, D), (G, D) or (G, 1)."""
        return self.cleaned * self.counts.reshape(-1, *[1] * (self.covariances.ndim - 1))


def no_volume(component: int) -> DegenerateComponentError:
    """Return the error of models with one volume for all components: this component's rows have none."""
    return DegenerateComponentError(
        f"{ILL_DEFINED_COVARIANCE} (Component {component}: its rows lie in a subspace, so that it cannot have the "
        "volume that this model gives to all components; use a prior, or a model of variable volume.)"
    )
