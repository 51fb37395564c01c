"""Starts that users give: weights, means, precisions, each checked in scikit-learn's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.forms import FORMS
from fastgmm.frame import Frame
from fastgmm.parameter_checks import check_array
from fastgmm.parameters import Parameters
from fastgmm.triangles import BLOCK, factored
from fastgmm.turned import products

Floats = NDArray[np.float64]

DIAGONAL = ("diag", "spherical")
"""Forms whose precisions are numbers."""


@dataclass(frozen=True, eq=False)
class GivenStart:
    """What the user gave, in the user's units; None for what a method is to find."""

    weights: Floats | None
    means: Floats | None
    precisions: Floats | None
    form: str = "full"
    """Of the precisions."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to find."""
        return self.weights is not None and self.means is not None and self.precisions is not None

    @property
    def empty(self) -> bool:
        """Whether nothing was given."""
        return self.weights is None and self.means is None and self.precisions is None

    def over(self, found: Parameters | None, frame: Frame) -> Parameters:
        """Put what was given in the place of what was found; both ends in the frame's coordinates."""
        weights, means, covariances = self.weights, None, None
        if self.means is not None:
            means = frame.rows(self.means)
        if self.precisions is not None:
            covariances = FORMS[self.form].rescaled(_inverse(self.precisions, self.form), frame.scale)
        if found is not None:
            weights = found.weights if weights is None else weights
            means = found.means if means is None else means
            covariances = found.covariances if covariances is None else covariances
        if weights is None or means is None or covariances is None:
            raise ValueError("weights, means and precisions must all be given where nothing was found.")
        return Parameters(weights, means, covariances, self.form)


def _inverse(precisions: Floats, form: str) -> Floats:
    """Invert precisions of a form; matrices stay symmetric.

    Large ones without LAPACK: its threads wait for more work, 0.1 s, on the processors that the first passes need.
    """
    if form in DIAGONAL:
        return 1 / precisions
    if precisions.shape[-1] > BLOCK:
        # Λ⁻¹ = WᵀW; turned around, Wᵀ is a lower triangle.
        _, whiteners = factored(np.reshape(precisions, (-1, *precisions.shape[-2:])))
        turned = whiteners[:, ::-1, ::-1].swapaxes(1, 2)
        inverses = products(turned, np.eye(precisions.shape[-1])[None], twice=True)
        return np.ascontiguousarray(inverses[:, ::-1, ::-1]).reshape(precisions.shape)
    inverse = np.linalg.inv(precisions)
    return (inverse + inverse.swapaxes(-1, -2)) / 2


def given_start(
    weights: Any, means: Any, precisions: Any, n_components: int, n_features: int, form: str = "full"
) -> GivenStart:
    """Check the three arrays, each of which may be None; precisions are of a form, scikit-learn's `covariance_type`.

    Raises
    ------
    ValueError
        For a wrong shape, weights outside [0, 1] or not summing to 1, or precisions that are not symmetric, positive
        definite (positive, where they are diagonal).
    """
    return GivenStart(
        None if weights is None else _weights(weights, n_components),
        None if means is None else check_array(means, (n_components, n_features), "means"),
        None if precisions is None else _precisions(precisions, n_components, n_features, form),
        form,
    )


def _weights(value: Any, n_components: int) -> Floats:
    weights = check_array(value, (n_components,), "weights")
    if (weights < 0.0).any() or (weights > 1.0).any():
        low, high = weights.min(), weights.max()
        # scikit-learn's words, whose max and min are swapped: its tests, and its users', match them.
        raise ValueError(
            f"The parameter 'weights' should be in the range [0, 1], but got max value {low:.5f}, min value {high:.5f}"
            f": they lie between {low:g} and {high:g}."
        )
    tolerance = 1e-6 if np.asarray(value).dtype == np.float32 else 1e-8
    if not abs(1.0 - weights.sum()) <= tolerance:
        raise ValueError(f"The parameter 'weights' should be normalized, but got sum(weights) = {weights.sum():.5f}")
    return weights


def _precisions(value: Any, n_components: int, n_features: int, form: str) -> Floats:
    precisions = check_array(value, FORMS[form].shape(n_components, n_features), f"{form} precision")
    if form in DIAGONAL:
        if not (precisions > 0.0).all():
            raise ValueError(f"'{form} precision' should be positive")
        return precisions
    if not (np.allclose(precisions, precisions.swapaxes(-1, -2)) and _definite(precisions)):
        raise ValueError(f"'{form} precision' should be symmetric, positive-definite")
    return precisions


def _definite(matrices: Floats) -> bool:
    """Return whether symmetric matrices, one or more, are positive definite: whether they have Cholesky factors."""
    try:
        factored(np.reshape(matrices, (-1, *matrices.shape[-2:])))
    except np.linalg.LinAlgError:
        return False
    return True
