"""RunState: where a run of EM stands between two iterations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.degeneracy import Degeneracy, RepairState
from fastgmm.em.history import History
from fastgmm.em.passes import BOUNDS
from fastgmm.parameters import Parameters

NO_REPAIRS: RepairState = ((), (), ())


@dataclass(frozen=True, eq=False)
class RunState:
    """All that the bits of the iterations to come depend on, besides rows and settings."""

    parameters: Parameters
    """In the coordinates of the rows' frame."""
    previous: float = -np.inf
    """The objective before the first iteration."""
    degenerate: tuple[Degeneracy, ...] = ()
    passed: int = 0
    """Passes that were spent on the start."""
    history: History = field(default_factory=History)
    """Of the complete iterations."""
    repairs: RepairState = NO_REPAIRS
    """See `em.degeneracy.Repairs.state`."""
    passes: dict[str, NDArray[Any]] = field(default_factory=dict)
    """See `em.passes.AbstractPasses.state`; nothing where no pass has been taken."""

    @property
    def passing(self) -> bool:
        """Whether the state holds arrays that the next pass changes, so that it is only true until then."""
        return BOUNDS in self.passes
