"""Priors: what is believed of weights, means and covariances before the rows are seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.forms import FORMS
from fastgmm.frame import Frame

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prior:
    """Conjugate priors, the same for all components: Dirichlet (process), Gaussian and Wishart (Bishop 2006, § 10.2).

    Parameters
    ----------
    kind : {"dirichlet_process", "dirichlet_distribution"}
        Of the weights' prior.
    concentration : float
        α_0 of the weights.
    mean : array of shape (D,)
        m_0: where means are expected.
    mean_precision : float
        κ_0: how many rows that expectation counts for.
    covariance : array of shape (D, D), (D,) or ()
        V_0, the scale of the inverse Wishart: full and tied, diag, spherical.
    degrees_of_freedom : float
        ν_0 > D − 1: how many rows V_0 counts for.
    form : {"full", "tied", "diag", "spherical"}
        Of the covariances.
    """

    kind: str
    concentration: float
    mean: Floats
    mean_precision: float
    covariance: Floats
    degrees_of_freedom: float
    form: str

    def enter(self, frame: Frame) -> Prior:
        """Bring a prior of the user's units into a frame."""
        return self._rescaled(frame.rows(self.mean), frame.scale)

    def leave(self, frame: Frame) -> Prior:
        """Bring a prior of a frame into the user's units."""
        return self._rescaled(self.mean / frame.scale + frame.centre, 1 / frame.scale)

    def _rescaled(self, mean: Floats, scale: Floats) -> Prior:
        return replace(self, mean=mean, covariance=FORMS[self.form].rescaled(self.covariance, scale))
