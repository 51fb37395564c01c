"""Forms of covariances: what is stored of K matrices of order D, and what that says about all of them.

full: K matrices (K, D, D); tied: one for all (D, D); diag: K diagonals (K, D); spherical: K numbers (K,).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from fastgmm.threads import ALONE, Team
from fastgmm.triangles import factored

Floats = NDArray[np.float64]


class AbstractForm(ABC):
    """How covariances are stored. Factors and their inverses are stored alike, Cholesky's or square roots."""

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of what is stored."""

    @abstractmethod
    def matrices(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        """Return what is stored as matrices (K, D, D); the result may be a view."""

    @abstractmethod
    def variances(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        """Return the diagonals of all covariances, (K, D)."""

    @abstractmethod
    def rescaled(self, stored: Floats, scale: Floats) -> Floats:
        """Return the covariances of features multiplied by `scale` (D,)."""

    @abstractmethod
    def factored(self, stored: Floats, team: Team = ALONE) -> tuple[Floats, Floats]:
        """Return lower factors L, L Lᵀ = Σ, and W = L⁻¹; a team may help where there are many.

        Raises
        ------
        LinAlgError
            If a covariance is not positive definite, or one of the results is not finite.
        """

    @abstractmethod
    def log_volumes(self, factors: Floats, n_components: int, n_features: int) -> Floats:
        """Return log |L| of each component, (K,)."""


class Full(AbstractForm):
    """(K, D, D)."""

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features, n_features

    def matrices(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        return stored

    def variances(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        return np.diagonal(stored, axis1=1, axis2=2)

    def rescaled(self, stored: Floats, scale: Floats) -> Floats:
        return (stored * scale[:, None]) * scale

    def factored(self, stored: Floats, team: Team = ALONE) -> tuple[Floats, Floats]:
        return factored(stored, team)

    def log_volumes(self, factors: Floats, n_components: int, n_features: int) -> Floats:
        return np.asarray(np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1))


class Tied(AbstractForm):
    """(D, D): the same for all components."""

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_features, n_features

    def matrices(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        return np.broadcast_to(stored, (n_components, *stored.shape))

    def variances(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        return np.broadcast_to(np.diagonal(stored), (n_components, n_features))

    def rescaled(self, stored: Floats, scale: Floats) -> Floats:
        return (stored * scale[:, None]) * scale

    def factored(self, stored: Floats, team: Team = ALONE) -> tuple[Floats, Floats]:
        lower, inverse = factored(stored[None])
        return lower[0], inverse[0]

    def log_volumes(self, factors: Floats, n_components: int, n_features: int) -> Floats:
        return np.full(n_components, np.log(np.diagonal(factors)).sum())


class Diag(AbstractForm):
    """(K, D)."""

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features

    def matrices(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        result = np.zeros((n_components, n_features, n_features))
        result[:, range(n_features), range(n_features)] = self.variances(stored, n_components, n_features)
        return result

    def variances(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        return stored

    def rescaled(self, stored: Floats, scale: Floats) -> Floats:
        return stored * scale * scale

    def factored(self, stored: Floats, team: Team = ALONE) -> tuple[Floats, Floats]:
        if not ((stored > 0) & (stored < np.inf)).all():
            raise np.linalg.LinAlgError("a variance is not positive and finite")
        deviations = np.sqrt(stored)
        return deviations, 1 / deviations

    def log_volumes(self, factors: Floats, n_components: int, n_features: int) -> Floats:
        return np.asarray(np.log(factors).sum(axis=1))


class Spherical(Diag):
    """(K,): a multiple of the identity each, so that features must keep one scale."""

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def variances(self, stored: Floats, n_components: int, n_features: int) -> Floats:
        return np.broadcast_to(stored[:, None], (n_components, n_features))

    def rescaled(self, stored: Floats, scale: Floats) -> Floats:
        if not (scale == scale[0]).all():
            raise ValueError("spherical covariances need one scale for all features; use an isotropic frame.")
        return stored * scale[0] * scale[0]

    def log_volumes(self, factors: Floats, n_components: int, n_features: int) -> Floats:
        return np.asarray(n_features * np.log(factors))


FORMS: dict[str, AbstractForm] = {"full": Full(), "tied": Tied(), "diag": Diag(), "spherical": Spherical()}
"""By scikit-learn's names."""
