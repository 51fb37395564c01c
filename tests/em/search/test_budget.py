from __future__ import annotations

import time

import pytest

from fastgmm.em.search.budget import Budget, parsed
from fastgmm.em.search.meter import Meter
from fastgmm.errors import ParameterError


def test_numbers_are_passes_and_texts_seconds() -> None:
    assert parsed(60) == (60.0, False)
    assert parsed("2.5s") == parsed(" 2.5 s") == (2.5, True)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "60", "s", "-1s", True, None, [1]])
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(ParameterError, match="search_budget must be a positive number of passes"):
        parsed(wrong)


def test_a_budget_counts_from_when_it_is_made() -> None:
    meter = Meter(10, 2)
    meter.count(10, 2)
    budget = Budget(meter, 4.0)
    assert budget.spent == 0.0
    meter.count(20, 2)
    assert (budget.spent, budget.over) == (0.5, False)
    meter.count(10, 4)
    assert budget.over


def test_seconds_run() -> None:
    budget = Budget(Meter(1, 1), 0.01, seconds=True)
    time.sleep(0.02)
    assert budget.over
