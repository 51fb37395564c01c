"""scikit-learn's GaussianMixture: NumPy and BLAS, an N×K array of responsibilities."""

from __future__ import annotations

from bench.peers import REG_COVAR, Floats, Result
from bench.peers.estimators import fitted, fitted_whole, result_of
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

    return result_of(fitted(GaussianMixture, X, start, iterations, reg_covar=REG_COVAR))


def fit_whole(X: Floats, n_components: int) -> tuple[Result, int]:
    """Fit as a user would who names nothing but K and a seed of 0; return the result and the iterations."""
    from sklearn.mixture import GaussianMixture

    return fitted_whole(GaussianMixture, X, n_components)
