"""Progressive start: for many rows, k-means and EM on a sample first, so that few passes over all rows are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgmm.em.run import Interrupted, RunResult, Settings, run
from fastgmm.errors import DataError, DegenerateComponentError
from fastgmm.frame import Frame
from fastgmm.initialise import start
from fastgmm.initialise.lloyd import drawn
from fastgmm.models import MODELS
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.threads import Team

SAMPLE_ROWS = 1 << 14
ROWS_PER_PARAMETER = 4
"""A sample has so many rows at least, and so many for each parameter."""

WORTH = 4
"""Samples are taken from data of at least so many times their size."""

STARTS, SHORT, LONG = 2, 5, 20
"""k-means starts, iterations of EM from each, and then from the one that is best.

Milliseconds of a whole fit, median of five seeds, of 1 000 000 × 2, K = 8 / 300 000 × 8, K = 16 / 100 000 × 16, K = 32:
(3, 6, 40) 102 / 105 / 368, (3, 4, 20) 95 / 94 / 335, (2, 5, 20) 87 / 84 / 223, (1, 20, 10) 87 / 73 / 234; the mean
log-likelihood is the same but for the last, which ends 0.02 lower on the second and third.
"""

TOLERANCE = 0.3
"""Of the user's tolerance, for EM on the sample: what it leaves is to be small against what ends the fit."""

LLOYD_ITERATIONS = 20


def sample_size(n_components: int, n_features: int) -> int:
    """Return how many rows a sample should have: an even number of blocks, for two threads and their like."""
    from fastgmm.kernels.layout import block_rows

    pair = 2 * block_rows(n_features)
    wanted = max(SAMPLE_ROWS, ROWS_PER_PARAMETER * n_components * (n_features + 1) * (n_features + 2) // 2)
    return max(round(wanted / pair), 1) * pair


def is_worth(rows: AbstractRows, n_components: int) -> bool:
    """Return whether there are enough rows for a sample to save anything."""
    return rows.n_rows >= WORTH * sample_size(n_components, rows.n_features)


def progressive(
    rows: AbstractRows, n_components: int, settings: Settings, rng: np.random.RandomState, team: Team
) -> Parameters | None:
    """Return the best mixture of several starts on a sample, in the coordinates of the rows' frame.

    None if every start on the sample fails: a component may collapse there that does not on all rows.
    """
    sample = drawn(rows, sample_size(n_components, rows.n_features), rng)
    if MODELS[settings.model].isotropic:
        sample = sample.in_frame(sample.frame.isotropic())
    short = replace(
        _entering(settings, rows.frame, sample.frame),
        algorithm="dense",
        max_iter=SHORT,
        tol=TOLERANCE * settings.tol,
        on_degenerate="raise",
        assignment="soft",
        convergence="change",
    )
    try:
        found = [result for _ in range(STARTS) if (result := _run(sample, n_components, short, rng, team))]
        if not found:
            return None
        enough = max(result.lower_bound for result in found) - settings.tol
        best = next(result for result in found if result.lower_bound >= enough)
        best = run(sample, best.parameters, replace(short, max_iter=LONG), team)
    except Interrupted:
        raise KeyboardInterrupt from None  # what a sample gave is no fit
    except DegenerateComponentError:
        return None
    return rows.frame.enter(sample.frame.leave(best.parameters))


def _entering(settings: Settings, old: Frame, new: Frame) -> Settings:
    """Return settings for another frame."""
    scale, prior = new.scale / old.scale, settings.prior
    if prior is not None:
        prior = prior.rescaled(new.rows(prior.mean / old.scale + old.centre), scale)
    return replace(settings, ridge=settings.ridge * scale**2, prior=prior)


def _run(
    sample: AbstractRows, n_components: int, settings: Settings, rng: np.random.RandomState, team: Team
) -> RunResult | None:
    """Run EM from one k-means start; None if it fails."""
    try:
        statistics = start(sample, n_components, "kmeans", rng, team, LLOYD_ITERATIONS, settings.moments)
        return run(sample, settings.maximise(statistics), settings, team)
    except (DataError, DegenerateComponentError):
        return None
