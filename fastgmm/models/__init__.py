"""The verb *maximise*: parameters from statistics, for fourteen models of the covariances; see `table`.

Each model is a short function of moments with its formula in its docstring; models that share an idea share a file.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DegenerateComponentError
from fastgmm.models.full import unconstrained, vvv
from fastgmm.models.moments import Moments
from fastgmm.models.prior import Prior as Prior
from fastgmm.models.table import FAMILIES as FAMILIES
from fastgmm.models.table import MODELS as MODELS
from fastgmm.models.table import Model as Model
from fastgmm.models.table import find_model as find_model
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]


def maximise(
    statistics: SufficientStatistics,
    model: str = "VVV",
    *,
    reg_covar: float | Floats = 1e-6,
    prior: Prior | None = None,
    equal_weights: bool = False,
    before: Parameters | None = None,
) -> Parameters:
    """Return the parameters that maximise the expected log-likelihood given the statistics.

    Parameters
    ----------
    statistics : SufficientStatistics
        With the second moments that the model needs: full ones serve every model.
    model : str
        Covariance model: one of the fourteen of Celeux and Govaert, EII VII EEI VEI EVI VVI EEE VEE EVE VVE EEV VEV EVV
        VVV; or scikit-learn's full, tied, diag, spherical; or mclust's E, V for one feature.
    reg_covar : float or array of shape (D,)
        Added to the variances (the diagonals), in their units; to a spherical variance, its mean is.
    prior : Prior, optional
        In the coordinates of the statistics: maximise the posterior density instead of the likelihood.
    equal_weights : bool, default=False
        Give all components the weight 1/K.
    before : Parameters, optional
        Those of the iteration before, in the same coordinates. VEI, VEE and VEV start their alternations from their
        volumes, which saves time. EVE and VVE start from their orientation: their objective may have several
        maxima, and so no M-step of an EM ends below where the last one did.

    Returns
    -------
    parameters : Parameters
        In the model's form, see ``MODELS``.

    Raises
    ------
    ValueError
        For an unknown model, a negative `reg_covar`, a prior of other features, or statistics of no rows.
    StatisticsError
        If the statistics lack second moments that the model needs.
    DegenerateComponentError
        In EVI, EVE and EVV, if a component's rows lie in a subspace and so have no volume, and `reg_covar` gives them
        none. (Elsewhere a covariance that is singular shows when the parameters' factors are computed.)

    Examples
    --------
    >>> import numpy as np
    >>> import fastgmm
    >>> X = fastgmm.datasets.load_faithful()
    >>> start = fastgmm.Parameters([1.0], X[:1], [np.eye(2)])
    >>> statistics = fastgmm.expectation(X, start)
    >>> fitted = fastgmm.maximise(statistics, reg_covar=0.0)
    >>> np.allclose(fitted.covariances[0], np.cov(X.T, bias=True))
    True
    >>> fastgmm.maximise(statistics, "VVI", reg_covar=0.0).covariances.round(2)
    array([[  1.3 , 184.14]])
    """
    chosen = find_model(model, statistics.n_features)
    ridge = np.full(statistics.n_features, reg_covar, dtype=np.float64)
    if not (np.isfinite(ridge).all() and (ridge >= 0).all()):
        raise ValueError(f"reg_covar must be finite and not negative, but is {reg_covar!r}.")
    if statistics.is_zero:
        raise ValueError("the statistics count no rows; add those of at least one pass over data.")
    if before is not None and before.means.shape != statistics.origins.shape:
        raise ValueError(
            f"before must have means of shape {statistics.origins.shape} like the statistics, but they are "
            f"{before.means.shape}."
        )
    if prior is not None and len(prior.mean) != statistics.n_features:
        raise ValueError(
            f"the prior is of {len(prior.mean)} features, but the statistics are of {statistics.n_features}."
        )
    k = statistics.n_components
    if chosen.step is vvv and prior is None:
        found = unconstrained(statistics.reduced("full"), ridge)
        return replace(found, weights=np.full(k, 1 / k)) if equal_weights else found
    moments = Moments.of(statistics.reduced(chosen.moments), pooled=chosen.common)
    if prior is not None:
        moments = prior.applied(moments, chosen)
    covariances = _covariances(chosen, moments, before, ridge)
    weights = np.full(k, 1 / k) if equal_weights else moments.sizes / moments.sizes.sum()
    return Parameters(weights, moments.means, covariances, chosen.form)


def _covariances(model: Model, moments: Moments, before: Parameters | None, ridge: Floats) -> Floats:
    """Take a model's step and add the ridge; add it before, to the rows' covariances, where they lack a volume."""
    try:
        return _ridged(model.step(moments, before), ridge, model.form)
    except DegenerateComponentError:
        if not ridge.any():
            raise
    return model.step(moments.ridged(ridge), before)


def _ridged(covariances: Floats, ridge: Floats, form: str) -> Floats:
    """Add to the variances."""
    if form == "spherical":
        return covariances + ridge.mean()
    if form == "diag":
        return covariances + ridge
    result, places = covariances.copy(), np.arange(len(ridge))
    result[..., places, places] += ridge
    return result
