"""The table of the fourteen models of Celeux and Govaert: what each is called, needs, counts and gives.

References
----------
Celeux, G. and Govaert, G. (1995). Gaussian parsimonious clustering models. Pattern Recognition 28, 781-793.

Browne, R. P. and McNicholas, P. D. (2014). Estimating common principal components in high dimensions. Advances in Data
Analysis and Classification 8, 217-226. (EVE and VVE.)

Scrucca, L., Fop, M., Murphy, T. B. and Raftery, A. E. (2016). mclust 5: clustering, classification and density
estimation using Gaussian finite mixture models. The R Journal 8, 289-317. (The names.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.models.diagonal import eei, evi, vei, vvi
from fastgmm.models.eigen import eev, vev
from fastgmm.models.ellipsoidal import eee, vee
from fastgmm.models.full import vvv
from fastgmm.models.moments import Moments
from fastgmm.models.orientation import eve, vve
from fastgmm.models.spherical import eii, vii
from fastgmm.models.volume import evv
from fastgmm.parameters import Parameters

Step = Callable[[Moments, Parameters | None], NDArray[np.float64]]


@dataclass(frozen=True)
class Model:
    """A model of the covariances Σ_k = λ_k D_k A_k D_kᵀ: volumes λ, shapes A with |A| = 1, orientations D.

    Examples
    --------
    >>> from fastgmm.models import MODELS
    >>> MODELS["VEV"].n_parameters(k=3, d=4)
    38
    >>> MODELS["EEE"].form
    'tied'
    """

    name: str
    """Three letters for volume, shape and orientation: Equal, Varying, or Identity (a sphere, the axes)."""
    form: str
    """In which the covariances come, see `fastgmm.forms`."""
    moments: str
    """The least second moments that are enough: "spherical", "diag", "tied" or "full", the form of statistics."""
    isotropic: bool
    """Whether all features need one scale: multiplied each by its own factor, a mixture leaves the model."""
    step: Step
    """The M-step: covariances in their form, from moments and from the parameters before, if there are any."""

    @property
    def common(self) -> bool:
        """Whether all components have the same covariance."""
        return "V" not in self.name

    def variance_parameters(self, k: int, d: int) -> int:
        """Return the number of free numbers in the covariances of `k` components of `d` features."""
        letters = {"E": 1, "V": k, "I": 0}
        volume, shape, orientation = (letters[letter] for letter in self.name)
        return volume + shape * (d - 1) + orientation * (d * (d - 1) // 2)

    def n_parameters(self, k: int, d: int, equal_weights: bool = False) -> int:
        """Return the number of free numbers in a mixture: of covariances, means and weights."""
        return self.variance_parameters(k, d) + k * d + (0 if equal_weights else k - 1)


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("EII", "spherical", "spherical", True, eii),
        Model("VII", "spherical", "spherical", True, vii),
        Model("EEI", "diag", "diag", False, eei),
        Model("VEI", "diag", "diag", False, vei),
        Model("EVI", "diag", "diag", False, evi),
        Model("VVI", "diag", "diag", False, vvi),
        Model("EEE", "tied", "tied", False, eee),
        Model("VEE", "full", "full", False, vee),
        Model("EVE", "full", "full", True, eve),
        Model("VVE", "full", "full", True, vve),
        Model("EEV", "full", "full", True, eev),
        Model("VEV", "full", "full", True, vev),
        Model("EVV", "full", "full", False, evv),
        Model("VVV", "full", "full", False, vvv),
    )
}
"""By their names."""

FAMILIES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
"""scikit-learn's covariance types → models."""

UNIVARIATE = {"E": "EII", "V": "VII"}
"""mclust's names for one feature → models."""


def find_model(name: str, n_features: int | None = None) -> Model:
    """Return a model by its name, its family's, or, for one feature, mclust's "E" or "V".

    Raises
    ------
    ValueError
        For an unknown name, or "E" or "V" for several features.
    """
    if isinstance(name, str):
        if name in UNIVARIATE and n_features in (None, 1):
            return MODELS[UNIVARIATE[name]]
        if name in UNIVARIATE:
            raise ValueError(
                f"model {name!r} is for one feature, but there are {n_features}; "
                f"the spherical one is {UNIVARIATE[name]!r}."
            )
        if (found := MODELS.get(FAMILIES.get(name, name))) is not None:
            return found
    known = ", ".join((*MODELS, *FAMILIES))
    raise ValueError(f"model must be one of {known} (or E, V for one feature), but is {name!r}.")
