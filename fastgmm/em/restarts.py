"""Restarts: several starts, the best run kept."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from fastgmm.em.callbacks import Callback
from fastgmm.em.convergence import Status
from fastgmm.em.recorder import Recorder
from fastgmm.em.run import Interrupted, RunResult, Settings, Start, run
from fastgmm.em.state import RunState
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team


def best_run(
    rows: AbstractRows,
    starts: list[Callable[[], Start]],
    settings: Settings,
    team: Team,
    callback: Callback | None = None,
    previous: float = float("-inf"),
    ended: Callable[[int, RunResult], object] | None = None,
    started: Callable[[int, Start], object] | None = None,
    recorder: Recorder | None = None,
) -> RunResult:
    """Run EM from each start and return the run with the largest likelihood, the first of equals.

    `started` is told each run's number and start, `ended` its number and result. `recorder` writes checkpoints; where
    its fit was begun before, this one goes on from there.
    On Ctrl-C `Interrupted` carries the best run so far, the interrupted one included.
    """
    began = perf_counter()
    best = None if recorder is None else recorder.best
    for number, start in enumerate(starts):
        if recorder is not None and number < recorder.restart:
            continue
        swept = rows.swept
        try:
            state = None if recorder is None else recorder.state
            if state is None:
                made = start()
                if started is not None:
                    started(number, made)
                state = RunState(made.parameters, previous, made.degenerate, rows.swept - swept)
                if recorder is not None:
                    recorder.record(state)
            found = run(
                rows,
                state.parameters,
                settings,
                team,
                restart=number,
                began=began,
                callback=callback,
                resumed=state,
                record=None if recorder is None else recorder.record,
            )
        except Interrupted as stop:
            raise Interrupted(_better(best, stop.result)) from None
        except KeyboardInterrupt:
            if best is None:
                raise
            raise Interrupted(best) from None
        if ended is not None:
            ended(number, found)
        best = _better(best, found)
        if found.status is Status.STOPPED:
            break
        if recorder is not None:
            recorder.ended(best)
    assert best is not None  # there is a start at least
    return best


def _better(first: RunResult | None, second: RunResult) -> RunResult:
    return second if first is None or second.lower_bound > first.lower_bound else first
