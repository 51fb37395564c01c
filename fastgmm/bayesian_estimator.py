"""BayesianGaussianMixture: the scikit-learn face of variational Bayes; no mathematics."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import errors, features
from fastgmm.backend import as_rows, opened
from fastgmm.bayes.beliefs import Beliefs, beliefs
from fastgmm.bayes.checks import check_array_like, check_positive
from fastgmm.bayes.posterior import Posterior
from fastgmm.bayes.prior import Prior
from fastgmm.bayes.run import Settings, start_at
from fastgmm.bayes.update import update
from fastgmm.bayes.weights import WEIGHTS
from fastgmm.em.callbacks import Callback
from fastgmm.em.convergence import Status
from fastgmm.em.run import Interrupted, RunResult, Start
from fastgmm.errors import DataError
from fastgmm.estimator.checks import check_shared
from fastgmm.estimator.density import AbstractMixtureEstimator
from fastgmm.estimator.fitting import fitted
from fastgmm.estimator.resume import NO_SAVING, Saving
from fastgmm.forms import FORMS
from fastgmm.initialise import start
from fastgmm.mixture import Mixture
from fastgmm.parameter_checks import check_choice
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team, team
from fastgmm.validation import check_range, check_varies


class BayesianGaussianMixture(AbstractMixtureEstimator):
    """Gaussian mixture fitted by variational Bayes, with scikit-learn's interface.

    The posterior says how many of the components there is evidence for: the others are left with weights near 0.

    Parameters
    ----------
    n_components : int, default=1
        At most so many components are used.
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
    tol : float, default=1e-3
        The fit stops when the lower bound, a total over the rows, changes by less.
    reg_covar : float, default=1e-6
        Added to the variances.
    max_iter, n_init : int, default=100 and 1
        Most iterations of a run, and number of runs, of which the best is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
    weight_concentration_prior_type : {"dirichlet_process", "dirichlet_distribution"}, default="dirichlet_process"
        Sticks broken from a Dirichlet process, cut off after `n_components`, or a finite Dirichlet distribution.
    weight_concentration_prior : float, optional
        The smaller, the fewer components are used. Default: 1 / n_components.
    mean_precision_prior : float, optional
        How many rows `mean_prior` counts for. Default: 1.
    mean_prior : array-like of shape (D,), optional
        Default: the mean of X.
    degrees_of_freedom_prior : float, optional
        How many rows `covariance_prior` counts for, more than D − 1. Default: D.
    covariance_prior : float or array-like, optional
        Shape (D, D) for full and tied, (D,) for diag, a number for spherical. Default: the covariance of X, its
        diagonal, or the mean of that.
    random_state : int, RandomState instance or None
    warm_start : bool, default=False
        Start `fit` from the last fit's posterior.
    verbose, verbose_interval : int, default=0 and 10
    n_threads : int, optional
        Beyond scikit-learn. Default: all processors; results have the same bits for any number.
    callback : callable, optional
        Beyond scikit-learn. Called after each iteration with a `bayes.run.Iteration` (number, lower_bound, change,
        seconds, …); the fit stops if it returns True.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        The posterior's means, of scikit-learn's shapes; of X's dtype if that is float32, else float64.
    weight_concentration_ : array of shape (K,), or two of them
        Of the Dirichlet distribution, or the sticks' Beta distributions.
    mean_precision_, degrees_of_freedom_ : arrays of shape (K,)
        `degrees_of_freedom_` is one number where covariances are tied.
    weight_concentration_prior_, mean_precision_prior_, degrees_of_freedom_prior_ : float
    mean_prior_, covariance_prior_ : arrays
        The priors that were used.
    converged_ : bool
    n_iter_ : int
    lower_bound_, lower_bounds_ : float and list of float
        Lower bounds of the log evidence after each iteration of the best run, less constants of the prior.
    history_ : dict of arrays
        Beyond scikit-learn. One entry for each iteration of the best run: ``lower_bound``; ``seconds`` since the fit
        began; ``passes`` over all rows so far, with those of its start; ``evaluated``, which is 1.
    mixture_ : Mixture
        Beyond scikit-learn: the density of the posterior's means, in float64.
    posterior_ : Posterior
        Beyond scikit-learn: the posterior in float64.

    Notes
    -----
    As in scikit-learn, `score_samples`, `predict_proba` and what rests on them take the expectation of the log-density
    under the posterior, which is less than the log-density of `mixture_`. Weights of rows count them: weight 2 is a row
    given twice, and the more rows count for, the less the priors do.

    After Ctrl-C in `fit`, the attributes hold the last complete iteration, with ``converged_ = False``.

    References
    ----------
    Attias (2000), A variational Bayesian framework for graphical models. NIPS 12, 209–215.
    Bishop (2006), Pattern Recognition and Machine Learning, chapter 10.
    Blei and Jordan (2006), Variational inference for Dirichlet process mixtures. Bayesian Analysis 1, 121–143.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import BayesianGaussianMixture, datasets
    >>> X = datasets.load_faithful()
    >>> gm = BayesianGaussianMixture(n_components=5, weight_concentration_prior=0.01, max_iter=500, random_state=0)
    >>> np.sort(gm.fit(X).weights_)[-2:].round(2)
    array([0.36, 0.64])
    """

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: ArrayLike | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        n_threads: int | None = None,
        callback: Callback | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.n_threads = n_threads
        self.callback = callback

    # --- fitting ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        resume: bool = False,
    ) -> Self:
        """Estimate the posterior.

        Parameters
        ----------
        X : array-like of shape (N, D), or rows outside memory
            Memory maps, Arrow tables and datasets, HDF5 and Zarr arrays, callables that give a fresh iterator of
            chunks, and sources of `fastgmm.rows` are read in spans, once an iteration.
        y : ignored
        sample_weight : array-like of shape (N,), optional
            How much each row counts: weight 2 is a row given twice.
        checkpoint, checkpoint_every, resume
            Beyond scikit-learn. As of `GaussianMixture.fit`.

        Raises
        ------
        ValueError, TypeError
            For parameters or data that cannot be fitted, before any work starts, and for components that collapse.
        CheckpointError
            For a checkpoint that is damaged, of other data or settings, or in the way. A ValueError.
        KeyboardInterrupt
            On Ctrl-C, with the last complete iteration in the attributes, and in the checkpoint.
        """
        self._fit(X, sample_weight, Saving(checkpoint, checkpoint_every, resume))
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> NDArray[np.int64]:
        """Fit and return the labels (N,) that `predict` then gives for X."""
        rows = self._fit(X, sample_weight)
        return self._expected.predict(rows)

    def _fit(self, X: Any, sample_weight: ArrayLike | None, saving: Saving = NO_SAVING) -> AbstractRows:
        self._check_parameters()
        saving.check(type(self).__name__)
        X = opened(X)
        names = features.names_of(X)
        rows = as_rows(X, sample_weight, min_rows=2)
        believed = self._beliefs(rows)
        again = self.warm_start and hasattr(self, "posterior_")
        if again and rows.n_features != self.n_features_in_:
            raise DataError(f"X has {rows.n_features} features, but the fit to go on from has {self.n_features_in_}.")
        if self.covariance_type == "spherical":
            rows = rows.in_frame(rows.frame.isotropic())
        workers = team(self.n_threads)
        prior = believed.prior(rows, workers)
        outside = believed.leave(prior, rows.frame)
        ridge = self.reg_covar * rows.frame.scale**2
        settings = Settings(prior, self.tol, self.max_iter, ridge)
        last = start_at(self.posterior_.enter(rows.frame)) if again else None

        def starts(settings: Settings, rng: np.random.RandomState) -> list[Callable[[], Start]]:
            return self._starts_of(rows, settings, workers, rng)

        try:
            result = fitted(self, rows, settings, last, starts, workers, saving)
        except Interrupted as stop:
            self._set(stop.result, outside, rows, names)
            raise
        self._set(result, outside, rows, names)
        if result.status is Status.MAX_ITER and self.max_iter > 0:
            warnings.warn(errors.NOT_CONVERGED, errors.convergence_warning(), stacklevel=3)
        return rows

    def _beliefs(self, rows: AbstractRows) -> Beliefs:
        """Refuse rows that cannot be fitted, and priors that do not suit them."""
        if rows.n_rows < self.n_components:
            raise DataError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {rows.n_rows}"
            )
        believed = beliefs(
            self.weight_concentration_prior_type,
            self.covariance_type,
            self.weight_concentration_prior,
            self.mean_precision_prior,
            self.mean_prior,
            self.degrees_of_freedom_prior,
            self.covariance_prior,
            self.n_components,
            rows.n_features,
        )
        check_range(rows.low, rows.high)
        enough = self.covariance_type == "spherical" and (rows.low < rows.high).any()
        if self.reg_covar == 0 and self.covariance_prior is None and not enough:
            check_varies(rows.low, rows.high)
        return believed

    def _starts_of(
        self, rows: AbstractRows, settings: Settings, workers: Team, rng: np.random.RandomState
    ) -> list[Callable[[], Start]]:
        """Return the starts in order; each draws from the same stream when it is called."""

        def make() -> Start:
            statistics = start(rows, self.n_components, self.init_params, rng, workers, moments=self.covariance_type)
            return start_at(update(statistics, settings.prior, settings.ridge))

        return [make] * self.n_init

    def _set(self, result: RunResult, prior: Prior, rows: AbstractRows, names: NDArray[np.object_] | None) -> None:
        """Set the attributes of a fitted estimator."""
        posterior = Posterior.of(result.more, prior.form, prior.kind).leave(rows.frame)
        values = _of_posterior(posterior, rows.dtype) | _of_prior(prior, rows.dtype)
        self.posterior_ = posterior
        self.mixture_ = Mixture(posterior.point, self.n_threads)
        self._expected = Mixture(posterior.expected, self.n_threads)
        for name, value in values.items():
            setattr(self, name, value)
        self.converged_ = result.status is Status.CONVERGED
        self.n_iter_ = result.n_iter
        self.lower_bound_ = result.lower_bound
        self.lower_bounds_ = list(result.lower_bounds)
        self.history_ = result.history.arrays()
        self.n_features_in_ = rows.n_features
        features.remember(self, names)

    # --- using the fit ---------------------------------------------------------------------------------------------

    def _fitted(self, X: Any) -> Mixture:
        """Return the mixture of expected log-densities."""
        if not hasattr(self, "mixture_"):
            return super()._fitted(X)
        features.check(self, X)
        return self._expected

    # --- checks ----------------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        owner = type(self).__name__
        check_shared(self)
        check_choice(self.covariance_type, "covariance_type", owner, tuple(FORMS))
        kinds = tuple(WEIGHTS)
        check_choice(self.weight_concentration_prior_type, "weight_concentration_prior_type", owner, kinds)
        check_positive(self.weight_concentration_prior, "weight_concentration_prior", owner)
        check_positive(self.mean_precision_prior, "mean_precision_prior", owner)
        check_array_like(self.mean_prior, "mean_prior", owner)
        check_positive(self.degrees_of_freedom_prior, "degrees_of_freedom_prior", owner)
        check_array_like(self.covariance_prior, "covariance_prior", owner, or_number=True)


def _of_posterior(posterior: Posterior, dtype: Any) -> dict[str, Any]:
    """Return the attributes that describe a posterior, by scikit-learn's names; counts stay in float64."""
    upper = posterior.point.inverse_factors
    if posterior.form in ("full", "tied"):
        upper = upper.swapaxes(-1, -2)
        precisions = upper @ upper.swapaxes(-1, -2)
    else:
        precisions = upper**2
    degrees = posterior.degrees_of_freedom
    return {
        "weights_": posterior.point.weights.astype(dtype),
        "means_": posterior.means.astype(dtype),
        "covariances_": posterior.covariances.astype(dtype),
        "precisions_cholesky_": upper.astype(dtype),
        "precisions_": precisions.astype(dtype),
        "weight_concentration_": posterior.weights.concentration,
        "mean_precision_": posterior.mean_precision,
        "degrees_of_freedom_": float(degrees[0]) if posterior.form == "tied" else degrees,
    }


def _of_prior(prior: Prior, dtype: Any) -> dict[str, Any]:
    """Return the attributes that describe a prior, by scikit-learn's names."""
    covariance = prior.covariance
    return {
        "weight_concentration_prior_": prior.concentration,
        "mean_precision_prior_": prior.mean_precision,
        "mean_prior_": prior.mean.astype(dtype),
        "degrees_of_freedom_prior_": prior.degrees_of_freedom,
        "covariance_prior_": float(covariance) if prior.form == "spherical" else covariance.astype(dtype),
    }
