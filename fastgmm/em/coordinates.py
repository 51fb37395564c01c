"""Coordinates: mixtures as points of a vector space, where every point is a mixture, for steps longer than EM's.

A chart at a mixture (π, μ, L) takes another one (π', μ', L') to log π' − log π, L⁻¹ (μ' − μ) and the logarithmic
Cholesky factor of L⁻¹ Σ' L⁻ᵀ: the triangle L⁻¹ L' with logarithms on its diagonal. Lengths are those of the Fisher
information of labelled rows at (π, μ, L), in which EM's rates of convergence are symmetric; no unit of the features
matters to them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DegenerateComponentError
from fastgmm.models import MODELS
from fastgmm.models.moments import Moments
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

TINY = float(np.finfo(np.float64).tiny)

FARTHEST = 300.0
"""Largest logarithm that a coordinate may say: its exponential, squared, is a float64."""

CLOSED = ("EII", "VII", "EEI", "VVI", "EEE", "VVV")
"""Models that a combination of coordinates does not leave, whatever ridge is added to the variances."""


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates about a mixture."""

    origin: Parameters

    @cached_property
    def _roots(self) -> Floats:
        """√π of the components, (K, 1): a component's information is its share of the rows'."""
        return np.sqrt(np.maximum(self.origin.weights, TINY))[:, None]

    @cached_property
    def _shares(self) -> Floats:
        """√π in the covariances' form: one that all components share has all the rows."""
        if self.origin.form == "tied":
            return np.ones(())
        return self._roots.reshape(-1, *[1] * (self.origin.covariances.ndim - 1))

    @cached_property
    def _doubled(self) -> Floats:
        """√2 for the logarithm of a deviation, √(2 D) for one that all features share."""
        return np.sqrt(2.0 * (self.origin.n_features if self.origin.form == "spherical" else 1.0))

    def coordinates(self, parameters: Parameters) -> Floats:
        """Return a mixture of the origin's form as a vector.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        o, roots = self.origin, self._roots
        shares = np.log(np.maximum(parameters.weights, TINY) / np.maximum(o.weights, TINY))
        moved = np.einsum("kde,ke->kd", o.whiteners, parameters.means - o.means)
        if o.form in ("full", "tied"):
            triangle = o.inverse_factors @ parameters.factors
            diagonal = np.diagonal(triangle, axis1=-2, axis2=-1)
            lower = np.tril_indices(o.n_features, -1)
            logs = np.log(diagonal) * self._doubled
            spread = np.concatenate([logs, triangle[..., lower[0], lower[1]]], axis=-1) * self._shares_of_rows
        else:
            spread = np.log(parameters.factors / o.factors) * self._doubled * self._shares
        return np.concatenate([shares * roots[:, 0], (moved * roots).ravel(), spread.ravel()])

    @property
    def _shares_of_rows(self) -> Floats:
        return np.ones(()) if self.origin.form == "tied" else self._roots

    def parameters(self, point: Floats) -> Parameters | None:
        """Return the mixture at a point; None if it is too far away for numbers."""
        o, roots = self.origin, self._roots
        k, d = o.means.shape
        logs, moved = point[:k] / roots[:, 0], point[k : k + k * d].reshape(k, d) / roots
        rest = point[k + k * d :]
        if not (np.isfinite(point).all() and np.abs(logs).max() < FARTHEST):
            return None
        weights = o.weights * np.exp(logs - logs.max())
        means = o.means + np.einsum("kde,ke->kd", o.choleskys, moved)
        covariances = self._covariances(rest)
        if covariances is None or not np.isfinite(means).all() or not weights.sum() > 0:
            return None
        return Parameters(weights / weights.sum(), means, covariances, o.form)

    def _covariances(self, rest: Floats) -> Floats | None:
        o, d = self.origin, self.origin.n_features
        if o.form not in ("full", "tied"):
            logs = rest.reshape(o.covariances.shape) / (self._doubled * self._shares)
            return None if np.abs(logs).max() >= FARTHEST else o.covariances * np.exp(2.0 * logs)
        numbers = rest.reshape(*o.covariances.shape[:-2], -1) / self._shares_of_rows
        logs = numbers[..., :d] / self._doubled
        if np.abs(logs).max() >= FARTHEST:
            return None
        triangle = np.zeros(o.covariances.shape)
        places, lower = np.arange(d), np.tril_indices(d, -1)
        triangle[..., places, places] = np.exp(logs)
        triangle[..., lower[0], lower[1]] = numbers[..., d:]
        factors = o.factors @ triangle
        found = factors @ factors.swapaxes(-1, -2)
        return (found + found.swapaxes(-1, -2)) / 2


def within(parameters: Parameters | None, model: str, ridge: Floats | float, before: Parameters) -> Parameters | None:
    """Return the mixture of a model that is nearest, by the divergence of components; None if there is none.

    What a ridge was added to must itself be positive definite. Where a model is not closed under combinations of
    coordinates (orientations or shapes that components share), its M-step is taken on the covariances: it maximises
    −Σ_k π_k KL(N(0, Σ_k) ‖ N(0, Σ'_k)) over the model's Σ'.
    """
    if parameters is None:
        return None
    d = parameters.n_features
    added = np.broadcast_to(np.asarray(ridge, dtype=np.float64), (d,))
    try:
        bare = replace(parameters, covariances=_shifted(parameters, -added))
        bare.factors  # noqa: B018 - whether they exist is the question
        if model not in CLOSED:
            found = replace(bare, covariances=MODELS[model].step(_moments(bare), before))
            parameters = replace(found, covariances=_shifted(found, added))
        parameters.inverse_factors  # noqa: B018
    except (DegenerateComponentError, np.linalg.LinAlgError):
        return None
    return parameters


def _shifted(parameters: Parameters, ridge: Floats) -> Floats:
    """Return covariances with something added to the variances."""
    stored = parameters.covariances
    if parameters.form == "spherical":
        return stored + ridge.mean()
    return stored + (ridge if parameters.form == "diag" else np.diag(ridge))


def _moments(parameters: Parameters) -> Moments:
    """Return a mixture's own moments: what a sample of infinite size, with labels, would tell."""
    sizes, form = parameters.weights, parameters.form
    noise = np.zeros_like(parameters.means)
    covariances = parameters.covariances if form == "full" else parameters.variances
    return Moments(sizes, parameters.means, sizes, covariances, noise)
