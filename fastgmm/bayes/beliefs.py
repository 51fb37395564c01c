"""From what users say of their priors to priors: scikit-learn's defaults, and its words for what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.bayes.prior import Prior
from fastgmm.errors import DataError
from fastgmm.forms import FORMS
from fastgmm.frame import Frame
from fastgmm.parameter_checks import check_array
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What the user said, in the user's units; None for what is to be taken from the rows."""

    kind: str
    form: str
    concentration: float
    mean_precision: float
    mean: Floats | None
    degrees_of_freedom: float
    covariance: Floats | None

    def prior(self, rows: AbstractRows, team: Team) -> Prior:
        """Return the prior in the rows' frame; their mean and covariance where nothing was said.

        Raises
        ------
        DataError
            If the covariance is to be taken from rows that count for one or less.
        """
        frame = rows.frame
        mean = None if self.mean is None else frame.rows(self.mean)
        covariance = None if self.covariance is None else FORMS[self.form].rescaled(self.covariance, frame.scale)
        if mean is None or covariance is None:
            mean_of_rows, scatter = _moments(rows, team)
            mean = mean_of_rows if mean is None else mean
            covariance = self._from(scatter, rows.weight) if covariance is None else covariance
        return Prior(
            self.kind, self.concentration, mean, self.mean_precision, covariance, self.degrees_of_freedom, self.form
        )

    def leave(self, prior: Prior, frame: Frame) -> Prior:
        """Return a prior of a frame in the user's units: to the bit what was said, where something was."""
        outside = prior.leave(frame)
        mean = outside.mean if self.mean is None else self.mean
        return replace(
            outside, mean=mean, covariance=outside.covariance if self.covariance is None else self.covariance
        )

    def _from(self, scatter: Floats, weight: float) -> Floats:
        """Return what the form holds of the rows' covariance, unbiased."""
        if not weight > 1:
            raise DataError(
                f"The weights sum to {weight:g}: rows that count for one or less have no covariance that could be the "
                "prior. Weights count rows here: scale them, or give covariance_prior."
            )
        covariance = scatter / (weight - 1)
        if self.form == "diag":
            return np.diagonal(covariance).copy()
        return np.asarray(np.diagonal(covariance).mean()) if self.form == "spherical" else covariance


def beliefs(
    kind: str,
    form: str,
    concentration: float | None,
    mean_precision: float | None,
    mean: Any,
    degrees_of_freedom: float | None,
    covariance: Any,
    n_components: int,
    n_features: int,
) -> Beliefs:
    """Check the parameters of priors, each of which may be None for scikit-learn's default.

    Raises
    ------
    ValueError
        For wrong shapes, too few degrees of freedom, or a covariance that is not symmetric, positive definite.
    """
    degrees: float = n_features if degrees_of_freedom is None else degrees_of_freedom
    if not degrees > n_features - 1.0:
        raise ValueError(
            f"The parameter 'degrees_of_freedom_prior' should be greater than {n_features - 1}, but got {degrees:.3f}."
        )
    return Beliefs(
        kind,
        form,
        1.0 / n_components if concentration is None else concentration,
        1.0 if mean_precision is None else mean_precision,
        None if mean is None else check_array(mean, (n_features,), "means"),
        degrees,
        None if covariance is None else _covariance(covariance, form, n_features),
    )


def _covariance(value: Any, form: str, n_features: int) -> Floats:
    shape = {"diag": (n_features,), "spherical": ()}.get(form, (n_features, n_features))
    covariance = check_array(value, shape, f"{form} covariance_prior")
    if form in ("diag", "spherical"):
        if not (covariance > 0).all():
            raise ValueError(f"'{form} precision' should be positive")  # scikit-learn says precision here
    elif not (np.allclose(covariance, covariance.T) and (np.linalg.eigvalsh(covariance) > 0).all()):
        raise ValueError(f"'{form} precision' should be symmetric, positive-definite")
    return covariance


def _moments(rows: AbstractRows, team: Team) -> tuple[Floats, Floats]:
    """Return the rows' mean (D,) and scatter (D, D) in their frame."""
    whole = rows.whole(rows.frame, team)
    return whole.origins[0] + whole.sum_x[0] / whole.sum_w[0], whole.scatters[0]
