"""Names of features: where they come from, and that they stay the same, as scikit-learn has it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DataError


def names_of(X: Any) -> NDArray[np.object_] | None:
    """Return the column names of a data frame if all are strings, else None."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = list(columns)
    kinds = {type(name).__name__ for name in names}
    if kinds == {"str"}:
        return np.array(names, dtype=object)
    if "str" in kinds:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your input has "
            f"{sorted(kinds)} as feature name / column name types. Convert them by X.columns = X.columns.astype(str)."
        )
    return None


def remember(estimator: Any, names: NDArray[np.object_] | None) -> None:
    """Set ``feature_names_in_``, or forget that of an earlier fit."""
    if names is not None:
        estimator.feature_names_in_ = names
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def check(estimator: Any, X: Any) -> None:
    """Raise if X has other column names than the fit; warn if only one of the two has names."""
    fitted, names = getattr(estimator, "feature_names_in_", None), names_of(X)
    owner = type(estimator).__name__
    if X is None or (fitted is None and names is None):
        return
    if fitted is None:
        warnings.warn(f"X has feature names, but {owner} was fitted without feature names", stacklevel=4)
    elif names is None:
        warnings.warn(f"X does not have valid feature names, but {owner} was fitted with feature names", stacklevel=4)
    elif list(fitted) != list(names):
        unseen = [name for name in names if name not in set(fitted)]
        missing = [name for name in fitted if name not in set(names)]
        detail = f"unseen: {unseen[:5]}; missing: {missing[:5]}" if unseen or missing else "they are in another order"
        raise DataError(f"The feature names should match those that were passed during fit: {detail}.")
