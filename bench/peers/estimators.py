"""How estimators with scikit-learn's interface are driven: fastgmm's and scikit-learn's own."""

from __future__ import annotations

import warnings
from typing import Any

from bench.peers import Floats, Result
from bench.start import Start


def fitted(kind: Any, X: Any, start: Start, iterations: int, **options: Any) -> Any:
    """Run exactly that many EM iterations of an estimator from the start; return it."""
    estimator = kind(
        len(start.weights),
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=start.precisions,
        tol=0.0,
        max_iter=iterations,
        **options,
    )
    return _fitted(estimator, X)


def converged(X: Any, start: Start, tol: float, max_iter: int, **options: Any) -> Any:
    """Run fastgmm from the start until it rests, without a ridge; return the estimator."""
    from fastgmm import GaussianMixture

    given = {"weights_init": start.weights, "means_init": start.means, "precisions_init": start.precisions}
    limits = {"tol": tol, "max_iter": max_iter, "reg_covar": 0.0}
    return _fitted(GaussianMixture(len(start.weights), **given, **limits, **options), X)


def fitted_whole(kind: Any, X: Floats, n_components: int) -> tuple[Result, int]:
    """Fit as a user would who names nothing but K and a seed of 0; return the result and the iterations."""
    estimator = _fitted(kind(n_components, random_state=0), X)
    return result_of(estimator), estimator.n_iter_


def result_of(estimator: Any) -> Result:
    """Return what a fitted estimator found."""
    return Result(float(estimator.lower_bound_), estimator.weights_, estimator.means_, estimator.covariances_)


def _fitted(estimator: Any, X: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: as asked, or a default of 100 iterations may not be enough
        return estimator.fit(X)
