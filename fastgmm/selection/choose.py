"""The function `select`: a search over all candidates at once, then EM for each of them on all rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm.backend import as_rows
from fastgmm.errors import DataError, DegenerateComponentError, ParameterError
from fastgmm.estimator import GaussianMixture
from fastgmm.estimator.attributes import precision_factors, precisions
from fastgmm.frame import Frame
from fastgmm.mixture import Mixture
from fastgmm.models import MODELS, Prior, find_model
from fastgmm.parameter_checks import check_choice, check_number
from fastgmm.parameter_checks import random_state as random_state_of
from fastgmm.rows.base import AbstractRows
from fastgmm.selection.candidates import Candidates, Cell, Fit, Fits, Refused, Terms
from fastgmm.selection.effort import Effort
from fastgmm.selection.guard import Guard
from fastgmm.selection.result import CRITERIA, Selection, ranked
from fastgmm.threads import team
from fastgmm.validation import check_range, check_weights

Floats = NDArray[np.float64]

SEARCHES = ("auto", None)

QUICK, THOROUGH = Effort(seeds=3, rounds=0, split=0), Effort()
"""What search=None and search="auto" do."""


def select(
    X: Any,
    n_components: int | Iterable[int] = range(1, 10),
    models: str | Iterable[str] = "all",
    criterion: str = "bic",
    *,
    search: str | None = "auto",
    sample_weight: ArrayLike | None = None,
    weight_type: str = "frequency",
    prior: str | Prior | None = None,
    reg_covar: float = 0.0,
    tol: float = 1e-8,
    max_iter: int = 1000,
    min_rows: float | None = None,
    min_variance: float = 1e-3,
    random_state: Any = None,
    n_threads: int | None = None,
) -> Selection:
    """Fit every model with every number of components, and choose by a criterion.

    All candidates are sought together on the rows, or on a sample if they are many: models share their starts, and
    numbers of components hand on what they found, split or merged. Each candidate is then fitted by EM on all rows.

    Parameters
    ----------
    X : array-like of shape (N, D), or rows
    n_components : int or iterable of int, default=range(1, 10)
    models : "all" or iterable of str, default="all"
        Of the fourteen of `GaussianMixture`, or "full", "tied", "diag", "spherical"; one name is a list of one. Of one
        feature there are two: "E" and "V", by the names "EII" and "VII".
    criterion : {"bic", "icl", "aic"}, default="bic"
        As `GaussianMixture.bic`: −2 log L + p log n; smaller is better. (mclust's have the other sign.)
    search : {"auto", None}, default="auto"
        None takes one k-means++ start for each number of components: faster, and often a worse optimum.
    sample_weight : array-like of shape (N,), optional
    weight_type : {"frequency", "reliability"}, default="frequency"
    prior : None, "mclust" or Prior, default=None
        As of `GaussianMixture`: criteria are then those of the highest posterior density.
    reg_covar : float, default=0.0
        Added to the variances. Any makes likelihoods smaller and comparisons with other programs vain.
    tol, max_iter : float and int, default=1e-8 and 1000
        Of EM on all rows.
    min_rows : float, optional
        Optima in which a component holds fewer rows do not count. By default two for each number of its own: D of the
        mean, one of a volume, D − 1 of a shape and of an orientation that vary: 2 D for "EEE", 6 D − 2 for "VVV".
    min_variance : float, default=1e-3
        Optima in which a component's variance in some direction is a smaller share of that of all rows do not count
        either: the likelihood grows without bound where a component shrinks onto few rows.
    random_state : int, RandomState instance or None
    n_threads : int, optional

    Returns
    -------
    Selection
        Prints as a table; ``best``, ``best_model``, ``best_n_components``, ``criteria``, ``reasons``, ``to_pandas()``,
        ``plot()``.

    Raises
    ------
    ValueError, TypeError
        For what cannot be fitted or is unknown, before any work starts, and if no candidate has a fit.

    References
    ----------
    Schwarz (1978), Estimating the dimension of a model. Annals of Statistics 6, 461–464.
    Ueda, Nakano, Ghahramani and Hinton (2000), SMEM algorithm for mixture models. Neural Computation 12, 2109–2128.
    Scrucca, Fop, Murphy and Raftery (2016), mclust 5. The R Journal 8, 289–317.

    Examples
    --------
    >>> import fastgmm
    >>> X = fastgmm.datasets.load_faithful()
    >>> fastgmm.select(X, range(1, 5), models=["VII", "EEE", "VVV"], random_state=0)
    <Selection: bic, smaller is better; best: EEE with 3 components>
    """
    _check(
        criterion, search, prior, min_rows, max_iter, {"reg_covar": reg_covar, "tol": tol, "min_variance": min_variance}
    )
    rng = random_state_of(random_state, "select")
    rows = as_rows(X, sample_weight, min_rows=2, weight_type=weight_type)
    check_range(rows.low, rows.high)
    numbers, names = _numbers(n_components, rows), _models(models, rows.n_features)
    terms = Terms(Guard(min_rows, min_variance), prior, reg_covar, tol, max_iter)
    candidates = Candidates(rows, team(n_threads), terms)
    candidates.search(names, numbers, THOROUGH if search else QUICK, rng)
    fits = candidates.fit_all(names, numbers)
    mixtures, reasons = _sorted(fits, n_threads)
    counts = np.array([[MODELS[model].n_parameters(k, rows.n_features) for k in numbers] for model in names])
    likelihoods = _table(fits, lambda cell, fit: fit.log_likelihood)
    criteria = -2 * likelihoods + counts * (2.0 if criterion == "aic" else math.log(rows.weight))
    if criterion == "icl":
        weights = check_weights(sample_weight, rows.n_rows, weight_type)
        criteria += 2 * _table(fits, lambda cell, _: _entropy(mixtures[cell], rows, weights))
    model, k = ranked(criteria, tuple(names), tuple(numbers), counts)[0]
    best = _estimator(mixtures[model, k], model, terms, weight_type, n_threads)
    return Selection(
        criterion=criterion,
        models=tuple(names),
        n_components=tuple(numbers),
        criteria=criteria,
        log_likelihoods=likelihoods,
        n_parameters=counts,
        n_rows=rows.weight,
        reasons=reasons,
        mixtures=mixtures,
        best=best.fit(X, sample_weight=sample_weight),
    )


def _check(
    criterion: str, search: str | None, prior: Any, min_rows: float | None, max_iter: int, numbers: dict[str, float]
) -> None:
    """Refuse what is unknown or out of range."""
    check_choice(criterion, "criterion", "select", CRITERIA)
    if search not in SEARCHES:
        raise ParameterError(f"The 'search' parameter of select must be 'auto' or None. Got {search!r} instead.")
    for name, value in numbers.items():
        check_number(value, name, "select", float, 0)
    check_number(max_iter, "max_iter", "select", int, 1)
    if min_rows is not None:
        check_number(min_rows, "min_rows", "select", float, 0)
    if not (prior is None or prior == "mclust" or isinstance(prior, Prior)):
        raise ParameterError(
            f"The 'prior' parameter of select must be None, 'mclust' or a Prior. Got {prior!r} instead."
        )


def _sorted(fits: Fits, n_threads: int | None) -> tuple[dict[Cell, Mixture], dict[Cell, str]]:
    """Return the mixtures of candidates that have a fit, and the reasons of the others, not of all."""
    reasons = {cell: fit.reason for cell, fit in fits.items() if isinstance(fit, Refused)}
    if len(reasons) == len(fits):
        (model, k), reason = next(iter(reasons.items()))
        raise DegenerateComponentError(f"no candidate could be fitted; {model} with {k} components: {reason}.")
    mixtures = {cell: Mixture(fit.parameters, n_threads, cell[0]) for cell, fit in fits.items() if isinstance(fit, Fit)}
    return mixtures, reasons


def _table(fits: Fits, value: Callable[[Cell, Fit], float]) -> Floats:
    """Return a value of each candidate, (models, numbers), NaN where there is no fit."""
    found = [value(cell, fit) if isinstance(fit, Fit) else math.nan for cell, fit in fits.items()]
    return np.array(found).reshape(len({model for model, _ in fits}), -1)


def _entropy(mixture: Mixture, rows: AbstractRows, weights: Floats | None) -> float:
    """Return the entropy of a candidate's labels: one definition of it is enough."""
    return (mixture.icl(rows, weights) - mixture.bic(rows, weights)) / 2


def _estimator(mixture: Mixture, model: str, terms: Terms, weight_type: str, n_threads: int | None) -> GaussianMixture:
    """Return an estimator that starts where the candidate ended, so that its fit confirms that in two iterations."""
    p = mixture.parameters
    factors = precision_factors(p, Frame.identity(p.n_features))
    return GaussianMixture(
        p.n_components,
        covariance_type=model,
        tol=max(terms.tol, 1e-10),
        reg_covar=terms.ridge,
        max_iter=terms.max_iter,
        weights_init=p.weights,
        means_init=p.means,
        precisions_init=precisions(factors, p.form),
        prior=terms.prior,
        weight_type=weight_type,
        n_threads=n_threads,
    )


def _numbers(n_components: int | Iterable[int], rows: AbstractRows) -> list[int]:
    """Return the numbers of components in ascending order, each once."""
    given: list[Any] = list(n_components) if isinstance(n_components, Iterable) else [n_components]
    for k in given:
        check_number(k, "n_components", "select", int, 1)
        if k > rows.n_rows:
            raise DataError(f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {rows.n_rows}")
    if not given:
        raise ParameterError("n_components holds no number; pass for instance range(1, 10).")
    return sorted({int(k) for k in given})


def _models(models: str | Iterable[str], n_features: int) -> list[str]:
    """Return the names of models, each once."""
    if isinstance(models, str):
        models = list(MODELS) if models == "all" else [models]
    names = [find_model(name, n_features).name for name in models]
    if n_features == 1:  # shape and orientation are of several features
        names = ["EII" if name[0] == "E" else "VII" for name in names]
    if not names:
        raise ParameterError("models holds no name; pass 'all', or for instance ['EEE', 'VVV'].")
    return list(dict.fromkeys(names))
