"""Coordinates: a mixture as one vector without constraints, and back. Every vector of the right length is a mixture.

Log weights, which count up to a constant (softmax); means; lower Cholesky factors L of the covariances, L Lᵀ = Σ, with
the logarithms of their diagonals: log standard deviations where covariances are diagonal. A step in any direction, of
any size, is a mixture again: what accelerated EM and methods by gradients need.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastgmm.forms import FORMS
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def n_coordinates(n_components: int, n_features: int, form: str = "full") -> int:
    """Return the length of a vector: one more than the free parameters, since weights count up to a factor."""
    return n_components * (1 + n_features) + factor_coordinates(n_components, n_features, form)


def factor_coordinates(n_components: int, n_features: int, form: str) -> int:
    """Return how many of the coordinates, the last ones, are of factors."""
    shape = FORMS[form].shape(n_components, n_features)
    if form in ("full", "tied"):
        return math.prod(shape[:-2]) * (n_features * (n_features + 1) // 2)
    return math.prod(shape)


def to_vector(parameters: Parameters) -> Floats:
    """Return a mixture's coordinates: log weights (K,), means (K·D,) and factors, row by row of their lower triangles.

    Raises
    ------
    ValueError
        If a weight is 0, whose logarithm is no coordinate.
    DegenerateComponentError
        If a covariance is not positive definite.

    Examples
    --------
    >>> from fastgmm import Parameters
    >>> from fastgmm.coordinates import from_vector, to_vector
    >>> vector = to_vector(Parameters([1.0], [[3.0, 4.0]], [[[1.0, 0.5], [0.5, 1.25]]]))
    >>> vector
    array([0. , 3. , 4. , 0. , 0.5, 0. ])
    >>> from_vector(vector, 1, 2).covariances
    array([[[1.  , 0.5 ],
            [0.5 , 1.25]]])
    """
    if not (parameters.weights > 0).all():
        k = int(np.argmin(parameters.weights))
        raise ValueError(f"component {k} has the weight {parameters.weights[k]:g}, which has no logarithm; remove it.")
    return np.concatenate(
        [np.log(parameters.weights), parameters.means.ravel(), packed_factors(parameters.factors, parameters.form)]
    )


def from_vector(vector: Floats, n_components: int, n_features: int, form: str = "full") -> Parameters:
    """Return the mixture that has these coordinates.

    Raises
    ------
    ValueError
        If the vector has another length than K components of D features have in this form.
    """
    k, d = n_components, n_features
    vector = np.asarray(vector, dtype=np.float64)
    expected = n_coordinates(k, d, form)
    if vector.shape != (expected,):
        raise ValueError(
            f"{k} components of {d} features with {form} covariances have {expected} coordinates, but got an array of "
            f"shape {vector.shape}."
        )
    shares = np.exp(vector[:k] - vector[:k].max())
    means = vector[k : k * (1 + d)].reshape(k, d)
    factors = _unpacked_factors(vector[k * (1 + d) :], k, d, form)
    covariances = factors @ factors.swapaxes(-1, -2) if form in ("full", "tied") else factors**2
    return Parameters(shares / shares.sum(), means, covariances, form)


def packed_factors(factors: Floats, form: str) -> Floats:
    """Return the coordinates of lower factors in their form, flat."""
    if form not in ("full", "tied"):
        return np.asarray(np.log(factors)).ravel()
    d = factors.shape[-1]
    logged, places = factors.copy(), np.arange(d)
    logged[..., places, places] = np.log(factors[..., places, places])
    return lower(logged)


def lower(matrices: Floats) -> Floats:
    """Return the lower triangles of matrices (…, D, D), flat, row by row."""
    rows, columns = np.tril_indices(matrices.shape[-1])
    return np.ascontiguousarray(matrices[..., rows, columns]).ravel()


def _unpacked_factors(coordinates: Floats, k: int, d: int, form: str) -> Floats:
    shape = FORMS[form].shape(k, d)
    if form not in ("full", "tied"):
        return np.exp(coordinates).reshape(shape)
    rows, columns = np.tril_indices(d)
    factors, places = np.zeros(shape), np.arange(d)
    factors[..., rows, columns] = coordinates.reshape(*shape[:-2], -1)
    factors[..., places, places] = np.exp(factors[..., places, places])
    return factors
