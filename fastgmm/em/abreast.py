"""Runs abreast: several runs on rows that are dear to read, each pass over which serves all of them.

Each run works by itself, and stops where it needs a sum over the rows; when all have stopped, one sweep forms all sums.
A sum has the bits that it would have alone, so has each run. Whatever has an effect outside (callbacks, checkpoints)
is called by the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.baton import Ask, Baton, Ended
from fastgmm.em.passes import BUDGET, FEWEST_FEATURES_AUTO
from fastgmm.em.run import Interrupted
from fastgmm.frame import Frame
from fastgmm.joint_task import JointTask, joined
from fastgmm.rows.base import AbstractRows, Floats, Span
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import AbstractTask
from fastgmm.threads import Team

SUM_BYTES = 32 << 20
"""What the sums of all runs abreast may take: a node of the tree, as it travels."""


@dataclass(frozen=True)
class Call:
    """Something that the caller is to do."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


class SharedRows(AbstractRows):
    """Rows as one of the runs sees them: sums are asked for."""

    def __init__(self, rows: AbstractRows, ask: Ask) -> None:
        self._rows, self._ask = rows, ask
        for name in ("n_rows", "n_features", "dtype", "frame", "low", "high", "weight", "counted", "ordinary"):
            setattr(self, name, getattr(rows, name))

    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Refuse: each run would walk for itself."""
        raise NotImplementedError("rows that runs share are summed by tasks.")

    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array."""
        taken: tuple[Floats, Floats] = self._ask(Call(self._rows.take, (indices,)))
        return taken

    def sweep(self, task: AbstractTask, team: Team) -> Floats:
        """Ask for a task's sums."""
        self.swept += 1
        sums: Floats = self._ask(task)
        return sums

    def whole(self, frame: Frame, team: Team) -> SufficientStatistics:
        """Return the statistics of all rows as one component, which the first run that asks has formed for all."""
        before = self._rows.swept
        found: SufficientStatistics = self._ask(Call(self._rows.whole, (frame, team)))
        self.swept += self._rows.swept - before
        return found

    def in_frame(self, frame: Frame) -> AbstractRows:
        """Return the same rows in another frame."""
        rows = copy(self)
        rows.frame = frame
        return rows


Result = TypeVar("Result")

Job = Callable[[AbstractRows, Ask], Result]
"""A run of rows that it shares, and of what asks the caller for a `Call`."""


class Abreast(Generic[Result]):
    """The runs under way, by their numbers."""

    def __init__(self, rows: AbstractRows, team: Team) -> None:
        self._rows, self._team = rows, team
        self._runs: dict[int, Baton] = {}
        self._tasks: dict[int, AbstractTask] = {}
        self.last = 0
        """The run that worked last."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all runs, whatever they do."""
        for run in self._runs.values():
            run.leave()

    def results(
        self, jobs: Iterator[tuple[int, int, Job[Result]]], between: Callable[[], object] = lambda: None
    ) -> Iterator[tuple[int, Result]]:
        """Yield the number and result of each job that ends; one that has ended makes room for the next.

        A job comes with its number and how many may be under way from then on. `between` is called before each sweep.
        """
        width = 1
        while True:
            while len(self._runs) < width and (following := next(jobs, None)) is not None:
                number, width, job = following
                found = self._begin(number, job)
                if found is not None:
                    yield number, found
            between()
            if not self._runs:
                return
            yield from self._round()

    def _begin(self, number: int, job: Job[Result]) -> Result | None:
        """Let a run work until it needs a sum; return its result if it needs none."""
        self._runs[number] = Baton(lambda ask: job(SharedRows(self._rows, ask), ask))
        return self._advance(number, None)

    def _round(self) -> Iterator[tuple[int, Result]]:
        """Sweep once for all runs, and let each work until it needs the next sum; yield those that end."""
        numbers = sorted(self._tasks)
        sums = dict(zip(numbers, self._sums([self._tasks[number] for number in numbers]), strict=True))
        for number in numbers:
            found = self._advance(number, sums[number])
            if found is not None:
                yield number, found

    def _sums(self, tasks: list[AbstractTask]) -> list[Floats]:
        found: list[Floats] = [np.empty(0)] * len(tasks)
        for some in joined(tasks):
            if len(some) == 1:
                found[some[0]] = self._rows.sweep(tasks[some[0]], self._team)
                continue
            task = JointTask(tuple(tasks[i] for i in some))
            for i, sums in zip(some, task.split(self._rows.sweep(task, self._team)), strict=True):
                found[i] = sums
        return found

    def _advance(self, number: int, answer: Any) -> Result | None:
        self.last, run, error = number, self._runs[number], None
        self._tasks.pop(number, None)
        try:
            while isinstance(question := run.send(answer, error), Call):
                answer, error = self._called(question)
        except Ended as end:
            del self._runs[number]
            found: Result = end.value
            return found
        except BaseException:
            if run.over:  # and not Ctrl-C while it works
                del self._runs[number]
            raise
        self._tasks[number] = question
        return None

    @staticmethod
    def _called(question: Call) -> tuple[Any, BaseException | None]:
        try:
            return question.function(*question.arguments), None
        except BaseException as error:  # is the run's, which may have a result to add
            return None, error

    def interrupt(self) -> Iterator[tuple[int, Any]]:
        """End all runs as Ctrl-C does; yield what those have found that have found anything."""
        for number, run in list(self._runs.items()):
            try:
                run.interrupt(KeyboardInterrupt())
            except Interrupted as stop:
                yield number, stop.result
            except Ended as end:
                yield number, end.value
            except KeyboardInterrupt:
                pass
        self._runs = {}


def abreast(rows: AbstractRows, n_components: int, algorithm: str) -> int:
    """Return how many runs the rows can serve at a time: one where they lie in memory."""
    if not rows.costly:
        return 1
    d, bounds = rows.n_features, 4 * rows.n_rows * n_components
    width = SUM_BYTES // (4 * n_components * (d + 1) * (d + 2))
    if algorithm == "bounded" or (algorithm == "auto" and d >= FEWEST_FEATURES_AUTO and bounds <= BUDGET):
        width = min(width, BUDGET // bounds)
    return max(1, width)
