"""The fitted covariances as scikit-learn shows them: precisions, and their factors, in the form of the covariances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import Frame
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


def precision_factors(parameters: Parameters, frame: Frame) -> Floats:
    """Return U, U Uᵀ = Σ⁻¹ in the user's units, of parameters in a frame: upper triangles, or numbers 1/σ.

    Shapes are (K, D, D), (D, D), (K, D) or (K,), by the form.
    """
    lower = parameters.inverse_factors
    if parameters.form in ("full", "tied"):
        return np.asarray(lower.swapaxes(-1, -2) * frame.scale[:, None])
    return np.asarray(lower * (frame.scale if parameters.form == "diag" else frame.scale[0]))


def precisions(factors: Floats, form: str) -> Floats:
    """Return Σ⁻¹ of their factors, in the form of these."""
    return np.asarray(factors @ factors.swapaxes(-1, -2) if form in ("full", "tied") else factors**2)
