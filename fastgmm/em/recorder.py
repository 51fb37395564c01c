"""Recorder: when checkpoints are written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter

import numpy as np

from fastgmm.em.checkpoint import Checkpoint, generator_state, save
from fastgmm.em.run import RunResult
from fastgmm.em.state import RunState
from fastgmm.files import remove_leftovers


class Recorder:
    """Writes where a fit stands: when it begins, every so many seconds, and when it ends or is cut short.

    Parameters
    ----------
    path : path-like
        The checkpoint, replaced each time.
    every : float
        Least seconds between two of them; 0 writes one after each iteration.
    checkpoint : Checkpoint
        Where the fit stands to begin with.
    rng : RandomState
        What the starts are drawn from.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: float, checkpoint: Checkpoint, rng: np.random.RandomState
    ) -> None:
        self._path, self._every = path, every
        self.rng = rng
        self._now = checkpoint
        self._since = perf_counter()
        self._unwritten = False

    @property
    def now(self) -> Checkpoint:
        """Where the fit stands."""
        return self._now

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Write a checkpoint before the work in the block, and a last one whatever ends it.

        Raises
        ------
        OSError
            If the first one cannot be written. Later ones are given up with a warning: the fit goes on.
        """
        if self._now.finished:
            yield
            return
        remove_leftovers(self._path)
        save(self._now, self._path)
        try:
            yield
        except BaseException:
            # Bounds that a pass had begun to renew are worth nothing: the checkpoint before has them whole.
            if self._unwritten and not any(state.passing for state in self._now.states.values()):
                self._write()
            raise
        if self._unwritten:
            self._write()

    def record(self, number: int, state: RunState) -> None:
        """Take down where a run stands."""
        states = {**self._now.states, number: state}
        now = replace(self._now, states=states)
        if number >= now.made:  # it has just been drawn
            now = replace(now, made=number + 1, rng=generator_state(self.rng))
        self._now, self._unwritten = now, True

    def ended(self, number: int, best: RunResult, best_run: int) -> None:
        """Take down that a run ended, with the best one so far."""
        states = {other: state for other, state in self._now.states.items() if other != number}
        finished = not states and self._now.made == self._now.runs
        self._now = replace(self._now, states=states, best=best, best_run=best_run, finished=finished)
        self._unwritten = True

    def write(self) -> None:
        """Write where the fit stands, if it is time: when no run is in the midst of an iteration."""
        if self._unwritten and perf_counter() - self._since >= self._every:
            self._write()

    def _write(self) -> None:
        try:
            save(self._now, self._path)
        except OSError as error:
            warnings.warn(
                f"The checkpoint {self._path} could not be written: {error}. The one before stays; the fit goes on.",
                UserWarning,
                stacklevel=2,
            )
        self._since, self._unwritten = perf_counter(), False
