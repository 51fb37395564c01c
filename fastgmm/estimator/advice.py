"""What a fit should tell its user: that it did not converge, or that its ridge drowns the data."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from fastgmm import errors
from fastgmm.em.convergence import Status
from fastgmm.em.degeneracy import EMPTY
from fastgmm.em.run import RunResult
from fastgmm.rows.base import AbstractRows


def warn(result: RunResult, rows: AbstractRows, ridge: NDArray[np.float64], max_iter: int, stacklevel: int) -> None:
    """Warn of what is wrong with a run's result; `ridge` (D,) is in the rows' frame."""
    if result.status is Status.MAX_ITER and max_iter > 0:
        warnings.warn(errors.NOT_CONVERGED, errors.convergence_warning(), stacklevel=stacklevel)
    weights = result.parameters.weights
    empty = int((weights <= EMPTY * weights.sum()).sum())
    if empty and result.n_iter:
        warnings.warn(
            f"{empty} of {len(weights)} components have no row left. Where X has fewer distinct rows than components, "
            "use fewer; on_degenerate='remove' drops such components, 'reseed' starts them again.",
            errors.convergence_warning(),
            stacklevel=stacklevel,
        )
        return
    drowned = drowned_by(ridge, result, rows)
    if drowned.any():
        k, d = (int(n) for n in np.argwhere(drowned)[0])
        count = int(drowned.any(axis=1).sum())
        warnings.warn(
            f"More than half of a variance is the ridge that was added to it, in {count} of {len(drowned)} components, "
            f"first in component {k}, feature {d}: the fit tells of reg_covar there, not of the rows. Use a smaller "
            "reg_covar (reg_covar_relative does not depend on the unit), fewer components, or rows in another unit.",
            UserWarning,
            stacklevel=stacklevel,
        )


def drowned_by(ridge: NDArray[np.float64], result: RunResult, rows: AbstractRows) -> NDArray[np.bool_]:
    """Return which variances (K, D) are below the ridge without it. A feature that does not vary has no other one."""
    if not result.n_iter:
        return np.zeros(result.parameters.means.shape, dtype=bool)
    return (result.parameters.variances < 2 * ridge) & (rows.low < rows.high)
