"""Restarts: several starts, the best run kept."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from fastgmm.em.callbacks import Callback
from fastgmm.em.convergence import Status
from fastgmm.em.run import Interrupted, RunResult, Settings, Start, run
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
) -> RunResult:
    """Run EM from each start and return the run with the largest likelihood, the first of equals.

    `started` is told each run's number and start, `ended` its number and result.
    On Ctrl-C `Interrupted` carries the best run so far, the interrupted one included.
    """
    began = perf_counter()
    best: RunResult | None = None
    for number, start in enumerate(starts):
        swept = rows.swept
        try:
            made = start()
            if started is not None:
                started(number, made)
            found = run(
                rows,
                made.parameters,
                settings,
                team,
                restart=number,
                began=began,
                previous=previous,
                callback=callback,
                degenerate=made.degenerate,
                passed=rows.swept - swept,
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
    assert best is not None  # there is a start at least
    return best


def _better(first: RunResult | None, second: RunResult) -> RunResult:
    return second if first is None or second.lower_bound > first.lower_bound else first
