from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import problems
import pytest
import reference

from fastgmm.em.callbacks import Iteration
from fastgmm.em.convergence import Status, converged
from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.restarts import best_run
from fastgmm.em.run import Interrupted, RunResult, Settings, Start, run
from fastgmm.errors import DegenerateComponentError
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

TEAM = Team(1, "serial")
MIXTURE = problems.mixture(2, 2)
ROWS = ArrayRows(problems.drawn(MIXTURE, 500))
START = ROWS.frame.enter(Parameters(*MIXTURE))
ENDLESS = Settings(tol=0.0, max_iter=6, ridge=0.0)


def worse(seed: int) -> Parameters:
    """Another start."""
    means = START.means + 0.1 * np.random.default_rng(seed).standard_normal(START.means.shape)
    return Parameters(START.weights, means, START.covariances)


def stop_at(number: int, answer: object = True) -> Callable[[Iteration], object]:
    return lambda done: answer if done.number == number else None


def interrupt_at(number: int, restart: int = 0) -> Callable[[Iteration], None]:
    def callback(done: Iteration) -> None:
        if (done.restart, done.number) == (restart, number):
            raise KeyboardInterrupt

    return callback


def same(a: Parameters, b: Parameters) -> bool:
    return all(getattr(a, n).tobytes() == getattr(b, n).tobytes() for n in ("weights", "means", "covariances"))


# --- one run ---


def test_a_run_is_the_oracles() -> None:
    found = run(ROWS, START, ENDLESS, TEAM)
    expected, history = reference.em(problems.drawn(MIXTURE, 500), MIXTURE, 6)
    np.testing.assert_allclose(found.lower_bounds, history, rtol=1e-13)
    np.testing.assert_allclose(ROWS.frame.leave(found.parameters).means, expected.means, rtol=1e-11)
    assert (found.status, found.n_iter, found.lower_bound) == (Status.MAX_ITER, 6, found.lower_bounds[-1])


@pytest.mark.parametrize(
    ("change", "tol", "rests"),
    [
        (0.5, 1.0, True),
        (-0.5, 1.0, True),
        (1.0, 1.0, False),
        (0.0, 0.0, False),
        (math.inf, 1.0, False),
        (math.nan, 1.0, False),
    ],
)
def test_rule_of_convergence(change: float, tol: float, rests: bool) -> None:
    assert converged(change, tol) is rests


def test_it_stops_at_the_first_small_change() -> None:
    found = run(ROWS, worse(0), replace(ENDLESS, tol=1e-3, max_iter=1000), TEAM)
    changes = np.abs(np.diff(found.lower_bounds))
    assert found.status is Status.CONVERGED
    assert changes[-1] < 1e-3
    assert (changes[:-1] >= 1e-3).all()


def test_a_warm_start_compares_with_what_was_before() -> None:
    bound = run(ROWS, START, replace(ENDLESS, max_iter=1), TEAM).lower_bound
    again = run(ROWS, START, replace(ENDLESS, tol=1e-3), TEAM, previous=bound)
    assert (again.status, again.n_iter) == (Status.CONVERGED, 1)


def test_no_iterations_return_the_start() -> None:
    found = run(ROWS, START, replace(ENDLESS, max_iter=0), TEAM)
    assert found.parameters is START
    assert (found.n_iter, found.lower_bound, found.lower_bounds, found.status) == (0, -math.inf, (), Status.MAX_ITER)


def test_callbacks_see_every_iteration() -> None:
    seen: list[Iteration] = []
    found = run(ROWS, START, ENDLESS, TEAM, restart=3, callback=seen.append)
    assert [done.number for done in seen] == [1, 2, 3, 4, 5, 6]
    assert tuple(done.log_likelihood for done in seen) == found.lower_bounds
    assert seen[0].change == math.inf
    np.testing.assert_array_equal([done.change for done in seen[1:]], np.diff(found.lower_bounds))
    assert {done.restart for done in seen} == {3}
    assert seen[-1].parameters is found.parameters


def test_true_stops_the_run() -> None:
    found = run(ROWS, START, ENDLESS, TEAM, callback=stop_at(2))
    assert (found.status, found.n_iter) == (Status.STOPPED, 2)
    assert same(found.parameters, run(ROWS, START, replace(ENDLESS, max_iter=2), TEAM).parameters)


@pytest.mark.parametrize("answer", [1, "yes", np.True_, False, None])
def test_nothing_but_true_stops_the_run(answer: object) -> None:
    assert run(ROWS, START, ENDLESS, TEAM, callback=stop_at(2, answer)).n_iter == 6


def test_an_interrupt_carries_the_last_complete_iteration() -> None:
    with pytest.raises(Interrupted) as stop:
        run(ROWS, START, ENDLESS, TEAM, callback=interrupt_at(3))
    found = stop.value.result
    whole = run(ROWS, START, replace(ENDLESS, max_iter=3), TEAM)
    assert isinstance(stop.value, KeyboardInterrupt)
    assert found.status is Status.INTERRUPTED
    assert found.lower_bounds == whole.lower_bounds
    assert same(found.parameters, whole.parameters)


def test_an_interrupt_within_an_iteration_keeps_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, calls = ArrayRows(problems.drawn(MIXTURE, 500)), []
    sweep = rows.sweep

    def interrupted(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return sweep(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rows, "sweep", interrupted)
    with pytest.raises(Interrupted) as stop:
        run(rows, START, ENDLESS, TEAM, callback=lambda done: None)
    assert same(stop.value.result.parameters, run(ROWS, START, replace(ENDLESS, max_iter=2), TEAM).parameters)


def test_an_interrupt_before_the_first_iteration_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastgmm.em.run.maximise", lambda *_, **__: interrupted())
    with pytest.raises(KeyboardInterrupt) as stop:
        run(ROWS, START, ENDLESS, TEAM, callback=lambda done: None)
    assert not isinstance(stop.value, Interrupted)


def test_a_collapse_is_an_error() -> None:
    X = np.repeat([[0.0, 1.0], [3.0, 5.0]], 20, axis=0)
    rows = ArrayRows(X)
    start = rows.frame.enter(Parameters(np.full(2, 0.5), X[[0, -1]], np.stack([np.eye(2)] * 2)))
    with pytest.raises(DegenerateComponentError, match="ill-defined empirical covariance"):
        run(rows, start, replace(ENDLESS, max_iter=50), TEAM)


def test_a_start_that_was_repaired_is_remembered() -> None:
    told = (Degeneracy(0, 1, "regularised"),)
    found = run(ROWS, START, ENDLESS, TEAM, degenerate=told)
    assert found.degenerate == told


# --- restarts ---


def bests(*seeds: int, **options: object) -> RunResult:
    return best_run(ROWS, [lambda seed=seed: Start(worse(seed)) for seed in seeds], ENDLESS, TEAM, **options)  # type: ignore[misc]


def test_the_best_start_is_kept() -> None:
    alone = [bests(seed) for seed in range(4)]
    best = max(alone, key=lambda found: found.lower_bound)
    assert len({found.lower_bound for found in alone}) > 1
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        assert same(bests(*order).parameters, best.parameters)


def test_the_first_of_equals_is_kept() -> None:
    results = iter([Start(START), Start(worse(0))])
    found = best_run(ROWS, [lambda: next(results)] * 2, replace(ENDLESS, max_iter=0), TEAM)
    assert found.parameters is START


def test_restarts_are_numbered_and_made_one_by_one() -> None:
    events: list[object] = []

    def start() -> Start:
        events.append("start")
        return Start(START)

    best_run(ROWS, [start] * 2, replace(ENDLESS, max_iter=1), TEAM, callback=lambda done: events.append(done.restart))
    assert events == ["start", 0, "start", 1]


def test_a_stop_ends_all_restarts() -> None:
    seen: list[int] = []

    def callback(done: Iteration) -> bool:
        seen.append(done.restart)
        return done.restart == 1

    assert bests(0, 1, 2, callback=callback).n_iter in (1, 6)
    assert seen == [0] * 6 + [1]


def test_an_interrupted_restart_gives_the_best_so_far() -> None:
    with pytest.raises(Interrupted) as stop:
        bests(0, 1, callback=interrupt_at(1, restart=1))
    first, second = bests(0), run(ROWS, worse(1), replace(ENDLESS, max_iter=1), TEAM)
    better = max((first, second), key=lambda found: found.lower_bound)
    assert same(stop.value.result.parameters, better.parameters)


def test_an_interrupt_while_a_start_is_made_gives_the_best_so_far() -> None:
    def interrupted() -> Start:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stop:
        best_run(ROWS, [lambda: Start(START), interrupted], ENDLESS, TEAM)
    assert stop.value.result.n_iter == 6
    with pytest.raises(KeyboardInterrupt) as stop_at_once:
        best_run(ROWS, [interrupted], ENDLESS, TEAM)
    assert not isinstance(stop_at_once.value, Interrupted)
