"""Checks of an estimator's parameters, in scikit-learn's words."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from fastgmm.errors import ParameterError


def _refuse(name: str, owner: str, wanted: str, value: Any) -> ParameterError:
    return ParameterError(f"The {name!r} parameter of {owner} must be {wanted}. Got {value!r} instead.")


def check_number(value: Any, name: str, owner: str, kind: type, low: float) -> None:
    """Raise `ParameterError` in scikit-learn's words unless `value` is an int (or float) in [low, ∞)."""
    numeric: Any = Integral if kind is int else Real
    if isinstance(value, numeric) and not isinstance(value, bool | np.bool_) and value >= low:
        return
    wanted = f"an int in the range [{low:g}, inf)" if kind is int else f"a float in the range [{low:.1f}, inf)"
    raise _refuse(name, owner, wanted, value)


def check_choice(value: Any, name: str, owner: str, choices: tuple[str, ...]) -> None:
    """Raise `ParameterError` in scikit-learn's words unless `value` is one of `choices`."""
    if not (isinstance(value, str) and value in choices):
        options = ", ".join(repr(choice) for choice in sorted(choices))
        raise _refuse(name, owner, f"a str among {{{options}}}", value)


def check_array(value: Any, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Return a parameter as a float64 array; ValueError in scikit-learn's words for another shape, NaN or infinity."""
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"The parameter '{name}' contains NaN or infinity; every entry must be finite.")
    return array


def check_boolean(value: Any, name: str, owner: str) -> None:
    """Raise `ParameterError` in scikit-learn's words unless `value` is a boolean."""
    if not isinstance(value, bool | np.bool_):
        raise _refuse(name, owner, "an instance of 'bool' or an instance of 'numpy.bool'", value)


def check_verbose(value: Any, name: str, owner: str) -> None:
    """Raise `ParameterError` in scikit-learn's words unless `value` is a boolean or an int from 0."""
    kinds: Any = (bool, np.bool_, Integral)
    if isinstance(value, kinds) and int(value) >= 0:
        return
    wanted = "an int in the range [0, inf), an instance of 'bool' or an instance of 'numpy.bool'"
    raise _refuse(name, owner, wanted, value)


class _Unseeded(ISeedSequence):
    """What a generator begins with that is seeded at once."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """Return ones."""
        return np.ones(n_words, dtype)


UNSEEDED: Any = _Unseeded()


def _seeded(seed: int) -> np.random.RandomState:
    """Return ``RandomState(seed)``, which would collect entropy before: 64 µs, and 22 so."""
    rng = np.random.RandomState(np.random.MT19937(UNSEEDED))
    rng.seed(seed)
    return rng


def check_random_state(seed: Any, owner: str) -> None:
    """Raise `ParameterError` in scikit-learn's words unless `random_state` takes `seed`."""
    if not _is_seed(seed):
        random_state(seed, owner)


def _is_seed(seed: Any) -> bool:
    whole: Any = Integral
    return isinstance(seed, whole) and not isinstance(seed, bool) and 0 <= seed < 1 << 32


def random_state(seed: Any, owner: str) -> np.random.RandomState:
    """Return a RandomState as scikit-learn would; a Generator is accepted too, and seeds one."""
    if seed is None or seed is np.random:
        return np.random.mtrand._rand
    if isinstance(seed, np.random.Generator):
        return np.random.RandomState(int(seed.integers(1 << 32)))
    if _is_seed(seed):
        return _seeded(int(seed))
    if isinstance(seed, np.random.RandomState):
        return seed
    wanted = "an int in the range [0, 4294967295], an instance of 'numpy.random.mtrand.RandomState' or None"
    raise _refuse("random_state", owner, wanted, seed)
