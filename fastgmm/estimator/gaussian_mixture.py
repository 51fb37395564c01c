"""GaussianMixture: the scikit-learn face. Names, shapes, defaults and errors; no mathematics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import errors, features
from fastgmm.backend import as_rows
from fastgmm.em.callbacks import Callback
from fastgmm.em.convergence import Status
from fastgmm.em.progressive import is_worth, progressive
from fastgmm.em.restarts import best_run
from fastgmm.em.run import Interrupted, RunResult, Settings
from fastgmm.errors import DataError
from fastgmm.estimator.checks import FAMILIES, check_passes, check_shared
from fastgmm.estimator.density import AbstractMixtureEstimator
from fastgmm.expectation_task import SKIP_BELOW
from fastgmm.initialise import start
from fastgmm.initialise.given import GivenStart, given_start
from fastgmm.mixture import Mixture
from fastgmm.models import maximise
from fastgmm.parameter_checks import check_choice, random_state
from fastgmm.parameters import Parameters
from fastgmm.progress import VerboseLines, together
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team, team
from fastgmm.validation import check_range, check_varies

Floats = NDArray[np.float64]

MODELS = {"full": "VVV"}
"""scikit-learn's names of covariance families → models."""


class GaussianMixture(AbstractMixtureEstimator):
    """Gaussian mixture fitted by EM, with scikit-learn's interface.

    Parameters
    ----------
    n_components : int, default=1
    covariance_type : {"full"}, default="full"
        "tied", "diag" and "spherical" are refused until they are there.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood changes by less.
    reg_covar : float, default=1e-6
        Added to the variances.
    max_iter, n_init : int, default=100 and 1
        Most iterations of a run, and number of runs, of which the best is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
    weights_init, means_init, precisions_init : array-like, optional
        Shapes (K,), (K, D), (K, D, D): taken instead of what `init_params` finds.
    random_state : int, RandomState instance or None
    warm_start : bool, default=False
        Start `fit` from the last fit's parameters.
    verbose, verbose_interval : int, default=0 and 10
    n_threads : int, optional
        Beyond scikit-learn. Default: all processors; results have the same bits for any number.
    callback : callable, optional
        Beyond scikit-learn. Called after each iteration with an `em.callbacks.Iteration` (number, log_likelihood,
        change, seconds, …); EM stops if it returns True.
    algorithm : {"auto", "dense", "bounded"}, default="auto"
        Beyond scikit-learn. "bounded" keeps 4 N K bytes of bounds that rule out pairs of rows and components below one
        rounding of the row; "auto" does so where it saves time. It changes no result beyond rounding.
    skip_below : float, default=2**-53
        Beyond scikit-learn. Share of a row that may be left out of the sums, at most: the default is less than a
        rounding, 0 leaves nothing out. Larger values save time where components are many: 1e-9, say.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        Of shapes (K,), (K, D) and (K, D, D); of X's dtype if that is float32, else float64.
    converged_ : bool
    n_iter_ : int
    lower_bound_, lower_bounds_ : float and list of float
        Mean log-likelihoods that the expectation steps of the best run saw.
    mixture_ : Mixture
        Beyond scikit-learn: the fitted density in float64.

    Notes
    -----
    After Ctrl-C in `fit`, the attributes hold the last complete iteration, with ``converged_ = False``.

    References
    ----------
    Dempster, Laird and Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm. JRSS B 39, 1–38.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixture, datasets
    >>> X = datasets.load_faithful()
    >>> gm = GaussianMixture(2, random_state=0).fit(X)
    >>> np.sort(gm.weights_).round(2)
    array([0.36, 0.64])
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        n_threads: int | None = None,
        callback: Callback | None = None,
        algorithm: str = "auto",
        skip_below: float = SKIP_BELOW,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.n_threads = n_threads
        self.callback = callback
        self.algorithm = algorithm
        self.skip_below = skip_below

    # --- fitting ---------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : array-like of shape (N, D)
        y : ignored
        sample_weight : array-like of shape (N,), optional
            How much each row counts: weight 2 is a row given twice.

        Raises
        ------
        ValueError, TypeError
            For parameters or data that cannot be fitted, before any work starts, and for components that collapse.
        KeyboardInterrupt
            On Ctrl-C, with the last complete iteration in the attributes.
        """
        self._fit(X, sample_weight)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> NDArray[np.int64]:
        """Fit and return the labels (N,) that `predict` then gives for X."""
        rows = self._fit(X, sample_weight)
        return self.mixture_.predict(rows)

    def _fit(self, X: Any, sample_weight: ArrayLike | None) -> AbstractRows:
        self._check_parameters()
        names = features.names_of(X)
        rows = as_rows(X, sample_weight, min_rows=2)
        if rows.n_rows < self.n_components:
            raise DataError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {rows.n_rows}"
            )
        given = given_start(
            self.weights_init, self.means_init, self.precisions_init, self.n_components, rows.n_features
        )
        check_range(rows.low, rows.high)
        if self.reg_covar == 0:
            check_varies(rows.low, rows.high)
        again = self.warm_start and hasattr(self, "mixture_")
        if again and rows.n_features != self.n_features_in_:
            raise DataError(f"X has {rows.n_features} features, but the fit to go on from has {self.n_features_in_}.")
        ridge = self.reg_covar * rows.frame.scale**2
        settings = Settings(
            self.tol, self.max_iter, ridge, MODELS[self.covariance_type], self.algorithm, self.skip_below
        )
        workers = team(self.n_threads)
        starts = self._warm_start(rows) if again else self._starts(rows, given, settings, workers)
        previous = self.lower_bound_ if again else -math.inf
        lines = VerboseLines(self.verbose, self.verbose_interval) if self.verbose else None
        watch = together(None if lines is None else lines.iteration, self.callback)
        try:
            result = best_run(rows, starts, settings, workers, watch, previous, None if lines is None else lines.end)
        except Interrupted as stop:
            self._publish(stop.result, rows, names)
            raise
        self._publish(result, rows, names)
        if result.status is Status.MAX_ITER and self.max_iter > 0:
            warnings.warn(errors.NOT_CONVERGED, errors.convergence_warning(), stacklevel=3)
        return rows

    def _starts(
        self, rows: AbstractRows, given: GivenStart, settings: Settings, workers: Team
    ) -> list[Callable[[], Parameters]]:
        """Return the starts in order; each draws from the same stream when it is called."""
        rng = random_state(self.random_state, type(self).__name__)

        def make() -> Parameters:
            if given.complete:
                return given.over(None, rows.frame)
            if self.init_params == "kmeans" and is_worth(rows, self.n_components):
                found = progressive(rows, self.n_components, settings, rng, workers)
                if found is not None:
                    return given.over(found, rows.frame)
            statistics = start(rows, self.n_components, self.init_params, rng, workers)
            return given.over(maximise(statistics, settings.model, reg_covar=settings.ridge), rows.frame)

        return [make] * self.n_init

    def _warm_start(self, rows: AbstractRows) -> list[Callable[[], Parameters]]:
        return [lambda: rows.frame.enter(self.mixture_.parameters)]

    def _publish(self, result: RunResult, rows: AbstractRows, names: NDArray[np.object_] | None) -> None:
        """Set the attributes of a fitted estimator."""
        parameters = rows.frame.leave(result.parameters)
        upper = result.parameters.whiteners.swapaxes(1, 2) * rows.frame.scale[:, None]
        dtype = rows.dtype
        self.mixture_ = Mixture(parameters, self.n_threads)
        self.weights_ = parameters.weights.astype(dtype)
        self.means_ = parameters.means.astype(dtype)
        self.covariances_ = parameters.covariances.astype(dtype)
        self.precisions_cholesky_ = upper.astype(dtype)
        self.precisions_ = np.einsum("kde,kfe->kdf", upper, upper).astype(dtype)
        self.converged_ = result.status is Status.CONVERGED
        self.n_iter_ = result.n_iter
        self.lower_bound_ = result.lower_bound
        self.lower_bounds_ = list(result.lower_bounds)
        self.n_features_in_ = rows.n_features
        features.remember(self, names)

    # --- criteria -----------------------------------------------------------------------------------------------------

    def bic(self, X: Any) -> float:
        """Return the Bayesian information criterion on X: the lower the better."""
        return self._fitted(X).bic(X)

    def aic(self, X: Any) -> float:
        """Return Akaike's information criterion on X: the lower the better."""
        return self._fitted(X).aic(X)

    def _n_parameters(self) -> int:
        return self._fitted(None).n_parameters

    def _check_parameters(self) -> None:
        check_shared(self)
        check_passes(self)
        check_choice(self.covariance_type, "covariance_type", type(self).__name__, FAMILIES)
        if self.covariance_type not in MODELS:
            raise NotImplementedError(
                f"covariance_type={self.covariance_type!r} is not there yet; use 'full', the default."
            )
