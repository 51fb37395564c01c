"""The fastgmm of this checkout."""

from __future__ import annotations

import os
import warnings

import numpy as np

from bench.peers import REG_COVAR, Floats, Result
from bench.start import Start

LABEL = "fastgmm"


def version() -> str:
    """Return the version of the package."""
    import fastgmm

    return str(getattr(fastgmm, "__version__", "checkout"))


def available() -> bool:
    """Import the estimator; say whether fastgmm is there. One that is there and broken raises instead."""
    try:
        import fastgmm
    except ModuleNotFoundError:
        return False
    return fastgmm.GaussianMixture is not None


def threads(n: int) -> dict[str, str]:
    """Return the variables that give Numba n threads."""
    return {"NUMBA_NUM_THREADS": str(n)}


def fit(X: Floats, start: Start, iterations: int) -> Result:
    """Run exactly that many EM iterations from the start."""
    from fastgmm import GaussianMixture

    n_threads = os.environ.get("NUMBA_NUM_THREADS")
    mixture = GaussianMixture(
        len(start.weights),
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=start.precisions,
        tol=0.0,
        max_iter=iterations,
        reg_covar=REG_COVAR,
        n_threads=int(n_threads) if n_threads else None,
        algorithm="dense",  # as the others do it; what bounds save is measured by the section `bounded`
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, as asked
        mixture.fit(X)
    parameters = [np.asarray(a, dtype=np.float64) for a in (mixture.weights_, mixture.means_, mixture.covariances_)]
    return Result(float(mixture.lower_bound_), *parameters)


def fit_whole(X: Floats, n_components: int) -> tuple[Result, int]:
    """Fit as a user would who names nothing but K and a seed of 0; return the result and the iterations."""
    from fastgmm import GaussianMixture

    mixture = GaussianMixture(n_components, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a default of 100 iterations may not be enough
        mixture.fit(X)
    return Result(float(mixture.lower_bound_), mixture.weights_, mixture.means_, mixture.covariances_), mixture.n_iter_
