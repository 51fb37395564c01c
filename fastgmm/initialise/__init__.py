"""Starts: from rows to the first parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastgmm.initialise.lloyd import MAX_ITERATIONS, assigned, kmeans, seeds
from fastgmm.initialise.random import RandomResponsibilities, drawn_rows
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

if TYPE_CHECKING:
    from fastgmm.frame import Frame
    from fastgmm.rows.base import AbstractRows
    from fastgmm.threads import Team

Floats = NDArray[np.float64]

METHODS = ("kmeans", "k-means++", "random", "random_from_data")


def start(
    rows: AbstractRows,
    n_components: int,
    method: str,
    rng: np.random.RandomState,
    team: Team,
    max_iterations: int = MAX_ITERATIONS,
    moments: str = "full",
) -> SufficientStatistics:
    """Return the statistics, in the rows' frame, that the first M-step takes.

    kmeans, k-means++ and random_from_data assign each row to its nearest centre; random draws responsibilities.
    scikit-learn's k-means++ and random_from_data give only the K drawn rows a responsibility, so that its first
    iteration assigns the others by a covariance of nothing but `reg_covar`: the same assignment, if that is small.
    `max_iterations` is of k-means, `moments` the form of the second moments.
    """
    if method == "random":
        origin = _unit_mixture(np.repeat(rows.frame.rows(rows.middle()), n_components, axis=0))
        return rows.expectation(origin, team, moments=moments, given=RandomResponsibilities(n_components, rng))
    if method == "kmeans":
        frame, centres = kmeans(rows, n_components, rng, team, max_iterations)
    elif method == "k-means++":
        frame, centres, _ = seeds(rows, n_components, rng, team)
    else:
        frame, centres = drawn_rows(rows, n_components, rng)
    labels = assigned(rows, frame, centres, team)
    return rows.expectation(_unit_mixture(_changed(frame, rows.frame, centres)), team, moments=moments, labels=labels)


def _unit_mixture(means: Floats) -> Parameters:
    """Return a mixture that only carries origins."""
    k = len(means)
    return Parameters(np.full(k, 1.0 / k), means, np.ones(k), "spherical")


def _changed(old: Frame, new: Frame, points: Floats) -> Floats:
    """Change frames that differ in scale only."""
    return points * (new.scale / old.scale)
