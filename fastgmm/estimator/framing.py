"""From a user's rows to the frame that suits the model: what cannot be fitted is refused; the last fit comes along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastgmm.backend import as_rows
from fastgmm.em.passes import check_algorithm
from fastgmm.errors import DataError
from fastgmm.models import FAMILIES, MODELS, Model
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.validation import check_range, check_varies

if TYPE_CHECKING:
    from fastgmm.estimator.gaussian_mixture import GaussianMixture


def model_of(estimator: GaussianMixture) -> Model:
    """Return the model that an estimator's covariance type names."""
    return MODELS[FAMILIES.get(estimator.covariance_type, estimator.covariance_type)]


def rows_of(estimator: GaussianMixture, X: Any, sample_weight: ArrayLike | None) -> AbstractRows:
    """Check the rows, and put them into a frame that suits the model."""
    rows = as_rows(X, sample_weight, min_rows=2, weight_type=estimator.weight_type)
    if rows.n_rows < estimator.n_components:
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {estimator.n_components}, "
            f"n_samples = {rows.n_rows}"
        )
    check_algorithm(estimator.algorithm, rows.n_features, model_of(estimator).moments)
    return framed(estimator, rows)


def framed(estimator: GaussianMixture, rows: AbstractRows) -> AbstractRows:
    """Refuse rows that no covariance can be fitted to; put them into a frame that suits the model."""
    check_range(rows.low, rows.high)
    model = model_of(estimator)
    if estimator.reg_covar == 0 and not (model.isotropic and estimator.reg_covar_relative):
        _check_varies(estimator, rows)
    return suited(rows, model)


def suited(rows: AbstractRows, model: Model) -> AbstractRows:
    """Put rows into a frame that suits a model."""
    return rows.in_frame(rows.frame.isotropic()) if model.isotropic else rows


def _check_varies(estimator: GaussianMixture, rows: AbstractRows) -> None:
    """Refuse constant columns where a covariance over them is singular: one variance for all columns is not."""
    prior, form = estimator.prior, model_of(estimator).form
    by_itself = prior is not None and not (prior == "mclust" and form in ("full", "tied"))
    if not by_itself and not (form == "spherical" and (rows.low < rows.high).any()):
        check_varies(rows.low, rows.high)


def last_fit(estimator: GaussianMixture, rows: AbstractRows) -> Parameters:
    """Return the last fit's parameters in the rows' frame and the model's form."""
    last = estimator.mixture_.parameters
    if last.form != model_of(estimator).form:
        last = Parameters(last.weights, last.means, last.matrices)
    return rows.frame.enter(last)
