"""Windows: what a task knows of each row, cut to the rows that somebody else sums, and brought back from there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.bounded_task import BoundedTask
from fastgmm.expectation_task import AbstractExpectation
from fastgmm.joint_task import JointTask
from fastgmm.sweep import AbstractTask

Parts = dict[str, NDArray[Any]]
"""Arrays of a run of rows by the names of the fields that hold those of all rows."""

WRITTEN = ("labels", "distances", "log_likelihoods")
"""Fields in which tasks other than expectations leave an entry for each row."""

STATE = ("bounds", "homes", "distances", "settled", "work")


@dataclass(frozen=True, eq=False)
class Window:
    """An array's part, under the numbers that the whole array has."""

    part: NDArray[Any]
    first: int

    def __getitem__(self, span: slice) -> NDArray[Any]:
        return self.part[span.start - self.first : span.stop - self.first]


def bare(task: AbstractTask) -> Any:
    """Return a task without what it knows of each row: the same for everybody."""
    if isinstance(task, JointTask):
        return JointTask(tuple(map(bare, task.tasks)))
    if isinstance(task, BoundedTask):
        return replace(task, state=None)  # type: ignore[arg-type]
    if isinstance(task, AbstractExpectation):
        return replace(task, labels=None)
    fields = {name: np.empty(0, _whole(task, name).dtype) for name in _written(task)}
    return replace(task, **fields) if fields else task  # type: ignore[type-var]


def lent(task: AbstractTask, start: int, stop: int) -> Parts:
    """Return what the kernel reads of the rows start … stop−1, and what it is to write there, by names of fields."""
    if isinstance(task, JointTask):
        return {
            f"{number}.{name}": part
            for number, one in enumerate(task.tasks)
            for name, part in lent(one, start, stop).items()
        }
    if isinstance(task, BoundedTask):
        return {name: getattr(task.state, name)[_span(task, name, start, stop)] for name in STATE}
    if isinstance(task, AbstractExpectation):
        return {} if task.labels is None else {"labels": task.labels[start:stop]}
    # An array that is only written need not travel: its dtype does.
    return {name: np.empty(0, _whole(task, name).dtype) for name in _written(task)}


def dressed(task: Any, parts: Parts, start: int, stop: int) -> tuple[Any, Parts]:
    """Give a bare task the parts of a run; return it, and the arrays that its kernel will have written."""
    if isinstance(task, JointTask):
        each = [dressed(one, _of(number, parts), start, stop) for number, one in enumerate(task.tasks)]
        written = {f"{number}.{name}": array for number, (_, some) in enumerate(each) for name, array in some.items()}
        return JointTask(tuple(one for one, _ in each)), written
    if isinstance(task, BoundedTask):
        arrays = {name: np.array(part) for name, part in parts.items()}  # what travelled may be read-only
        windows = {name: Window(part, _span(task, name, start, stop).start) for name, part in arrays.items()}
        return replace(task, state=SimpleNamespace(**windows)), arrays  # type: ignore[arg-type]
    if isinstance(task, AbstractExpectation):
        fields: dict[str, Any] = {name: Window(part, start) for name, part in parts.items()}
        return replace(task, **fields), {}
    arrays = {name: np.empty(stop - start, part.dtype) for name, part in parts.items()}
    mine: dict[str, Any] = {name: Window(part, start) for name, part in arrays.items()}
    for name in WRITTEN:  # kernels take none but writable ones, even if they are empty
        if hasattr(task, name) and name not in arrays:
            mine[name] = np.empty(0, getattr(task, name).dtype)
    return replace(task, **mine), arrays


def bring_back(task: AbstractTask, written: Parts, start: int, stop: int) -> None:
    """Write what came back of a run of rows into the arrays of all rows."""
    if isinstance(task, JointTask):
        for number, one in enumerate(task.tasks):
            bring_back(one, _of(number, written), start, stop)
        return
    if isinstance(task, BoundedTask):
        for name, part in written.items():
            getattr(task.state, name)[_span(task, name, start, stop)] = part
        return
    for name, part in written.items():
        _whole(task, name)[start:stop] = part


def _of(number: int, parts: Parts) -> Parts:
    """Return the parts of one task of a joint one."""
    start = f"{number}."
    return {name.removeprefix(start): part for name, part in parts.items() if name.startswith(start)}


def _written(task: AbstractTask) -> list[str]:
    """Return the fields of a task that its kernel writes an entry of for each row."""
    return [name for name in WRITTEN if getattr(task, name, np.empty(0)).size]


def _whole(task: AbstractTask, name: str) -> NDArray[Any]:
    return getattr(task, name)


def _span(task: BoundedTask, name: str, start: int, stop: int) -> slice:
    """Return where the rows' numbers lie in an array of the state: K bounds a row, in whole steps; work by blocks."""
    from fastgmm.kernels.layout import STEP

    k = task.n_components
    if name == "work":
        return slice(start // task.block, -(-stop // task.block))
    return slice(start * k, -(-stop // STEP) * STEP * k) if name == "bounds" else slice(start, stop)
