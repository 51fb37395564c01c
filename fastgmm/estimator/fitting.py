"""Runs of an estimator, of either kind: from the last fit, a checkpoint or new starts, with what is shown meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastgmm.em.restarts import best_run
from fastgmm.em.run import AbstractSettings, RunResult, Start
from fastgmm.em.state import RunState
from fastgmm.estimator.resume import Saving, recorder_of, saved
from fastgmm.parameter_checks import random_state
from fastgmm.progress import VerboseLines, together
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team

Kind = TypeVar("Kind", bound=AbstractSettings)


def fitted(
    estimator: Any,
    rows: AbstractRows,
    settings: Kind,
    last: Start | None,
    starts: Callable[[Kind, np.random.RandomState], list[Callable[[], Start]]],
    workers: Team,
    saving: Saving,
) -> RunResult:
    """Run from the last fit, or else from starts, and return the best run; a checkpoint may stand beyond both.

    `starts` makes them in order, given the settings and the stream that they are to draw from.

    Raises
    ------
    CheckpointError
        As by `resume.recorder_of`.
    Interrupted
        On Ctrl-C, with the best run so far.
    """
    previous = -math.inf if last is None else estimator.lower_bound_
    rng = random_state(estimator.random_state, type(estimator).__name__)
    state = None if last is None else RunState(last.parameters, previous, more=last.more)
    recorder = recorder_of(estimator, rows, saving, state, rng, settings.seed)
    if recorder is not None:  # which knows the state of a warm start
        settings = settings.seeded(recorder.now.seed)
        made = starts(settings, recorder.rng)[: recorder.now.runs]
    else:
        made = starts(settings, rng) if last is None else [lambda: last]
    lines = VerboseLines(estimator.verbose, estimator.verbose_interval) if estimator.verbose else None
    watch = together(None if lines is None else lines.iteration, estimator.callback)
    started, ended = (None, None) if lines is None else (lines.start, lines.end)
    with saved(saving, recorder):
        return best_run(rows, made, settings, workers, watch, previous, ended, started, recorder)
