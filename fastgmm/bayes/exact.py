"""Passes in float64, whatever the rows' dtype, and rows in the frame that a form needs."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from fastgmm.expectation_task import ExpectationTask
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team


def exact_expectation(rows: AbstractRows, parameters: Parameters, team: Team) -> SufficientStatistics:
    """Return the statistics of all rows in float64, in the coordinates of their frame.

    The lower bound is a total over the rows whose change is compared with `tol`, and the entropy in it is a difference
    of such totals: float32 lanes would hide the change from 1e5 rows on.
    """
    mixture = replace(rows.packed(parameters), real=np.float64)
    statistics, _ = rows.summed(ExpectationTask(mixture), team)
    return statistics


def framed(rows: AbstractRows, form: str) -> AbstractRows:
    """Return the rows in a frame that keeps covariances in their form: spherical ones need a common scale."""
    if form != "spherical":
        return rows
    other = copy.copy(rows)
    other.frame = rows.frame.isotropic()
    return other
