"""Gradients: of a mixture's mean log-likelihood, from the sums of one ordinary pass; and L-BFGS, which uses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm.backend import as_rows
from fastgmm.coordinates import from_vector, lower, to_vector
from fastgmm.errors import missing_extra
from fastgmm.frame import Frame
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import team

Floats = NDArray[np.float64]


class Gradient(NamedTuple):
    """The mean log-likelihood of some rows under a mixture, and how it changes with the mixture's coordinates."""

    value: float
    """Mean of log p(x) over the rows, each counted by its weight."""
    vector: Floats
    """Derivatives by the coordinates (P,) of `coordinates.to_vector`."""


def gradient(
    X: Any, parameters: Parameters, sample_weight: ArrayLike | None = None, *, n_threads: int | None = None
) -> Gradient:
    """Return the mean log-likelihood and its exact gradient in coordinates without constraints: one pass over the data.

    The coordinates are those of `fastgmm.coordinates`: log weights up to a constant, means, Cholesky factors with
    logarithms on their diagonals. With n_k = Σγ_ik, m_k = Σγ_ik z_ik, S_k = Σγ_ik z_ik z_ikᵀ and z_ik = x_i − μ_k, the
    log-likelihood has the derivatives

    ====================  ===========================
    log π_k               n_k − π_k Σ_j n_j
    μ_k                   Σ_k⁻¹ m_k
    L_k, lower triangle   Σ_k⁻¹ S_k L_k⁻ᵀ − n_k L_k⁻ᵀ
    log of its diagonal   the same, times L_dd
    ====================  ===========================

    and all are divided by Σ_j n_j.

    Parameters
    ----------
    X : array-like of shape (N, D)
    parameters : Parameters
        Of any form; of tied, diagonal or spherical covariances there are as many coordinates as there are numbers.
    sample_weight : array-like of shape (N,), optional
        How much each row counts.
    n_threads : int, optional
        Default: all processors this process may use. The result has the same bits for any number.

    Returns
    -------
    Gradient
        A pair (value, vector), in the order that SciPy's ``minimize(…, jac=True)`` takes.

    Raises
    ------
    DataError
        If X is not a finite numeric matrix of D columns.
    DegenerateComponentError
        If a covariance is not positive definite.

    References
    ----------
    Salakhutdinov, Roweis and Ghahramani (2003), Optimization with EM and expectation-conjugate-gradient. ICML.

    Examples
    --------
    >>> import fastgmm
    >>> value, vector = fastgmm.gradient([[1.0], [3.0]], fastgmm.Parameters([1.0], [[0.0]], [[[4.0]]]))
    >>> vector  # by the log weight, the mean and the log standard deviation
    array([0.  , 0.5 , 0.25])
    """
    rows = as_rows(X, sample_weight, n_features=parameters.n_features)
    frame = Frame.of(parameters)
    inside = frame.enter(parameters)
    statistics = rows.expectation(inside, team(n_threads), moments=parameters.form, frame=frame)
    outside = frame.leave_statistics(statistics.recentre(inside.means), parameters.means)
    return gradient_of(outside, parameters)


def gradient_of(statistics: SufficientStatistics, parameters: Parameters) -> Gradient:
    """Return the gradient from statistics of a pass under the parameters, in the same units.

    Raises
    ------
    StatisticsError
        If the statistics lack second moments that the parameters' form needs.
    """
    statistics = statistics.recentre(parameters.means).reduced(parameters.form)
    counts, sums, total = statistics.sum_w, statistics.sum_x, statistics.sum_w.sum()
    by_weights = counts - total * (parameters.weights / parameters.weights.sum())
    whiteners = parameters.whiteners
    by_means = np.einsum("ked,ke->kd", whiteners, np.einsum("ked,kd->ke", whiteners, sums))
    by_factors = _by_factors(statistics.sum_xx, counts, parameters)
    vector = np.concatenate([by_weights, by_means.ravel(), by_factors])
    return Gradient(statistics.log_likelihood / statistics.weight, vector / total)


def _by_factors(sum_xx: Floats, counts: Floats, parameters: Parameters) -> Floats:
    """Return the derivatives by the factors' coordinates, flat."""
    form, d = parameters.form, parameters.n_features
    inverse = parameters.inverse_factors
    if form == "spherical":
        return d * (sum_xx * inverse**2 - counts)
    if form == "diag":
        return (sum_xx * inverse**2 - counts[:, None]).ravel()
    heavy = counts.sum() if form == "tied" else counts[:, None, None]
    whitened = inverse @ sum_xx @ inverse.swapaxes(-1, -2)
    slopes = inverse.swapaxes(-1, -2) @ (whitened - heavy * np.eye(d))
    places = np.arange(d)
    slopes[..., places, places] *= parameters.factors[..., places, places]
    return lower(slopes)


@dataclass(frozen=True, eq=False)
class Finished:
    """What L-BFGS made of a mixture."""

    parameters: Parameters
    log_likelihood: float
    """Mean over the rows."""
    n_passes: int
    converged: bool
    message: str
    """SciPy's sentence about how it ended."""


def finish(
    X: Any,
    parameters: Parameters,
    sample_weight: ArrayLike | None = None,
    *,
    tol: float = 1e-7,
    max_iter: int = 500,
    n_threads: int | None = None,
) -> Finished:
    """Climb from a mixture to the nearest maximum of the likelihood by SciPy's L-BFGS.

    Where components overlap, EM's last digits take thousands of passes and quasi-Newton's tens. Weights may tend to 0
    and covariances to singular ones, as in EM without a ridge. Works in standardised features, whatever X's units.

    Parameters
    ----------
    X : array-like of shape (N, D)
    parameters : Parameters
        The start, of any form, and every weight positive; an EM's result, say.
    sample_weight : array-like of shape (N,), optional
    tol : float, default=1e-7
        Stop when no derivative of the mean log-likelihood is larger.
    max_iter : int, default=500
        Steps of L-BFGS, each of one or a few passes.
    n_threads : int, optional

    Returns
    -------
    Finished
        Never with a smaller likelihood than the start's.

    Raises
    ------
    ImportError
        If SciPy is not installed: it is the extra ``fastgmm[scipy]``.

    References
    ----------
    Liu and Nocedal (1989), On the limited memory BFGS method for large scale optimization. Math. Programming 45.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.gradients import finish
    >>> X = fastgmm.datasets.load_faithful()
    >>> rough = fastgmm.GaussianMixture(2, random_state=0).fit(X).mixture_.parameters
    >>> round(finish(X, rough).log_likelihood * len(X), 3)
    -1130.264
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise missing_extra("SciPy", "scipy") from None
    rows, workers = as_rows(X, sample_weight, n_features=parameters.n_features), team(n_threads)
    frame = rows.frame.isotropic() if parameters.form == "spherical" else rows.frame
    k, d, form = parameters.n_components, parameters.n_features, parameters.form

    def descent(vector: Floats) -> tuple[float, Floats]:
        try:
            mixture = from_vector(vector, k, d, form)
            statistics = rows.expectation(mixture, workers, moments=form, frame=frame)
            value, slopes = gradient_of(statistics, mixture)
        except (np.linalg.LinAlgError, ValueError, FloatingPointError):
            return np.inf, np.zeros_like(vector)  # a covariance that has left the numbers: the line search steps back
        return -value, -slopes

    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        found = minimize(
            descent,
            to_vector(frame.enter(parameters)),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iter, "gtol": tol, "ftol": 0.0, "maxcor": 20, "maxfun": 20 * max_iter + 20},
        )
    best = frame.leave(from_vector(found.x, k, d, form))
    return Finished(best, -float(found.fun), int(found.nfev), bool(found.success), str(found.message))
