from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import problems
import pytest

from fastgmm import GaussianMixture
from fastgmm.em import compiled as module
from fastgmm.em.compiled import Iterations, compiled
from fastgmm.em.convergence import Status
from fastgmm.em.run import Interrupted, RunResult, Settings, run
from fastgmm.errors import DegenerateComponentError
from fastgmm.kernels.layout import block_rows
from fastgmm.models.prior import Prior
from fastgmm.parameters import Parameters
from fastgmm.rows import iterables, repeated
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

ALONE = Team(1, "serial")
TEAMS = ALONE, Team(2, "parallel"), Team(3, "serial")
MIXTURE = problems.mixture(3, 2)
ROWS = ArrayRows(problems.drawn(MIXTURE, 500))
START = ROWS.frame.enter(Parameters(*MIXTURE))
SETTINGS = Settings(tol=1e-6, max_iter=60)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Iterations that each compiled call was asked for."""
    asked: list[int] = []
    advance = Iterations.advance

    def counted(self: Iterations, most: int, previous: float) -> None:
        asked.append(most)
        advance(self, most, previous)

    monkeypatch.setattr(Iterations, "advance", counted)
    return asked


def in_python(rows: AbstractRows, start: Parameters, settings: Settings, team: Team = ALONE) -> RunResult:
    """A run that is watched takes Python's loop."""
    return run(rows, start, settings, team, callback=lambda done: None)


def assert_same(found: RunResult, expected: RunResult) -> None:
    for name in ("weights", "means", "covariances", "inverse_factors", "log_constants"):
        assert getattr(found.parameters, name).tobytes() == getattr(expected.parameters, name).tobytes(), name
    assert found.lower_bounds == expected.lower_bounds
    assert (found.lower_bound, found.status) == (expected.lower_bound, expected.status)
    assert found.history.passes == expected.history.passes
    assert found.history.evaluated == expected.history.evaluated


def few_per_call(monkeypatch: pytest.MonkeyPatch, n: int, rows: AbstractRows = ROWS) -> None:
    """Let a call take n iterations."""
    flop = 3 * (2.0 * 2 * 3 + 60.0) * rows.n_rows
    monkeypatch.setattr(repeated, "CALL_FLOP", (n + 0.5) * flop)


# --- the same bits ---


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n_rows", "n_features"), [(150, 4), (500, 2), (3, 2), (7 * block_rows(2) + 100, 2)])
def test_bits_are_those_of_pythons_loop(n_rows: int, n_features: int, weighted: bool, calls: list[int]) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, n_rows)
    rows = ArrayRows(X, problems.row_weights(n_rows) if weighted else None)
    start = rows.frame.enter(Parameters(*m))
    expected = in_python(rows, start, SETTINGS)
    assert not calls
    assert expected.n_iter > 3
    for team in TEAMS:
        assert_same(run(rows, start, SETTINGS, team), expected)
    assert len(calls) == (len(TEAMS) if n_rows <= block_rows(n_features) else len(TEAMS) - 1)


@pytest.mark.parametrize("n_features", [12, 17])
def test_bits_of_rows_with_panels(n_features: int, calls: list[int]) -> None:
    m = problems.mixture(2, n_features)
    rows = ArrayRows(problems.drawn(m, 200))
    start = rows.frame.enter(Parameters(*m))
    assert_same(run(rows, start, SETTINGS, ALONE), in_python(rows, start, SETTINGS))
    assert calls == [60]


@pytest.mark.parametrize("n", [1, 2, 7])
def test_calls_may_be_short(n: int, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    few_per_call(monkeypatch, n)
    monkeypatch.setattr(repeated, "PASS_FLOP", 1e9)
    settings = replace(SETTINGS, tol=0.0, max_iter=16)
    found = run(ROWS, START, settings, ALONE)
    assert_same(found, in_python(ROWS, START, settings))
    assert calls == list(range(16, 0, -n))
    assert (np.diff(found.history.seconds) > 0).all()


def test_a_warm_start_compares_with_what_was_before(calls: list[int]) -> None:
    bound = run(ROWS, START, replace(SETTINGS, max_iter=1), ALONE).lower_bound
    again = run(ROWS, START, SETTINGS, ALONE, previous=bound)
    assert (again.status, again.n_iter, len(calls)) == (Status.CONVERGED, 1, 2)


@pytest.mark.parametrize("k", [2, 9])
def test_whole_fits_are_the_same(k: int, calls: list[int]) -> None:
    X = problems.drawn(MIXTURE, 500)
    watched = GaussianMixture(k, random_state=3, n_init=2, callback=lambda done: None).fit(X)
    assert not calls
    chunks = iterables.chunks(lambda: iter(np.array_split(X, 7)))
    for data, n_threads in ((X, 1), (X, 2), (X, 3), (np.asfortranarray(X), None), (chunks, None)):
        found = GaussianMixture(k, random_state=3, n_init=2, n_threads=n_threads).fit(data)
        for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "lower_bounds_"):
            np.testing.assert_array_equal(getattr(found, name), getattr(watched, name), name)
        for name in ("lower_bound", "passes", "evaluated"):
            np.testing.assert_array_equal(found.history_[name], watched.history_[name])
        assert (found.n_iter_, found.converged_) == (watched.n_iter_, watched.converged_)
        assert (np.diff(found.history_["seconds"]) > 0).all()
        np.testing.assert_array_equal(found.predict(X), watched.predict(X))
    assert calls


# --- what is not compiled ---


@pytest.mark.parametrize(
    "change",
    [
        {"model": "VVI"},
        {"prior": Prior.mclust(np.zeros(2), np.eye(2), 3)},
        {"equal_weights": True},
        {"on_degenerate": "regularise"},
        {"acceleration": "squarem"},
        {"assignment": "hard"},
        {"convergence": "aitken"},
        {"algorithm": "bounded"},
        {"max_iter": 0},
    ],
)
def test_other_settings_take_pythons_loop(change: dict[str, Any]) -> None:
    assert compiled(ROWS, START, SETTINGS, ALONE) is not None
    assert compiled(ROWS, START, replace(SETTINGS, **change), ALONE) is None


def test_other_rows_take_pythons_loop() -> None:
    narrow = ArrayRows(problems.drawn(MIXTURE, 500).astype(np.float32))
    many = ArrayRows(np.zeros((1 << 20, 2)))
    for rows in (narrow, many):
        assert compiled(rows, START, SETTINGS, ALONE) is None


# --- how a run ends ---


def test_a_collapse_is_told_as_from_python() -> None:
    X = np.vstack([problems.drawn(MIXTURE, 100), np.full((20, 2), 50.0)])
    rows = ArrayRows(X)
    means = rows.frame.rows(np.vstack([X[0], X[50], X[-1]]))
    start = Parameters(np.full(3, 1 / 3), means, np.stack([np.eye(2)] * 3))
    settings = replace(SETTINGS, ridge=0.0, tol=0.0)
    assert compiled(rows, start, settings, ALONE) is not None
    with pytest.raises(DegenerateComponentError) as expected:
        in_python(rows, start, settings)
    with pytest.raises(DegenerateComponentError) as found:
        run(rows, start, settings, ALONE)
    assert str(found.value) == str(expected.value)
    assert "Component 2" in str(found.value)


def test_an_interrupt_keeps_complete_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    few_per_call(monkeypatch, 5)
    monkeypatch.setattr(repeated, "PASS_FLOP", 1e9)
    advance, settings = Iterations.advance, replace(SETTINGS, tol=0.0)

    def interrupted(self: Iterations, most: int, previous: float) -> None:
        advance(self, most, previous)
        if most < 60:
            raise KeyboardInterrupt  # as a signal that came during the call is told behind it

    monkeypatch.setattr(module.Iterations, "advance", interrupted)
    with pytest.raises(Interrupted) as stop:
        run(ROWS, START, settings, ALONE)
    expected = in_python(ROWS, START, replace(settings, max_iter=10))
    assert_same(stop.value.result, replace(expected, status=Status.INTERRUPTED))


def test_an_interrupt_before_anything_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Iterations, most: int, previous: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Iterations, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt) as stop:
        run(ROWS, START, SETTINGS, ALONE)
    assert not isinstance(stop.value, Interrupted)
