"""Candidates: from what the search found on a sample to fits on all rows, or to the reasons why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.abreast import Abreast, Job, abreast
from fastgmm.em.run import Settings, run
from fastgmm.errors import DataError, FastGMMError
from fastgmm.frame import Frame
from fastgmm.initialise.lloyd import drawn
from fastgmm.initialise.overall import overall
from fastgmm.models import MODELS, Prior
from fastgmm.parameters import Parameters
from fastgmm.rows.base import AbstractRows
from fastgmm.selection.batch import Monomials
from fastgmm.selection.crew import Crew
from fastgmm.selection.effort import Effort
from fastgmm.selection.found import Found
from fastgmm.selection.guard import Guard, whitener_of
from fastgmm.selection.neighbours import neighbours
from fastgmm.selection.search import Search
from fastgmm.threads import Team

Floats = NDArray[np.float64]

SAMPLE_ROWS = 2000
"""Rows that candidates are sought on, if there are more."""

MOST = 64
"""Candidates that are fitted side by side, each in a thread of its own."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A candidate's fit on all rows."""

    parameters: Parameters
    """In the user's units."""
    log_likelihood: float
    """Sum over the rows."""


@dataclass(frozen=True)
class Refused:
    """Why a candidate has no fit."""

    reason: str


Cell = tuple[str, int]
Fits = dict[Cell, Fit | Refused]


@dataclass(frozen=True, eq=False)
class Terms:
    """How candidates are to be fitted, in the user's units."""

    guard: Guard
    prior: str | Prior | None = None
    ridge: float = 0.0
    tol: float = 1e-8
    max_iter: int = 1000


class Candidates:
    """All candidates on some rows."""

    def __init__(self, rows: AbstractRows, workers: Team, terms: Terms) -> None:
        self._rows, self._workers, self._terms = rows, workers, terms
        self._isotropic = rows.frame.isotropic()
        self._found: dict[Cell, Found] = {}
        self._wholes: dict[bool, tuple[Floats, Floats]] = {}
        self._centre, self._unit = np.zeros(rows.n_features), 1.0

    def search(self, models: list[str], numbers: list[int], effort: Effort, rng: np.random.RandomState) -> None:
        """Seek starts of all candidates together, on a sample if the rows are many."""
        from fastgmm.kernels.layout import WIDTH

        sample = drawn(self._rows, max(SAMPLE_ROWS, 8 * max(numbers)), rng)
        X, weights = sample.take(np.arange(sample.n_rows))
        if weights.size:  # rows without weight are none
            X, weights = X[weights > 0], weights[weights > 0]
        X = self._isotropic.rows(X)
        order = neighbours(X, WIDTH)
        X, weights = X[order], weights[order] if weights.size else weights
        self._centre = X.mean(axis=0)
        self._unit = float(np.sqrt(np.square(X - self._centre).mean())) or 1.0
        data = Monomials.of((X - self._centre) / self._unit, weights if weights.size else None)
        # What the guard asks for is a share of all rows, so a sample's components may hold fewer.
        count = self._rows.weight
        with Crew(self._workers.size) as crew:
            search = Search(data, count, models, self._terms.guard, effort, rng, crew)
            search.run(numbers)
        self._found = search.found

    def fit_all(self, models: list[str], numbers: list[int]) -> Fits:
        """Fit all candidates: one by one, or side by side where the rows are dear to read, with the same bits."""
        cells = [(model, k) for model in models for k in numbers]
        if not self._rows.costly:
            return {cell: self.fit(self._rows, *cell) for cell in cells}
        jobs = (
            (number, min(MOST, abreast(self._rows, k, Settings.algorithm)), self._job(model, k))
            for number, (model, k) in enumerate(cells)
        )
        with Abreast[Fit | Refused](self._rows, self._workers) as group:
            found = dict(group.results(jobs))
        return {cell: found[number] for number, cell in enumerate(cells)}

    def _job(self, model: str, n_components: int) -> Job[Fit | Refused]:
        return lambda mine, _: self.fit(mine, model, n_components)

    def fit(self, rows: AbstractRows, model: str, n_components: int) -> Fit | Refused:
        """Fit a candidate by EM on all rows, from the best start that leads to an optimum that counts."""
        found = self._found.get((model, n_components))
        if found is None:
            return Refused("every run collapsed, or ended in an optimum of a few rows only: see min_rows, min_variance")
        if MODELS[model].isotropic:
            rows = rows.in_frame(self._isotropic)
        reason = ""
        for number in range(len(found.log_likelihoods)):
            try:
                fit = self._fit(rows, model, self._start(rows.frame, model, found, number))
            except (FastGMMError, np.linalg.LinAlgError) as error:
                reason = reason or str(error)
                continue
            if isinstance(fit, Fit):
                return fit
            reason = reason or fit.reason
        return Refused(reason)

    def _start(self, frame: Frame, model: str, found: Found, number: int) -> Parameters:
        """Return what the search found, in the model's form and the coordinates of the rows' frame."""
        scale = frame.scale / self._isotropic.scale
        means = (found.moments.means[number] * self._unit + self._centre) * scale
        matrices = found.covariances[number] * (self._unit**2 * scale[:, None] * scale)
        form = MODELS[model].form
        covariances = {
            "full": matrices,
            "tied": matrices[0],
            "diag": np.diagonal(matrices, axis1=1, axis2=2),
            "spherical": matrices[:, 0, 0],
        }[form]
        shares = found.moments.shares[number]
        return Parameters(shares / shares.sum(), means, np.ascontiguousarray(covariances), form)

    def _fit(self, rows: AbstractRows, model: str, start: Parameters) -> Fit | Refused:
        terms = self._terms
        settings = Settings(
            tol=terms.tol,
            max_iter=terms.max_iter,
            ridge=terms.ridge * rows.frame.scale**2,
            model=model,
            prior=self._prior(rows, start.n_components),
        )
        parameters = run(rows, start, settings, self._workers).parameters
        statistics = rows.expectation(parameters, self._workers, moments=settings.moments)
        if terms.prior is None and not self._admitted(rows, model, parameters, statistics.sum_w):
            return Refused("the best optima are of a few rows only: see min_rows and min_variance")
        return Fit(rows.frame.leave(parameters), statistics.log_likelihood)

    def _admitted(self, rows: AbstractRows, model: str, parameters: Parameters, counts: Floats) -> bool:
        whitener = whitener_of(self._whole(rows)[1])
        shares = (counts / rows.weight)[None]
        guard = self._terms.guard
        least = guard.rows_wanted(model, rows.n_features) / rows.weight
        return bool(guard.admits(shares, parameters.matrices[None], least, whitener)[0])

    def _prior(self, rows: AbstractRows, n_components: int) -> Prior | None:
        """Return the prior in the coordinates of the rows' frame."""
        prior: Any = self._terms.prior
        if prior is None:
            return None
        if isinstance(prior, Prior):
            if len(prior.mean) != rows.n_features:
                raise DataError(f"the prior is of {len(prior.mean)} features, but X has {rows.n_features}.")
            return prior.rescaled(rows.frame.rows(prior.mean), rows.frame.scale)
        mean, covariance = self._whole(rows)
        if rows.n_rows <= rows.n_features:
            covariance = np.diag(np.diagonal(covariance))
        return Prior.mclust(mean, covariance * (rows.weight / max(rows.weight - 1, 1.0)), n_components)

    def _whole(self, rows: AbstractRows) -> tuple[Floats, Floats]:
        """Return mean and covariance of all rows in one of the two frames, formed once."""
        isotropic = rows.frame is self._isotropic
        if isotropic not in self._wholes:
            self._wholes[isotropic] = overall(rows, self._workers)
        return self._wholes[isotropic]
