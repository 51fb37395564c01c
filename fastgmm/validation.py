"""Checks of what users hand in, before any work starts: what was required, what came, what to do, in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm.errors import DataError, DataTypeError

Floats = NDArray[np.float64]

SURVEY_BYTES = 1 << 20

ABREAST = 1024
"""Values that the extremes of features are formed of at once."""

SMALLEST, LARGEST = 2.0**-510, 2.0**510
"""Range of values whose squares, and the reciprocals of these, are within float64's with some room: about 3e±153."""


def check_rows(
    X: Any, *, min_rows: int = 1, n_features: int | None = None, name: str = "GaussianMixture"
) -> NDArray[Any]:
    """Return X as a two-dimensional array of numbers, copied only if it is not one.

    Finiteness is not checked here: `survey` and `check_finite` read the rows for that.

    Raises
    ------
    DataError, DataTypeError
        If X is not a numeric matrix with at least `min_rows` rows, one column, and `n_features` if given.
    """
    if type(X).__module__.startswith(("scipy.sparse", "cupyx.scipy.sparse")) or hasattr(X, "tocsr"):
        raise DataTypeError(
            "Sparse data was passed, but dense data is required. Use '.toarray()' to convert to a dense numpy array."
        )
    if np.ma.is_masked(X):
        hidden = int(np.ma.getmaskarray(X).sum())
        raise DataTypeError(
            f"Input X is a masked array with {hidden} masked values, which would be used as if they were not masked. "
            "Fill them or remove their rows, for instance by np.ma.compress_rows."
        )
    if _is_complex(array := np.asarray(X)):
        raise DataError(
            f"Complex data not supported: X has dtype {array.dtype}. Fit real and imaginary parts as columns."
        )
    array = _numeric(array)
    _check_shape(array, min_rows, name)
    if n_features is not None and array.shape[1] != n_features:
        raise DataError(
            f"X has {array.shape[1]} features, but {name} is expecting {n_features} features as input. "
            "Pass the columns that were used in fit."
        )
    return array


def _is_complex(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "O":
        return any(isinstance(value, complex | np.complexfloating) for value in array.flat)
    return array.dtype.kind == "c"


def _numeric(array: NDArray[Any]) -> NDArray[Any]:
    """Refuse dtypes without numbers; convert strings and objects that hold some."""
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind in "mM" or array.dtype.names:
        kind = "a structured array" if array.dtype.names else "dates or times"
        raise DataTypeError(
            f"Input X must hold numbers, but has dtype {array.dtype} ({kind}). "
            "Convert each column to float first, for instance seconds since a reference."
        )
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        pass
    for place, value in np.ndenumerate(array):
        _check_cell(place, value)
    raise DataError(f"Input X of dtype {array.dtype} cannot be converted to float64.")


def _check_cell(place: tuple[int, ...], value: Any) -> None:
    """Refuse an entry that is not a number, in the words of ``float``."""
    where = ", ".join(f"{axis} {n}" for axis, n in zip(("row", "column"), place, strict=False))
    remedy = "Encode or drop columns that are not numbers."
    try:
        float(value)
    except TypeError:
        raise DataTypeError(
            f"argument must be a string or a number: X has {value!r:.60} at {where}. {remedy}"
        ) from None
    except ValueError:
        raise DataError(f"could not convert string to float: X has {value!r:.60} at {where}. {remedy}") from None


def _check_shape(array: NDArray[Any], min_rows: int, name: str) -> None:
    if array.ndim < 2:
        kind = "1D array" if array.ndim else "scalar array"
        raise DataError(
            f"Expected 2D array, got {kind} instead: shape {array.shape}. Reshape your data either using "
            "array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it contains a single "
            "sample."
        )
    if array.ndim > 2:
        raise DataError(
            f"Found array with dim {array.ndim}, while dim <= 2 is required by {name}: shape {array.shape}. "
            "Use array.reshape(-1, n_features)."
        )
    for axis, what, least in ((0, "sample(s)", min_rows), (1, "feature(s)", 1)):
        if array.shape[axis] < least:
            raise DataError(
                f"Found array with {array.shape[axis]} {what} (shape={array.shape}) while a minimum of {least} is "
                f"required by {name}."
            )


def check_finite(X: NDArray[Any], first_row: int = 0, name: str = "X") -> None:
    """Raise `DataError` with kind, count and first place if X holds NaN or infinities."""
    if X.dtype.kind in "biu" or _extremes_are_finite(X):
        return
    bad = ~np.isfinite(X)
    if not bad.any():
        return
    row, column = (int(n) for n in np.unravel_index(int(bad.argmax()), X.shape))
    n_nan = int(np.isnan(X).sum())
    n_inf = int(bad.sum()) - n_nan
    what = "NaN" if n_nan else f"infinity or a value too large for dtype('{X.dtype}')"
    counts = " and ".join(f"{n} {kind}" for n, kind in ((n_nan, "NaN"), (n_inf, "infinite")) if n)
    raise DataError(
        f"Input {name} contains {what}: {counts} of {X.size} values, the first at row {first_row + row}, "
        f"column {column}. "
        f"Remove these rows or fill in the values; this is {name}[~np.isfinite({name}).all(axis=1)]."
    )


def _extremes_are_finite(X: NDArray[Any]) -> bool:
    """Whether X is finite, judged by its extremes: NaN and infinities reach those."""
    return X.size == 0 or bool(np.isfinite(X.min()) and np.isfinite(X.max()))


def survey(X: NDArray[Any]) -> tuple[Floats, Floats]:
    """Read all rows once: refuse NaN and infinities; return the least and greatest value of each feature. O(N D)."""
    size = max(1, SURVEY_BYTES // (8 * X.shape[1]))
    low = np.full(X.shape[1], np.inf)
    high = np.full(X.shape[1], -np.inf)
    for start in range(0, len(X), size):
        below, above = extremes(X[start : start + size])
        if not (np.isfinite(below).all() and np.isfinite(above).all()):
            check_finite(X)
        np.minimum(low, below, out=low)
        np.maximum(high, above, out=high)
    return low, high


def extremes(X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least and the greatest value of each feature, (D,), of some MiB of rows; NaN where there is one.

    Rows are laid side by side until they are as wide as vector units like it: 19 times as fast at D = 2, 1.8 at 128.
    """
    n, d = X.shape
    abreast = min(ABREAST // d, n)
    if d == 1 or abreast < 2 or not X.flags.c_contiguous:
        return X.min(axis=0), X.max(axis=0)
    whole = n // abreast * abreast
    wide = X[:whole].reshape(-1, abreast * d)
    rest = [X[whole:]] if whole < n else []
    return (
        np.concatenate([wide.min(axis=0).reshape(abreast, d), *rest]).min(axis=0),
        np.concatenate([wide.max(axis=0).reshape(abreast, d), *rest]).max(axis=0),
    )


def check_range(low: Floats, high: Floats) -> None:
    """Raise `DataError` if a feature's variance, or its reciprocal, would leave float64."""
    reach = high / 2 - low / 2
    for bad, verb in ((reach > LARGEST, "overflow"), ((reach < SMALLEST) & (reach > 0), "underflow")):
        if bad.any():
            column = int(bad.argmax())
            raise DataError(
                f"Column {column} of X ranges from {low[column]:.3g} to {high[column]:.3g}: its variance would {verb} "
                "float64. Change the column's unit."
            )


def check_varies(low: Floats, high: Floats) -> None:
    """Raise `DataError` for a column without variance, where nothing is to be added to it."""
    if (low == high).any():
        column = int((low == high).argmax())
        raise DataError(
            f"Column {column} of X is constant, so with reg_covar=0 no covariance over it is positive definite. "
            "Drop the column or set reg_covar > 0."
        )


WEIGHT_TYPES = ("frequency", "reliability")

WEIGHTS_RUN = 1024
"""Weights are summed in runs of so many, whose sums are added in order: wherever they lie, the same bits."""


def run_sums(values: Floats, run: int = WEIGHTS_RUN) -> list[float]:
    """Return the sums of runs of numbers (n,), of which the last may be short."""
    whole = len(values) // run * run
    sums: list[float] = values[:whole].reshape(-1, run).sum(axis=1).tolist()
    return [*sums, float(values[whole:].sum())] if whole < len(values) else sums


def sum_of_weights(weights: Floats) -> float:
    """Return the sum of all rows' weights (N,)."""
    return float(np.sum(run_sums(weights)))


def check_weight_span(weights: Floats, first_row: int = 0) -> None:
    """Raise `DataError` if weights (n,), of the rows from `first_row` on, are not finite or negative."""
    if not np.isfinite(weights).all():
        row = first_row + int((~np.isfinite(weights)).argmax())
        raise DataError(
            f"Input sample_weight contains NaN or infinity, the first at row {row}; weights must be finite."
        )
    if (weights < 0).any():
        row = int((weights < 0).argmax())
        raise DataError(
            f"Negative values in data passed to `sample_weight`, the first at row {first_row + row}: {weights[row]:g}."
        )


def check_weights(
    sample_weight: ArrayLike | float | None, n_rows: int, weight_type: str = "frequency"
) -> Floats | None:
    """Return the rows' weights as float64 (N,), or None.

    "frequency" weights count rows; "reliability" weights are relative, and scaled so that they sum to the number of
    rows that have a positive one.

    Raises
    ------
    DataError
        If they are not N finite, non-negative numbers, one at least positive.
    """
    if sample_weight is None:
        return None
    try:
        given = np.asarray(sample_weight)
        if given.dtype.kind == "c":
            raise TypeError("complex numbers are not weights")
        weights = np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight must hold one number for each row: {str(error).rstrip('.')}.") from None
    if weights.ndim == 0:
        weights = np.full(n_rows, float(weights))
    if weights.ndim != 1:
        raise DataError(f"Sample weights must be 1D array or scalar, but have shape {weights.shape}.")
    if len(weights) != n_rows:
        raise DataError(f"sample_weight.shape == {weights.shape}, expected {(n_rows,)}: one weight for each row of X.")
    check_weight_span(weights)
    if not weights.any():
        raise DataError("Sample weights must contain at least one non-zero number: every weight is zero.")
    if weight_type == "reliability":
        weights /= weights.max()
        weights *= np.count_nonzero(weights) / sum_of_weights(weights)
    return weights
