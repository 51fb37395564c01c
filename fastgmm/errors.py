"""Errors and warnings that fastgmm raises, and the sentences that scikit-learn's users know."""

from __future__ import annotations

import sys


class FastGMMError(Exception):
    """Base of the errors that only fastgmm has."""


class DataError(FastGMMError, ValueError):
    """Rows that cannot be fitted: their shape, dtype or content, with the place and the remedy."""


class DataTypeError(FastGMMError, TypeError):
    """Rows of a kind that has no numbers in it, or hides some: dates, masks, sparse matrices."""


class ParameterError(FastGMMError, ValueError, TypeError):
    """An estimator's parameter of the wrong kind or out of range (scikit-learn's InvalidParameterError is both too)."""


class DegenerateComponentError(FastGMMError, ValueError):
    """A covariance that is not positive definite."""


class ModelFileError(FastGMMError, ValueError):
    """A file that is not a fastgmm model, or not a whole one."""


class CheckpointError(FastGMMError, ValueError):
    """A checkpoint that a fit cannot go on from: damaged, of other data or settings, or in the way of a new fit."""


class StatisticsError(FastGMMError, ValueError):
    """Statistics that do not belong together."""


class DistributedError(FastGMMError, RuntimeError):
    """A cluster that cannot finish a pass: workers lost, a deadline passed, another version of fastgmm."""


class NotFitted(ValueError, AttributeError):
    """A method that needs fitted parameters was called before `fit` (scikit-learn not loaded)."""


class ConvergenceNote(UserWarning):
    """EM stopped before it converged (scikit-learn not loaded)."""


ILL_DEFINED_COVARIANCE = (
    "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance "
    "caused by singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or "
    "scale the input data."
)

NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or "
    "check for degenerate data."
)


def not_fitted_error() -> type[Exception]:
    """Return scikit-learn's NotFittedError if scikit-learn is loaded, so that its callers catch ours."""
    exceptions = sys.modules.get("sklearn.exceptions")
    return exceptions.NotFittedError if exceptions else NotFitted


def convergence_warning() -> type[Warning]:
    """Return scikit-learn's ConvergenceWarning if scikit-learn is loaded."""
    exceptions = sys.modules.get("sklearn.exceptions")
    return exceptions.ConvergenceWarning if exceptions else ConvergenceNote


def missing_extra(library: str, extra: str) -> ImportError:
    """Say which extra brings an optional library."""
    return ImportError(f"{library} is needed for this and is not installed; run: pip install 'fastgmm[{extra}]'")
