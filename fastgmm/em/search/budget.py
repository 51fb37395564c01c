"""Budget: how much a search may spend, in passes over all rows or in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from fastgmm.em.search.meter import Meter
from fastgmm.errors import ParameterError

PASSES = 60.0
"""Default."""


@dataclass(frozen=True, eq=False)
class Budget:
    """What may be spent from now on: `limit` passes that a meter counts, or seconds."""

    meter: Meter
    limit: float
    seconds: bool = False
    _began: float = field(default_factory=perf_counter)
    _before: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "_before", self.meter.passes)

    @property
    def spent(self) -> float:
        """Share of the budget that is gone; above 1 where the last step was larger than the rest."""
        gone = perf_counter() - self._began if self.seconds else self.meter.passes - self._before
        return gone / self.limit

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= 1.0


def parsed(budget: Any) -> tuple[float, bool]:
    """Return limit and whether it is in seconds: of a number of passes, or of a text such as "2.5s".

    Raises
    ------
    ParameterError
        For anything else, and unless it is finite and positive.
    """
    text = isinstance(budget, str) and budget.strip().endswith("s")
    try:
        if isinstance(budget, bool) or (isinstance(budget, str) and not text):
            raise ValueError
        limit = float(budget.strip()[:-1] if text else budget)
    except (TypeError, ValueError):
        limit = -1.0
    if not 0 < limit < float("inf"):
        raise ParameterError(
            "search_budget must be a positive number of passes over all rows, such as 60, or of seconds, such as "
            f"'2.5s'. Got {budget!r} instead."
        )
    return limit, text
