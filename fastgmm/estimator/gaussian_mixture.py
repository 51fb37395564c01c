"""GaussianMixture: maximum likelihood, with scikit-learn's names, numbers and manners."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import features
from fastgmm.backend import opened
from fastgmm.em.callbacks import Callback
from fastgmm.em.convergence import Status
from fastgmm.em.run import Interrupted, RunResult, Settings, Start
from fastgmm.em.search import PASSES
from fastgmm.errors import DataError
from fastgmm.estimator import advice, online, routing
from fastgmm.estimator.attributes import precision_factors, precisions
from fastgmm.estimator.checks import check_parameters
from fastgmm.estimator.density import AbstractMixtureEstimator
from fastgmm.estimator.fitting import fitted
from fastgmm.estimator.framing import last_fit, model_of, rows_of
from fastgmm.estimator.plan import settings_of, starts_of
from fastgmm.estimator.resume import NO_SAVING, Saving
from fastgmm.estimator.routing import UNCHANGED, Request
from fastgmm.expectation_task import SKIP_BELOW
from fastgmm.initialise.given import given_start
from fastgmm.mixture import Mixture
from fastgmm.models.prior import Prior
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import team


class GaussianMixture(AbstractMixtureEstimator):
    """Gaussian mixture fitted by EM, with scikit-learn's interface.

    Parameters
    ----------
    n_components : int, default=1
    covariance_type : {"full", "tied", "diag", "spherical"} or a model's name, default="full"
        The fourteen models of Celeux and Govaert (volume, shape, orientation: Equal, Variable, Identity) go beyond
        scikit-learn: "EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV".
        "full" is "VVV", "tied" is "EEE", "diag" is "VVI" and "spherical" is "VII".
    tol : float, default=1e-3
        EM stops when the mean log-likelihood changes by less.
    reg_covar : float, default=1e-6
        Added to the variances.
    max_iter, n_init : int, default=100 and 1
        Most iterations of a run, and number of runs, of which the best is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data", "online"}, default="kmeans"
        "online" goes beyond scikit-learn: one pass of stepwise EM over all rows, in small batches.
    weights_init, means_init, precisions_init : array-like, optional
        Shapes (K,), (K, D) and that of ``covariances_``: taken instead of what `init_params` finds.
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
    prior : None, "mclust" or Prior, default=None
        Beyond scikit-learn. Conjugate prior of means and covariances, so that no component collapses: a
        `fastgmm.models.Prior` in X's units, or "mclust" for that program's default. EM then raises log-likelihood +
        log-density of the prior, and ``lower_bound_`` is their mean.
    equal_weights : bool, default=False
        Beyond scikit-learn. Keep all weights at 1/K.
    weight_type : {"frequency", "reliability"}, default="frequency"
        Beyond scikit-learn. What `sample_weight` means: how often a row was seen, or how far it is to be believed. The
        latter are scaled so that they sum to the number of rows with a positive weight, which `bic`, `icl` and a prior
        count; the unit of such weights does not matter.
    on_degenerate : {"raise", "regularise", "reseed", "remove"}, default="raise"
        Beyond scikit-learn. Where a component collapses: raise, as scikit-learn does; add the smallest relative ridge
        that helps; put it beside the component that is widest; or go on without it, so that fewer components come out.
        ``degenerate_`` tells what happened.
    reg_covar_relative : float, default=0.0
        Beyond scikit-learn. This share of each feature's variance over all rows is added to the variances (of the mean
        variance, where the model has one scale for all features): a `reg_covar` that does not depend on the unit.
    acceleration : {None, "squarem", "anderson"}, default=None
        Beyond scikit-learn. Take passes farther ahead than EM goes, and go back to its own step wherever one sees a
        lower likelihood: fewer passes to the optimum, the more so the slower EM is. "squarem" is the surer one. A run
        converges by a step of EM's own; `max_iter` counts refused passes too.
    assignment : {"soft", "hard", "stochastic"}, default="soft"
        Beyond scikit-learn. How a row counts for components: by its responsibilities (EM); all for the most probable
        one (classification EM: k-means is the case of "EII" and equal weights); or for one drawn by them (stochastic
        EM, which makes `max_iter` draws and keeps the mixture of the highest likelihood that it saw). With "hard",
        ``lower_bound_`` is the mean classification log-likelihood, the largest log π_k N(x | μ_k, Σ_k) of each row.
    convergence : {"change", "aitken"}, default="change"
        Beyond scikit-learn. What is to be below `tol`: the last change, or Aitken's estimate of all changes to come.
    forgetting : float in (0, 1], optional
        Beyond scikit-learn. What share of the past each `partial_fit` forgets, so that the fit follows a stream that
        drifts: it rests on the last 1 / `forgetting` batches. Default: nothing is forgotten for ever, the more batches
        came, the less one counts.
    search : {None, "short-runs", "split-merge", "annealing", "auto"}, default=None
        Beyond scikit-learn. Look for a better optimum than the one that the start leads to, and begin there: many short
        runs from varied starts, rounds of splits and merges, deterministic annealing, or what suits. The result's
        `lower_bound_` is never below that of the same fit without a search, except for `tol`; but "auto" draws its own
        starts where components are six or more, or features three or fewer, and none is given: it may end below.
        Components that collapse onto few rows are no better optima. ``n_iter_`` and ``lower_bounds_`` are of the last
        run.
    search_budget : float or str, default=60
        Beyond scikit-learn. What a search may spend: passes over all rows (a pass over n of N rows with k of K
        components counts n k / N K), the plain fit's included; or seconds, as "2.5s". The plain fit, and the run from
        what the search found, are completed whatever they cost.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        Of shapes (K,), (K, D) and, the last three, (K, D, D), (D, D), (K, D) or (K,), by the form of the covariances;
        of X's dtype if that is float32, else float64.
    converged_ : bool
    n_iter_ : int
    lower_bound_, lower_bounds_ : float and list of float
        Mean log-likelihoods (with a prior, penalised ones) that the expectation steps of the best run saw.
    history_ : dict of arrays
        Beyond scikit-learn. One entry for each iteration of the best run: ``lower_bound``; ``seconds`` since the fit
        began, where iterations of few rows, taken in one compiled call, share its time evenly; ``passes`` over all
        rows so far, with those of its start and refused ones (not those over samples); ``evaluated``, the share of the
        pairs of rows and components that was computed.
    degenerate_ : list of em.degeneracy.Degeneracy
        Beyond scikit-learn: iteration (0: the start), component and action of each collapse in the best run.
    mixture_ : Mixture
        Beyond scikit-learn: the fitted density in float64.

    Notes
    -----
    After Ctrl-C in `fit`, the attributes hold the last complete iteration, with ``converged_ = False``.

    References
    ----------
    Dempster, Laird and Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm. JRSS B 39, 1–38.
    Celeux and Govaert (1995), Gaussian parsimonious clustering models. Pattern Recognition 28, 781–793.
    Fraley and Raftery (2007), Bayesian regularization for normal mixture estimation. J. Classification 24, 155–181.
    Celeux and Govaert (1992), A classification EM algorithm for clustering and two stochastic versions. Computational
    Statistics and Data Analysis 14, 315–332.
    Varadhan and Roland (2008), Simple and globally convergent methods for accelerating the convergence of any EM
    algorithm. Scandinavian J. of Statistics 35, 335–353.

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
        prior: str | Prior | None = None,
        equal_weights: bool = False,
        weight_type: str = "frequency",
        on_degenerate: str = "raise",
        reg_covar_relative: float = 0.0,
        acceleration: str | None = None,
        assignment: str = "soft",
        convergence: str = "change",
        forgetting: float | None = None,
        search: str | None = None,
        search_budget: float | str = PASSES,
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
        self.prior = prior
        self.equal_weights = equal_weights
        self.weight_type = weight_type
        self.on_degenerate = on_degenerate
        self.reg_covar_relative = reg_covar_relative
        self.acceleration = acceleration
        self.assignment = assignment
        self.convergence = convergence
        self.search = search
        self.search_budget = search_budget
        self.forgetting = forgetting

    _stream: online.Stream | None = None
    """Where `partial_fit` stands."""
    _seen: float = 0.0
    """Weight of the rows of the last fit."""

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
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : array-like of shape (N, D), or rows outside memory
            Memory maps, Arrow tables and datasets, HDF5 and Zarr arrays, callables that give a fresh iterator of
            chunks, and sources of `fastgmm.rows` are read in spans, once an iteration.
        y : ignored
        sample_weight : array-like of shape (N,), optional
            How much each row counts: weight 2 is a row given twice (see `weight_type`).
        checkpoint : path-like, optional
            Beyond scikit-learn. A file that says where the fit stands: replaced every so often, and when the fit ends
            or is cut short. It holds data only.
        checkpoint_every : float, default=60.0
            Least seconds between two checkpoints; 0 writes one after each iteration.
        resume : bool, default=False
            Go on from the checkpoint, if there is one: the result has the same bits as that of a fit that was never
            interrupted. A fit that has ended comes back as it was.

        Raises
        ------
        ValueError, TypeError
            For parameters or data that cannot be fitted, before any work starts, and for components that collapse.
        CheckpointError
            For a checkpoint that is damaged, of other data or settings (the error names them), or in the way: without
            `resume`, that of a fit that has not ended is not replaced. A ValueError.
        KeyboardInterrupt
            On Ctrl-C, with the last complete iteration in the attributes, and in the checkpoint.
        """
        self._fit(X, sample_weight, Saving(checkpoint, checkpoint_every, resume))
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> NDArray[np.int64]:
        """Fit and return the labels (N,) that `predict` then gives for X."""
        rows = self._fit(X, sample_weight)
        return self.mixture_.predict(rows)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Take one step of stepwise EM with a batch of rows, and set the attributes.

        The first batch, of K rows at least, is what the fit starts from; after `fit`, the stream goes on from that.
        ``converged_`` stays False, ``n_iter_`` counts batches, and ``lower_bounds_`` are the mean log-likelihoods of
        the last 1000 batches, each under the parameters before it. Of the estimator's parameters, `forgetting` may
        change between batches; the others are those of the first batch for the whole stream. `fit` ends it, and with
        ``warm_start=True`` goes on from its parameters by exact EM.

        Parameters
        ----------
        X : array-like of shape (N, D)
            One row at least; several for each component serve best.
        y : ignored
        sample_weight : array-like of shape (N,), optional
            How much each row counts within its batch (see `weight_type`).

        Raises
        ------
        ValueError, TypeError
            For parameters or data that cannot be fitted, and for components that collapse: the fit stays as it was.

        References
        ----------
        Cappé and Moulines (2009), On-line expectation-maximization algorithm for latent data models. JRSS B 71,
        593–613.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import GaussianMixture, datasets
        >>> X = np.random.RandomState(0).permutation(datasets.load_faithful())
        >>> gm = GaussianMixture(2, random_state=0, warm_start=True)
        >>> for batch in np.array_split(X, 4):
        ...     gm = gm.partial_fit(batch)
        >>> gm.n_iter_
        4
        >>> np.sort(gm.fit(X).weights_).round(2)
        array([0.36, 0.64])
        """
        stream, result, rows, names = online.step(self, X, sample_weight)
        self._publish(result, rows, names)
        self._stream, self.n_iter_ = stream, stream.batches
        return self

    def set_partial_fit_request(self, *, sample_weight: Request = UNCHANGED) -> Self:
        """Say whether meta-estimators pass `sample_weight` to `partial_fit`: True, False, None (refuse) or an alias."""
        routing.request(self, "partial_fit", sample_weight)
        return self

    def _fit(self, X: Any, sample_weight: ArrayLike | None, saving: Saving = NO_SAVING) -> AbstractRows:
        """Fit, publish, warn; return the rows. A warning is shown for the line that called the calling method."""
        check_parameters(self)
        saving.check(type(self).__name__)
        X = opened(X)
        names = features.names_of(X)
        rows, model = rows_of(self, X, sample_weight), model_of(self)
        given = given_start(
            self.weights_init, self.means_init, self.precisions_init, self.n_components, rows.n_features, model.form
        )
        workers = team(self.n_threads)
        settings = settings_of(self, model.name, rows, workers)
        again = self.warm_start and hasattr(self, "mixture_")
        if again and rows.n_features != self.n_features_in_:
            raise DataError(f"X has {rows.n_features} features, but the fit to go on from has {self.n_features_in_}.")
        last = Start(last_fit(self, rows)) if again else None

        def starts(settings: Settings, rng: np.random.RandomState) -> list[Callable[[], Start]]:
            return starts_of(self, rows, given, settings, workers, rng)

        try:
            result = fitted(self, rows, settings, last, starts, workers, saving)
        except Interrupted as stop:
            self._publish(stop.result, rows, names)
            raise
        self._publish(result, rows, names)
        advice.warn(result, rows, np.asarray(settings.ridge), self.max_iter, stacklevel=4)
        return rows

    def _publish(self, result: RunResult, rows: AbstractRows, names: NDArray[np.object_] | None) -> None:
        """Set the attributes of a fitted estimator."""
        self._stream, self._seen = None, rows.weight
        parameters = rows.frame.leave(result.parameters)
        factors = precision_factors(result.parameters, rows.frame)
        dtype = rows.dtype
        self.mixture_ = Mixture(parameters, self.n_threads, model_of(self).name, bool(self.equal_weights))
        self.weights_ = parameters.weights.astype(dtype)
        self.means_ = parameters.means.astype(dtype)
        self.covariances_ = parameters.covariances.astype(dtype)
        self.precisions_cholesky_ = factors.astype(dtype)
        self.precisions_ = precisions(factors, parameters.form).astype(dtype)
        self.converged_ = result.status is Status.CONVERGED
        self.n_iter_ = result.n_iter
        self.lower_bound_ = result.lower_bound
        self.lower_bounds_ = list(result.lower_bounds)
        self.history_ = result.history.arrays()
        self.degenerate_ = list(result.degenerate)
        self.n_features_in_ = rows.n_features
        features.remember(self, names)

    # --- criteria --------------------------------------------------------------------------------------------------

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion on X: the lower the better."""
        X = opened(X)
        return self._fitted(X).bic(X, sample_weight, weight_type=self.weight_type)

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return Akaike's information criterion on X: the lower the better."""
        X = opened(X)
        return self._fitted(X).aic(X, sample_weight, weight_type=self.weight_type)

    def icl(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the integrated completed likelihood on X, `bic` + 2 · entropy of the labels: the lower the better."""
        X = opened(X)
        return self._fitted(X).icl(X, sample_weight, weight_type=self.weight_type)

    def _n_parameters(self) -> int:
        return self._fitted(None).n_parameters
