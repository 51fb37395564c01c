"""The lower bound of the log evidence, from what a pass has summed up already."""

from __future__ import annotations

from fastgmm.bayes.posterior import Posterior
from fastgmm.em.joint import expected_joint
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics


def entropy(statistics: SufficientStatistics, parameters: Parameters, log_volume: float) -> float:
    """Return −Σ γ log γ of the responsibilities that a pass under `parameters` found, without having seen them.

    With log γ_ik = c_k − ½‖L_k⁻¹ z_ik‖² − log s_i it is Σ_i log s_i − Σ_k (n_k c_k − ½ tr(L_k⁻ᵀ L_k⁻¹ S_k)), and
    all of these are sums that the statistics hold. Rows count by their weights.

    Parameters
    ----------
    statistics : SufficientStatistics
        Of the pass, about its means.
    parameters : Parameters
        Of the pass, in the same coordinates.
    log_volume : float
        Of their frame: `statistics.log_likelihood` is in the user's units, and log γ in none.
    """
    joint = expected_joint(statistics, parameters)
    return statistics.log_likelihood - statistics.weight * log_volume - joint


def lower_bound(statistics: SufficientStatistics, before: Parameters, after: Posterior, log_volume: float) -> float:
    """Return scikit-learn's lower bound after an update: in the user's units, less constants of the prior.

    Parameters
    ----------
    statistics : SufficientStatistics
        Of the pass under `before`.
    before : Parameters
        The expected parameters that the responsibilities are of.
    after : Posterior
        The update by the statistics.
    log_volume : float
        Of the frame that all of them are in.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, § 10.2.2, simplified after the update.
    """
    return entropy(statistics, before, log_volume) + after.log_evidence(log_volume)
