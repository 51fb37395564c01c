"""The fastgmm of this checkout."""

from __future__ import annotations

import os

from bench.peers import REG_COVAR, Floats, Result
from bench.peers.estimators import fitted, fitted_whole, result_of
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
    options = {"reg_covar": REG_COVAR, "n_threads": int(n_threads) if n_threads else None}
    # Dense, as the others do it; what bounds save is measured by the section `bounded`.
    return result_of(fitted(GaussianMixture, X, start, iterations, algorithm="dense", **options))


def fit_whole(X: Floats, n_components: int) -> tuple[Result, int]:
    """Fit as a user would who names nothing but K and a seed of 0; return the result and the iterations."""
    from fastgmm import GaussianMixture

    return fitted_whole(GaussianMixture, X, n_components)
