"""Checks of what users may leave to scikit-learn's defaults by None, in its words."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from fastgmm.errors import ParameterError

NUMBER = "a float in the range (0.0, inf)"
ARRAY = "an array-like"


def check_positive(value: Any, name: str, owner: str) -> None:
    """Raise `ParameterError` unless `value` is None or a positive, finite number."""
    if value is not None and not _is_positive(value):
        raise _refuse(name, owner, f"None or {NUMBER}", value)


def check_array_like(value: Any, name: str, owner: str, *, or_number: bool = False) -> None:
    """Raise `ParameterError` unless `value` is None, a sequence or an array, or a positive number if that will do."""
    if value is None or _is_array_like(value) or (or_number and _is_positive(value)):
        return
    raise _refuse(name, owner, f"None, {ARRAY} or {NUMBER}" if or_number else f"None or {ARRAY}", value)


def _is_positive(value: Any) -> bool:
    number: Any = Real
    return isinstance(value, number) and not isinstance(value, bool | np.bool_) and 0 < value < math.inf


def _is_array_like(value: Any) -> bool:
    return hasattr(value, "__array__") or (hasattr(value, "__len__") and not isinstance(value, str | bytes))


def _refuse(name: str, owner: str, wanted: str, value: Any) -> ParameterError:
    return ParameterError(f"The {name!r} parameter of {owner} must be {wanted}. Got {value!r} instead.")
