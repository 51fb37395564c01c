"""Joint densities of rows and their labels, from what a pass has summed up: no pass needs to form them."""

from __future__ import annotations

from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics


def expected_joint(statistics: SufficientStatistics, parameters: Parameters) -> float:
    """Return Σ_ik γ_ik log π_k N(x_i | μ_k, Σ_k), in the units of the frame.

    It is Σ_k (n_k c_k − ½ tr(L_k⁻ᵀ L_k⁻¹ S_k)), where S_k are the second moments about the means.

    Parameters
    ----------
    statistics : SufficientStatistics
        About the means of `parameters`, in the same coordinates, of any responsibilities γ.
    parameters : Parameters
    """
    statistics = statistics.reduced(parameters.form)
    counts = statistics.sum_w
    present = counts > 0  # a log constant may be −inf for the others
    return float(counts[present] @ parameters.log_constants[present] - 0.5 * _squares(statistics, parameters))


def _squares(statistics: SufficientStatistics, parameters: Parameters) -> float:
    """Return Σ_k tr(L_k⁻ᵀ L_k⁻¹ S_k)."""
    inverse, moments = parameters.inverse_factors, statistics.sum_xx
    if parameters.form in ("full", "tied"):
        return float(((inverse @ moments) * inverse).sum())
    return float((inverse * inverse * moments).sum()) * (parameters.n_features if parameters.form == "spherical" else 1)
