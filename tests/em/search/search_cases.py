"""Searches that tests are made of."""

from __future__ import annotations

import numpy as np

from fastgmm.em.run import Settings, first, run
from fastgmm.em.search.board import Board
from fastgmm.em.search.budget import Budget
from fastgmm.em.search.guard import Guard
from fastgmm.em.search.meter import Meter
from fastgmm.em.search.problem import Candidate, Problem
from fastgmm.em.search.table import Table
from fastgmm.initialise import start
from fastgmm.initialise.overall import overall
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

TEAM = Team(1, "serial")


def problem_of(X: np.ndarray, k: int, limit: float = 60.0, seed: int = 0, **options: object) -> Problem:
    meter = Meter(len(X), k)
    rows = meter.counted(ArrayRows(X))
    settings = Settings(ridge=1e-6 * rows.frame.scale**2, **options)
    guard = Guard.of(overall(rows, TEAM)[1], rows.weight)
    return Problem(rows, k, settings, TEAM, np.random.RandomState(seed), Budget(meter, limit), guard)


def plain(problem: Problem) -> Candidate:
    statistics = start(
        problem.rows, problem.n_components, "kmeans", problem.rng, TEAM, moments=problem.settings.moments
    )
    found = run(problem.rows, first(statistics, problem.settings).parameters, problem.settings, TEAM)
    return Candidate(found.parameters, found.lower_bound)


def table_of(problem: Problem) -> Table:
    return Table.of(Board.of(problem), plain(problem).parameters)


def log_likelihood(problem: Problem, parameters: Parameters) -> float:
    return problem.rows.expectation(parameters, TEAM).log_likelihood / problem.rows.n_rows
