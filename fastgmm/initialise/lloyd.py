"""k-means by Lloyd's iterations on the fused assignment kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.assignment_task import AssignmentTask
from fastgmm.frame import Frame
from fastgmm.initialise.distinct import distinct
from fastgmm.initialise.seeding import plus_plus
from fastgmm.initialise.steps import compiled_steps
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import ALONE, Team

Floats = NDArray[np.float64]

SAMPLE_ROWS, SAMPLE_NUMBERS = 1 << 15, 1 << 20
"""Rows, and numbers in them, that centres are sought on when there are more (or 64 rows a centre, if that is more).

Seeding copies them three times: 24 MiB.
"""

PERMUTED = 1 << 16
"""Rows from which those of a sample are drawn one after the other: of 10⁶ that took 0.7 of a start, D = 2, K = 8."""

MAX_ITERATIONS = 300
FULL_ITERATIONS = 10
"""Of Lloyd on all rows after it converged on a sample: centres from 32 768 rows are near their end."""

TOLERANCE = 1e-4
"""Stop when the centres' squared shift is below this share of the mean variance of a feature, as scikit-learn does."""


def seeds(
    rows: AbstractRows, n_components: int, rng: np.random.RandomState, team: Team = ALONE
) -> tuple[Frame, Floats, AbstractRows]:
    """Draw k-means++ centres (K, D); return the frame they are in, them, and the rows they were drawn from.

    Where the rows have fewer distinct values than there are components, centres coincide.
    """
    frame = rows.frame.isotropic()
    sample = drawn(rows, max(min(SAMPLE_ROWS, SAMPLE_NUMBERS // rows.n_features), 64 * n_components), rng)
    X, weights = sample.take(np.arange(sample.n_rows))
    X = frame.rows(X)
    chosen = plus_plus(X, weights if weights.size else np.ones(len(X)), n_components, rng, team)
    return frame, X[np.resize(chosen, n_components)], sample


def drawn(rows: AbstractRows, size: int, rng: np.random.RandomState) -> AbstractRows:
    """Return `rows`, or a sample of them without replacement if they are many."""
    if rows.n_rows <= size:
        return rows
    X, weights = rows.take(np.sort(distinct(rows.n_rows, size, rng, PERMUTED)))
    if weights.size and not weights.any():
        return rows
    return ArrayRows(X, weights if weights.size else None)


def kmeans(
    rows: AbstractRows,
    n_components: int,
    rng: np.random.RandomState,
    team: Team,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[Frame, Floats]:
    """Return the centres (K, D) of k-means from a k-means++ start, and the frame that they are in."""
    frame, centres, sample = seeds(rows, n_components, rng, team)
    centres = lloyd(sample, frame, centres, team, max_iterations)
    if sample is not rows:
        centres = lloyd(rows, frame, centres, team, FULL_ITERATIONS)
    return frame, centres


def lloyd(rows: AbstractRows, frame: Frame, centres: Floats, team: Team, max_iterations: int) -> Floats:
    """Move centres to the means of the rows nearest to them until they rest."""
    steps = compiled_steps(rows, AssignmentTask(frame, centres), team, TOLERANCE)
    left, rest = max_iterations, False
    while left and not rest:
        if steps is None or steps.stuck:
            centres, rest = _step(rows, frame, centres, team)
            left -= 1
        if steps is not None and left and not rest:
            centres, taken = steps.take(centres, left)
            left, rest = left - taken, steps.rest
    return centres


def _step(rows: AbstractRows, frame: Frame, centres: Floats, team: Team) -> tuple[Floats, bool]:
    """Move centres once, those that no row is nearest to as well; return them and whether they rest."""
    task = AssignmentTask(frame, centres)
    inertia, counts, moved, shift = task.moved(rows.sweep(task, team))
    if not counts.all():
        distances = np.empty(rows.n_rows)
        rows.sweep(AssignmentTask(frame, centres, distances=distances), team)
        moved = _relocated(rows, frame, moved, counts, distances)
        shift = float(((moved - centres) ** 2).sum())
    return moved, shift <= TOLERANCE * inertia / (rows.weight * rows.n_features)


def _relocated(rows: AbstractRows, frame: Frame, centres: Floats, counts: Floats, distances: Floats) -> Floats:
    """Move the centres of empty clusters onto the rows farthest from all centres; leave them if every row is on one.

    Rows without weight do not count: `distances` becomes zero there.
    """
    with rows.walk(1 << 14, 1 << 6) as spans:
        for start, _, weights in spans:
            if weights.size:
                distances[start : start + len(weights)][weights == 0] = 0.0
    empty = np.flatnonzero(counts == 0)
    farthest = np.argsort(-distances, kind="stable")[: len(empty)]
    farthest = farthest[distances[farthest] > 0]
    X, _ = rows.take(farthest)
    centres = centres.copy()
    centres[empty[: len(farthest)]] = frame.rows(X)
    return centres


def assigned(rows: AbstractRows, frame: Frame, centres: Floats, team: Team) -> NDArray[np.int32]:
    """Return the number of the nearest centre of each row, (N,)."""
    labels = np.empty(rows.n_rows, dtype=np.int32)
    rows.sweep(AssignmentTask(frame, centres, labels=labels), team)
    return labels
