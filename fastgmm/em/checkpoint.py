"""Checkpoint: where a fit stands, in a data-only file that is replaced whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastgmm import tensors
from fastgmm.em.convergence import Status
from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.history import History
from fastgmm.em.run import RunResult
from fastgmm.em.state import Arrays, RunState, arrays_of, parameters_of
from fastgmm.errors import CheckpointError
from fastgmm.files import write_atomically

FORMAT = "fastgmm-checkpoint-2"

OLD_FORMAT = "fastgmm-checkpoint-1"
"""Of plain EM, one run after the other."""

FACTS = ("data", "settings", "runs", "rng", "made", "best_run", "finished", "seed")

ACTIONS = ("regularised", "reseeded", "removed")

GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
"""NumPy's bit generators, by the names in their states."""


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
    made: int = 0
    """Runs that have, or had, a start."""
    states: dict[int, RunState] = field(default_factory=dict)
    """Where the runs stand that are under way, by their numbers."""
    best: RunResult | None = None
    """Of the runs that ended."""
    best_run: int = 0
    """Its number."""
    finished: bool = False
    seed: int = 0
    """Of draws, which a fit without a seed of its own took from somewhere."""

    @property
    def restart(self) -> int:
        """The first run that is under way, or is to begin."""
        return min(self.states, default=self.made)

    @property
    def state(self) -> RunState | None:
        """Where that run stands; None: it has no start yet."""
        return self.states.get(self.restart)

    def to_bytes(self) -> bytes:
        """Return a data-only serialisation: the same bits come back from `from_bytes`."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in FACTS}
        arrays: Arrays = {}
        facts["states"] = [
            {"number": number, "form": state.parameters.form, "repairs": state.repairs}
            for number, state in sorted(self.states.items())
        ]
        for number, state in self.states.items():
            arrays |= _of_state(state, f"run{number}")
        if self.best is not None:
            facts["best"] = {"form": self.best.parameters.form, "status": self.best.status.name}
            arrays |= _of_result(self.best)
        return tensors.pack(arrays, {"format": FORMAT, "facts": json.dumps(facts)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote; raise `CheckpointError` on anything else."""
        try:
            arrays, metadata = tensors.unpack(content)
            if metadata.get("format") not in (FORMAT, OLD_FORMAT):
                raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
            facts = json.loads(metadata["facts"])
            if metadata["format"] == OLD_FORMAT:
                facts, arrays = _renewed(facts, arrays)
            states, best = facts.pop("states"), facts.pop("best", None)
            return cls(
                **facts,
                states={one["number"]: _to_state(arrays, **one) for one in states},
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


def _renewed(facts: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
    """Return what an old file holds as a new one would."""
    state, restart = facts.pop("state", None), facts.pop("restart")
    facts["made"] = restart + (state is not None)
    facts["states"] = [] if state is None else [{"number": restart, **state}]
    where = f"run{restart}"
    names = {"state": where, "passes": f"{where}.passes"}
    return facts, {
        (f"{names[first]}.{rest}" if (first := name.partition(".")[0]) in names else name): array
        for name, array in arrays.items()
        for rest in [name.partition(".")[2]]
    }


# --- parts ---


def _under(arrays: Arrays, where: str) -> Arrays:
    """Return the arrays whose names begin with `where`, without it."""
    return {name.removeprefix(where): array for name, array in arrays.items() if name.startswith(where)}


def _of_collapses(degenerate: tuple[Degeneracy, ...]) -> NDArray[np.int64]:
    found = [(one.iteration, one.component, ACTIONS.index(one.action)) for one in degenerate]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _to_collapses(table: NDArray[np.int64]) -> tuple[Degeneracy, ...]:
    return tuple(Degeneracy(int(i), int(k), ACTIONS[action]) for i, k, action in table)


def _of_history(history: History, where: str) -> Arrays:
    return {f"{where}.history.{name}": array for name, array in history.arrays().items()}


def _to_history(arrays: Arrays, where: str) -> History:
    return History(*(arrays[f"{where}.history.{name}"].tolist() for name in History().arrays()))


def _of_state(state: RunState, where: str) -> Arrays:
    return {
        **arrays_of(state.parameters, where),
        **_of_history(state.history, where),
        f"{where}.previous": np.array(state.previous),
        f"{where}.passed": np.array(state.passed, dtype=np.int64),
        f"{where}.degenerate": _of_collapses(state.degenerate),
        **{f"{where}.passes.{name}": array for name, array in state.passes.items()},
        **{f"{where}.more.{name}": array for name, array in state.more.items()},
    }


def _to_state(arrays: Arrays, number: int, form: str, repairs: Any) -> RunState:
    where, (told, reseeds, *more) = f"run{number}", repairs
    removed = more[0] if more else ()
    return RunState(
        parameters_of(arrays, where, form),
        float(arrays[f"{where}.previous"]),
        _to_collapses(arrays[f"{where}.degenerate"]),
        int(arrays[f"{where}.passed"]),
        _to_history(arrays, where),
        (tuple(told), tuple((k, n) for k, n in reseeds), tuple(tuple(place) for place in removed)),
        _under(arrays, f"{where}.passes."),
        _under(arrays, f"{where}.more."),
    )


def _of_result(result: RunResult) -> Arrays:
    return {
        **arrays_of(result.parameters, "best"),
        "best.lower_bound": np.array(result.lower_bound),
        **_of_history(result.history, "best"),
        "best.degenerate": _of_collapses(result.degenerate),
        **{f"best.more.{name}": array for name, array in result.more.items()},
    }


def _to_result(arrays: Arrays, form: str, status: str) -> RunResult:
    history = _to_history(arrays, "best")
    return RunResult(
        parameters_of(arrays, "best", form),
        float(arrays["best.lower_bound"]),
        tuple(history.lower_bound),
        Status[status],
        _to_collapses(arrays["best.degenerate"]),
        history,
        _under(arrays, "best.more."),
    )
