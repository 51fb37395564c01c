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
    def runs(self) -> int:
        """How many the fit consists of."""
        return self._now.runs

    @property
    def restart(self) -> int:
        """Number of the run that is under way, or is to begin."""
        return self._now.restart

    @property
    def state(self) -> RunState | None:
        """Where that run stands; None where it has no start yet."""
        return self._now.state

    @property
    def best(self) -> RunResult | None:
        """The best of the runs that ended."""
        return self._now.best

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
            if self._unwritten and not (self.state is not None and self.state.passing):
                self._write()
            raise
        if self._unwritten:
            self._write()

    def record(self, state: RunState) -> None:
        """Take down where the run stands; write it if it is time."""
        self._take(replace(self._now, state=state, rng=generator_state(self.rng)))

    def ended(self, best: RunResult) -> None:
        """Take down that a run ended, with the best one so far."""
        number = self.restart + 1
        self._take(replace(self._now, state=None, restart=number, best=best, finished=number == self._now.runs))

    def _take(self, now: Checkpoint) -> None:
        self._now, self._unwritten = now, True
        if perf_counter() - self._since >= self._every:
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
