"""Checkpoint: where a fit stands, in a data-only file that is replaced whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastgmm import tensors
from fastgmm.em.convergence import Status
from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.history import History
from fastgmm.em.run import RunResult
from fastgmm.em.state import RunState
from fastgmm.errors import CheckpointError
from fastgmm.files import write_atomically
from fastgmm.parameters import Parameters

FORMAT = "fastgmm-checkpoint-1"

ACTIONS = ("regularised", "reseeded", "removed")

GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
"""NumPy's bit generators, by the names in their states."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that the rest of a fit depends on, besides its rows and settings, of which it has fingerprints."""

    data: dict[str, str]
    """Fingerprint of the rows, see `em.fingerprint`."""
    settings: dict[str, str]
    runs: int
    """How many the fit consists of."""
    rng: dict[str, Any]
    """What the next start is drawn from, see `generator_state`."""
    restart: int = 0
    """The run that is under way, or is to begin."""
    state: RunState | None = None
    """Where it stands; None: it has no start yet."""
    best: RunResult | None = None
    """Of the runs that ended."""
    finished: bool = False

    def to_bytes(self) -> bytes:
        """Return a data-only serialisation: the same bits come back from `from_bytes`."""
        facts: dict[str, Any] = {
            name: getattr(self, name) for name in ("data", "settings", "runs", "rng", "restart", "finished")
        }
        arrays: Arrays = {}
        if self.state is not None:
            facts["state"] = {"form": self.state.parameters.form, "repairs": self.state.repairs}
            arrays |= _of_state(self.state)
        if self.best is not None:
            facts["best"] = {"form": self.best.parameters.form, "status": self.best.status.name}
            arrays |= _of_result(self.best)
        return tensors.pack(arrays, {"format": FORMAT, "facts": json.dumps(facts)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote; raise `CheckpointError` on anything else."""
        try:
            arrays, metadata = tensors.unpack(content)
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
            facts = json.loads(metadata["facts"])
            state, best = facts.pop("state", None), facts.pop("best", None)
            return cls(
                **facts,
                state=None if state is None else _to_state(arrays, **state),
                best=None if best is None else _to_result(arrays, **best),
            )
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0].rstrip(".")
            raise CheckpointError(f"not a usable fastgmm checkpoint: {what}.") from None


def save(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Replace the file at `path`, whole or not at all; raise OSError if that cannot be done."""
    write_atomically(path, checkpoint.to_bytes())


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    CheckpointError
        If the file is not a whole, unaltered checkpoint; the message says why.
    OSError
        If it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise CheckpointError(f"{path} is not a file, so no checkpoint; name another path.")
    try:
        return Checkpoint.from_bytes(Path(path).read_bytes())
    except CheckpointError as error:
        raise CheckpointError(f"{path} is {error} Remove it to begin anew, or name another path.") from None


def generator_state(rng: np.random.RandomState) -> dict[str, Any]:
    """Return the state of a generator in what JSON can hold."""
    return _plain(rng.get_state(legacy=False))


def generator(state: dict[str, Any]) -> np.random.RandomState:
    """Return a generator that goes on from a state."""
    try:
        if state["bit_generator"] not in GENERATORS:
            raise ValueError(f"{state['bit_generator']!r} is no bit generator of NumPy's")
        rng = np.random.RandomState(getattr(np.random, state["bit_generator"])())
        rng.set_state(state)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise CheckpointError(f"the checkpoint's generator of random numbers cannot be restored: {error}.") from None
    return rng


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


# --- parts ---


def _of_parameters(parameters: Parameters, where: str) -> Arrays:
    return {f"{where}.{name}": getattr(parameters, name) for name in ("weights", "means", "covariances")}


def _to_parameters(arrays: Arrays, where: str, form: str) -> Parameters:
    return Parameters(arrays[f"{where}.weights"], arrays[f"{where}.means"], arrays[f"{where}.covariances"], form)


def _of_collapses(degenerate: tuple[Degeneracy, ...]) -> NDArray[np.int64]:
    found = [(one.iteration, one.component, ACTIONS.index(one.action)) for one in degenerate]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _to_collapses(table: NDArray[np.int64]) -> tuple[Degeneracy, ...]:
    return tuple(Degeneracy(int(i), int(k), ACTIONS[action]) for i, k, action in table)


def _of_history(history: History, where: str) -> Arrays:
    return {f"{where}.history.{name}": array for name, array in history.arrays().items()}


def _to_history(arrays: Arrays, where: str) -> History:
    return History(*(arrays[f"{where}.history.{name}"].tolist() for name in History().arrays()))


def _of_state(state: RunState) -> Arrays:
    return {
        **_of_parameters(state.parameters, "state"),
        **_of_history(state.history, "state"),
        "state.previous": np.array(state.previous),
        "state.passed": np.array(state.passed, dtype=np.int64),
        "state.degenerate": _of_collapses(state.degenerate),
        **{f"passes.{name}": array for name, array in state.passes.items()},
    }


def _to_state(arrays: Arrays, form: str, repairs: Any) -> RunState:
    told, reseeds, *more = repairs
    removed = more[0] if more else ()
    return RunState(
        _to_parameters(arrays, "state", form),
        float(arrays["state.previous"]),
        _to_collapses(arrays["state.degenerate"]),
        int(arrays["state.passed"]),
        _to_history(arrays, "state"),
        (tuple(told), tuple((k, n) for k, n in reseeds), tuple(tuple(place) for place in removed)),
        {name.removeprefix("passes."): array for name, array in arrays.items() if name.startswith("passes.")},
    )


def _of_result(result: RunResult) -> Arrays:
    return {
        **_of_parameters(result.parameters, "best"),
        "best.lower_bound": np.array(result.lower_bound),
        **_of_history(result.history, "best"),
        "best.degenerate": _of_collapses(result.degenerate),
    }


def _to_result(arrays: Arrays, form: str, status: str) -> RunResult:
    history = _to_history(arrays, "best")
    return RunResult(
        _to_parameters(arrays, "best", form),
        float(arrays["best.lower_bound"]),
        tuple(history.lower_bound),
        Status[status],
        _to_collapses(arrays["best.degenerate"]),
        history,
    )
