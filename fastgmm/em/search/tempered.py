"""Tempered mixtures: responsibilities ∝ (π f)^β from the same kernels."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TemperedParameters(Parameters):
    """A mixture whose joint densities are those of another to the power β: Gaussians again, with covariances Σ / β.

    (π N(x | μ, Σ))^β = exp(β c − β/2 (x − μ)ᵀ Σ⁻¹ (x − μ)) with c the logarithm of the density at the mean.

    Parameters
    ----------
    weights, means, covariances, form
        As of `Parameters`: covariances are Σ / β.
    constants : array of shape (K,)
        β c.
    """

    constants: Floats = field(kw_only=True)

    @cached_property
    def log_constants(self) -> Floats:
        """The logarithms of the tempered densities at the means, (K,)."""
        return self.constants


def tempered(parameters: Parameters, beta: float) -> TemperedParameters:
    """Return the mixture to the power `beta`."""
    return TemperedParameters(
        parameters.weights,
        parameters.means,
        parameters.covariances / beta,
        parameters.form,
        constants=beta * parameters.log_constants,
    )
