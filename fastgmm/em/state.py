"""RunState: where a run of EM stands between two iterations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.passes import BOUNDS
from fastgmm.parameters import Parameters

NO_REPAIRS: tuple[tuple[int, ...], tuple[tuple[int, int], ...]] = ((), ())


@dataclass(frozen=True, eq=False)
class RunState:
    """All that the bits of the iterations to come depend on, besides rows and settings."""

    parameters: Parameters
    """In the coordinates of the rows' frame."""
    lower_bounds: tuple[float, ...] = ()
    """One for each complete iteration."""
    previous: float = -np.inf
    """The objective before the next iteration."""
    degenerate: tuple[Degeneracy, ...] = ()
    repairs: tuple[tuple[int, ...], tuple[tuple[int, int], ...]] = NO_REPAIRS
    """See `em.degeneracy.Repairs.state`."""
    passes: dict[str, NDArray[Any]] = field(default_factory=dict)
    """See `em.passes.AbstractPasses.state`; nothing where no pass has been taken."""

    @property
    def passing(self) -> bool:
        """Whether the state holds arrays that the next pass changes, so that it is only true until then."""
        return BOUNDS in self.passes
