"""Checkpoints of an estimator's fit: what is asked for, and whether a file is one of this fit's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgmm.em.checkpoint import Checkpoint, generator, generator_state, load
from fastgmm.em.fingerprint import difference, of_rows, told
from fastgmm.em.recorder import Recorder
from fastgmm.em.state import RunState
from fastgmm.errors import CheckpointError, DistributedError, ParameterError
from fastgmm.parameter_checks import check_boolean, check_number
from fastgmm.rows.base import AbstractRows

FREE = ("callback", "n_threads", "verbose", "verbose_interval", "warm_start")
"""Parameters that do not change a fit once it has begun."""


@dataclass(frozen=True)
class Saving:
    """What `fit` was asked for: where checkpoints go, how often, and whether to go on from the one that is there."""

    path: str | os.PathLike[str] | None = None
    every: float = 60.0
    resume: bool = False

    def check(self, owner: str) -> None:
        """Refuse what makes no sense."""
        if self.path is None and self.resume is not False:
            raise ParameterError("resume=True needs the path of the checkpoint: fit(X, checkpoint=path, resume=True).")
        if self.path is not None and not isinstance(self.path, str | os.PathLike):
            raise ParameterError(
                f"The 'checkpoint' parameter of {owner}.fit must be a path. Got {self.path!r} instead."
            )
        check_number(self.every, "checkpoint_every", f"{owner}.fit", float, 0)
        check_boolean(self.resume, "resume", f"{owner}.fit")


NO_SAVING = Saving()


def recorder_of(
    estimator: Any,
    rows: AbstractRows,
    saving: Saving,
    again: RunState | None,
    rng: np.random.RandomState,
    seed: int = 0,
) -> Recorder | None:
    """Return what writes a fit's checkpoints; it stands where the last one stood, if the fit is to be resumed.

    `again` is where a warm start begins, instead of `n_init` runs from starts that `rng` draws; `seed` is of what runs
    draw.

    Raises
    ------
    CheckpointError
        If the file is damaged, of other rows or settings, or the only trace of a fit that has not ended.
    """
    if saving.path is None:
        return None
    settings = {"estimator": type(estimator).__name__} | {
        name: told(value) for name, value in estimator.get_params().items() if name not in FREE
    }
    data = of_rows(rows)
    there = load(saving.path) if os.path.lexists(saving.path) else None
    if there is None or not saving.resume:
        if there is not None and not there.finished:
            raise CheckpointError(
                f"{saving.path} is the checkpoint of a fit that has not ended. Pass resume=True to go on with it, or "
                "remove the file."
            )
        runs = estimator.n_init if again is None else 1
        states = {} if again is None else {0: again}
        begun = Checkpoint(data, settings, runs, generator_state(rng), len(states), states, seed=seed)
        return Recorder(saving.path, saving.every, begun, rng)
    for what, ours, theirs in (("data", data, there.data), ("settings", settings, there.settings)):
        if found := difference(ours, theirs):
            raise CheckpointError(
                f"{saving.path} is a checkpoint of other {what}: {found}. Fit with the same {what} as before, or name "
                "another checkpoint."
            )
    return Recorder(saving.path, saving.every, there, generator(there.rng))


@contextmanager
def saved(saving: Saving, recorder: Recorder | None) -> Iterator[None]:
    """Write checkpoints of the fit in the block, and name the last one where a cluster gives up."""
    if recorder is None:
        yield
        return
    try:
        with recorder.watching():
            yield
    except DistributedError as error:
        error.add_note(f"The last checkpoint is {saving.path}: fit with resume=True goes on from there.")
        raise
