"""scikit-learn's GaussianMixture: NumPy and BLAS, an N×K array of responsibilities."""

from __future__ import annotations

import warnings

from bench.peers import REG_COVAR, Floats, Result
from bench.start import Start

LABEL = "scikit-learn"


def version() -> str:
    """Return the version of the package."""
    import sklearn

    return str(sklearn.__version__)


def available() -> bool:
    """Import the estimator; say whether that worked."""
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError:
        return False
    return GaussianMixture is not None


def threads(n: int) -> dict[str, str]:
    """Return the variables that give OpenMP and BLAS n threads."""
    return {"OMP_NUM_THREADS": str(n), "OPENBLAS_NUM_THREADS": str(n), "MKL_NUM_THREADS": str(n)}


def fit(X: Floats, start: Start, iterations: int) -> Result:
    """Run exactly that many EM iterations from the start, and the one E-step that scikit-learn ends with."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        len(start.weights),
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=start.precisions,
        tol=0.0,
        max_iter=iterations,
        reg_covar=REG_COVAR,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, as asked
        mixture.fit(X)
    return Result(float(mixture.lower_bound_), mixture.weights_, mixture.means_, mixture.covariances_)


def fit_whole(X: Floats, n_components: int) -> tuple[Result, int]:
    """Fit as a user would who names nothing but K and a seed of 0; return the result and the iterations."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(n_components, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a default of 100 iterations may not be enough
        mixture.fit(X)
    return Result(float(mixture.lower_bound_), mixture.weights_, mixture.means_, mixture.covariances_), mixture.n_iter_
