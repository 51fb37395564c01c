from __future__ import annotations

from typing import Any

import numpy as np
import problems
import pytest

from fastgmm.em import fingerprint
from fastgmm.em.fingerprint import difference, of_rows, told
from fastgmm.models.prior import Prior
from fastgmm.rows.memory import ArrayRows

X = problems.drawn(problems.mixture(2, 2), 500)


def test_the_layout_of_rows_makes_no_difference() -> None:
    expected = of_rows(ArrayRows(X))
    wide = np.zeros((500, 4))
    wide[:, 1:3] = X
    for same in (np.asfortranarray(X), wide[:, 1:3], X.copy(), X.astype(">f8")):
        assert of_rows(ArrayRows(same)) == expected


def altered() -> dict[str, tuple[Any, Any]]:
    one = X.copy()
    one[250, 1] = np.nextafter(one[250, 1], 0)
    swapped = X.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    weights = np.ones(500)
    other = weights.copy()
    other[[7, 8]] = 0.5, 1.5
    return {
        "number of rows": (X, X[:-1]),
        "number of features": (X, X[:, :1]),
        "dtype": (X, X.astype(np.float32)),
        "greatest values": (X, X + 1e-9 * (X.max() <= X)),
        "values of the rows": (X, one),
        "values": (X, swapped),
        "weights of the rows": ((X, weights), (X, other)),
        "sum of the weights": (X, (X, weights * 2)),
    }


@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("name", list(altered()))
def test_what_differs_is_named(name: str, some: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if some:
        monkeypatch.setattr(fingerprint, "WHOLE_BYTES", 0)
    here, there = (
        of_rows(ArrayRows(*given) if isinstance(given, tuple) else ArrayRows(given)) for given in altered()[name]
    )
    assert name in difference(here, there)
    assert difference(here, here) == ""


def test_short_values_are_shown_and_long_ones_are_not() -> None:
    here, there = of_rows(ArrayRows(X)), of_rows(ArrayRows(X[:-1]))
    assert "number of rows (500 here, 499 in the checkpoint)" in difference(here, there)
    assert "array" not in difference(of_rows(ArrayRows(X)), of_rows(ArrayRows(X + 1)))


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (1, 1.0),
        (np.float64(1e-3), 1e-3),
        (np.int64(5), 5),
        ([[1, 2]], np.array([[1.0, 2.0]])),
        (np.random.RandomState(1), np.random.RandomState(2)),
        (Prior(np.zeros(2), 0.1, 4, np.eye(2)), Prior([0, 0], 0.1, 4.0, np.eye(2))),
        (None, None),
    ],
)
def test_the_same_value_is_told_the_same(one: Any, same: Any) -> None:
    assert told(one) == told(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1e-3, np.nextafter(1e-3, 1)),
        ("full", "tied"),
        (None, "None of them"),
        ([[1, 2]], [[1], [2]]),
        (Prior(np.zeros(2), 0.1, 4, np.eye(2)), Prior(np.zeros(2), 0.1, 4, 2 * np.eye(2))),
        (3, np.random.RandomState(3)),
    ],
)
def test_other_values_are_told_otherwise(one: Any, other: Any) -> None:
    assert told(one) != told(other)
