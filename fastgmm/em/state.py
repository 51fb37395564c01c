"""RunState: where a run of EM stands between two iterations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.degeneracy import Degeneracy, RepairState
from fastgmm.em.history import History
from fastgmm.em.passes import BOUNDS
from fastgmm.parameters import Parameters

Arrays = dict[str, NDArray[Any]]

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
    passes: Arrays = field(default_factory=dict)
    """See `em.passes.AbstractPasses.state`; nothing where no pass has been taken."""

    more: Arrays = field(default_factory=dict)
    """What the walk knows besides: its proposals, its draws, a posterior. See `em.walk.AbstractWalk.state`."""

    @property
    def passing(self) -> bool:
        """Whether the state holds arrays that the next pass changes, so that it is only true until then."""
        return BOUNDS in self.passes


def arrays_of(parameters: Parameters, where: str) -> Arrays:
    """Return the arrays of a mixture by names that begin with `where`."""
    return {f"{where}.{name}": getattr(parameters, name) for name in ("weights", "means", "covariances")}


def parameters_of(arrays: Mapping[str, NDArray[Any]], where: str, form: str) -> Parameters:
    """Return the mixture whose arrays have names that begin with `where`."""
    return Parameters(arrays[f"{where}.weights"], arrays[f"{where}.means"], arrays[f"{where}.covariances"], form)
