"""Restarts: several starts, the best run kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter

from fastgmm.em.abreast import Abreast, Call, Job, abreast
from fastgmm.em.baton import Ask
from fastgmm.em.callbacks import Callback
from fastgmm.em.convergence import Status
from fastgmm.em.recorder import Recorder
from fastgmm.em.run import AbstractSettings, Interrupted, RunResult, Start, run
from fastgmm.em.state import RunState
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team


def best_run(
    rows: AbstractRows,
    starts: list[Callable[[], Start]],
    settings: AbstractSettings,
    team: Team,
    callback: Callback | None = None,
    previous: float = float("-inf"),
    ended: Callable[[int, RunResult], object] | None = None,
    started: Callable[[int, Start], object] | None = None,
    recorder: Recorder | None = None,
) -> RunResult:
    """Run from each start and return the run with the largest objective, the first of equals.

    `started` is told each run's number and start, `ended` its number and result. `recorder` writes checkpoints; where
    its fit was begun before, this one goes on from there.
    On rows that are dear to read, runs go side by side, with one pass for all of them: the same runs, bit for bit,
    whose iterations `callback` is told of in turn. A callback that stops the fit then ends all of them.
    On Ctrl-C `Interrupted` carries the best run so far, the interrupted one included.
    """
    runs = Runs(rows, starts, previous, ended, started, recorder)
    if len(starts) > 1 and rows.costly:
        return _side_by_side(rows, runs, settings, team, callback)
    began = perf_counter()
    try:
        for number, state in runs:

            def record(now: RunState, number: int = number) -> None:
                runs.record(number, now)
                runs.write()

            found = run(
                rows, state.parameters, settings, team, restart=number, began=began, callback=callback, resumed=state,
                record=None if recorder is None else record,
            )  # fmt: skip
            runs.end(number, found)
            runs.write()
            if found.status is Status.STOPPED:
                break
    except Interrupted as stop:  # from a run, or from a search for a start
        raise Interrupted(runs.better(runs.latest, stop.result)) from None
    except KeyboardInterrupt:
        if runs.best is None:
            raise
        raise Interrupted(runs.best) from None
    assert runs.best is not None  # there is a start at least
    return runs.best


def _side_by_side(
    rows: AbstractRows, runs: Runs, settings: AbstractSettings, team: Team, callback: Callback | None
) -> RunResult:
    """Run as many at a time as the rows can serve."""
    began = perf_counter()

    def job(number: int, state: RunState) -> Job[RunResult]:
        def work(mine: AbstractRows, ask: Ask) -> RunResult:
            return run(
                mine, state.parameters, settings, team, restart=number, began=began, resumed=state,
                callback=None if callback is None else lambda done: ask(Call(callback, (done,))),
                record=lambda now: runs.record(number, now),
            )  # fmt: skip

        return work

    def jobs() -> Iterator[tuple[int, int, Job[RunResult]]]:
        for number, state in runs:
            yield number, abreast(rows, state.parameters.n_components, settings.algorithm), job(number, state)

    with Abreast[RunResult](rows, team) as group:
        try:
            for number, found in group.results(jobs(), between=runs.write):
                runs.end(number, found)
                if found.status is Status.STOPPED:
                    return _ended(runs, group, Status.STOPPED)
        except Interrupted as stop:
            runs.best = runs.better(group.last, stop.result)
            raise Interrupted(_ended(runs, group, Status.INTERRUPTED)) from None
        except KeyboardInterrupt:
            raise Interrupted(_ended(runs, group, Status.INTERRUPTED)) from None
    assert runs.best is not None
    return runs.best


def _ended(runs: Runs, group: Abreast[RunResult], status: Status) -> RunResult:
    """End all runs, and return the best of what they found; KeyboardInterrupt if none has found anything."""
    for number, found in group.interrupt():
        runs.best = runs.better(number, replace(found, status=status))
    if runs.best is None:
        raise KeyboardInterrupt
    return runs.best


class Runs:
    """The runs of a fit, in order: what each begins with, which was best, and what the recorder is told of them."""

    def __init__(
        self,
        rows: AbstractRows,
        starts: list[Callable[[], Start]],
        previous: float,
        ended: Callable[[int, RunResult], object] | None,
        started: Callable[[int, Start], object] | None,
        recorder: Recorder | None,
    ) -> None:
        self._rows, self._starts, self._previous = rows, starts, previous
        self._ended, self._started, self._recorder = ended, started, recorder
        self.best: RunResult | None = None
        self._best_run = 0
        self.latest = 0
        """Number of the run that was begun last, or whose start is being made."""
        if recorder is not None:
            self.best, self._best_run = recorder.now.best, recorder.now.best_run

    def __iter__(self) -> Iterator[tuple[int, RunState]]:
        """Yield the number of each run and where it begins: those that are under way, then those that are not."""
        made = 0
        if self._recorder is not None:
            for number, state in sorted(self._recorder.now.states.items()):
                self.latest = number
                yield number, state
            made = self._recorder.now.made
        for number in range(made, len(self._starts)):
            self.latest = number
            yield number, self._begun(number)

    def _begun(self, number: int) -> RunState:
        """Make a start."""
        swept = self._rows.swept
        made = self._starts[number]()
        if self._started is not None:
            self._started(number, made)
        passed = self._rows.swept - swept
        state = RunState(made.parameters, self._previous, made.degenerate, passed, more=made.more)
        self.record(number, state)
        self.write()
        return state

    def record(self, number: int, state: RunState) -> None:
        """Take down where a run stands."""
        if self._recorder is not None:
            self._recorder.record(number, state)

    def write(self) -> None:
        """Write a checkpoint if it is time."""
        if self._recorder is not None:
            self._recorder.write()

    def end(self, number: int, found: RunResult) -> None:
        """Take down how a run ended; one that was stopped may go on some day."""
        if self._ended is not None:
            self._ended(number, found)
        best = self.better(number, found)
        if best is found:
            self._best_run = number
        self.best = best
        if self._recorder is not None and found.status is not Status.STOPPED:
            self._recorder.ended(number, best, self._best_run)

    def better(self, number: int, found: RunResult) -> RunResult:
        """Return the better of the best run and another: of equals, the first in the order of starts."""
        best = self.best
        if best is None or found.lower_bound > best.lower_bound:
            return found
        return found if found.lower_bound == best.lower_bound and number < self._best_run else best
