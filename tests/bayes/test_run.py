from __future__ import annotations

import math
from dataclasses import replace

import bayes_cases as cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.bayes.posterior import Posterior
from fastgmm.bayes.run import Iteration, Settings, start_at
from fastgmm.bayes.update import update
from fastgmm.em.convergence import Status
from fastgmm.em.restarts import best_run
from fastgmm.em.run import Interrupted, RunResult
from fastgmm.em.run import run as em_run
from fastgmm.em.state import RunState

ROWS = cases.rows("full")
PRIOR = cases.prior("full").enter(ROWS.frame)
ENDLESS = Settings(PRIOR, 0.0, 6, np.zeros(2))
START = update(cases.first(ROWS), PRIOR, np.zeros(2))


def run(rows, start, settings, team, previous=-math.inf, **options) -> RunResult:
    made = start_at(start)
    begun = RunState(made.parameters, previous, more=made.more)
    return em_run(rows, made.parameters, settings, team, resumed=begun, **options)


def posterior(result: RunResult) -> Posterior:
    return Posterior.of(result.more, PRIOR.form, PRIOR.kind)


def stop_at(number: int, answer: object = True):
    return lambda done: answer if done.number == number else None


def interrupt_at(number: int, restart: int = 0):
    def callback(done):
        if (done.restart, done.number) == (restart, number):
            raise KeyboardInterrupt

    return callback


def test_iterations_say_what_happened():
    seen: list[Iteration] = []
    result = run(ROWS, START, ENDLESS, cases.TEAM, callback=seen.append)
    assert [done.number for done in seen] == [1, 2, 3, 4, 5, 6]
    assert tuple(done.lower_bound for done in seen) == result.lower_bounds
    np.testing.assert_array_equal([done.change for done in seen], np.diff([-math.inf, *result.lower_bounds]))
    assert seen[-1].parameters is result.parameters
    np.testing.assert_array_equal(posterior(result).expected.log_constants, result.parameters.log_constants)
    assert (result.status, result.n_iter, result.lower_bound) == (Status.MAX_ITER, 6, result.lower_bounds[-1])


@pytest.mark.parametrize("kind", cases.KINDS)
@pytest.mark.parametrize("form", ["full", "diag", "spherical"])
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 10), st.floats(1.01, 30), st.integers(0, 50))
def test_the_bound_never_falls(form, kind, concentration, mean_precision, degrees, seed):
    rows = cases.rows(form)
    prior = replace(
        cases.prior(form, kind), concentration=concentration, mean_precision=mean_precision,
        degrees_of_freedom=degrees,
    ).enter(rows.frame)  # fmt: skip
    start = update(cases.first(rows), prior, np.zeros(2))
    moved = replace(start, means=start.means + 0.2 * np.random.default_rng(seed).standard_normal((cases.K, 2)))
    bounds = run(rows, moved, Settings(prior, 0.0, 12, np.zeros(2)), cases.TEAM).lower_bounds
    assert np.diff(bounds).min() >= -1e-12 * np.abs(bounds).max()


def test_convergence_is_of_the_total():
    result = run(ROWS, START, replace(ENDLESS, tol=0.05, max_iter=500), cases.TEAM)
    changes = np.abs(np.diff(result.lower_bounds))
    assert result.status is Status.CONVERGED
    assert changes[-1] < 0.05 <= changes[:-1].min()


def test_going_on_from_a_posterior_is_going_on():
    whole = run(ROWS, START, ENDLESS, cases.TEAM)
    half = run(ROWS, START, replace(ENDLESS, max_iter=3), cases.TEAM)
    rest = run(ROWS, posterior(half), replace(ENDLESS, max_iter=3), cases.TEAM, previous=half.lower_bound)
    assert half.lower_bounds + rest.lower_bounds == whole.lower_bounds
    np.testing.assert_array_equal(posterior(rest).covariances, posterior(whole).covariances)


def test_no_iterations_return_the_start():
    result = run(ROWS, START, replace(ENDLESS, max_iter=0), cases.TEAM)
    np.testing.assert_array_equal(posterior(result).covariances, START.covariances)
    np.testing.assert_array_equal(posterior(result).weights.mean, START.weights.mean)
    assert (result.n_iter, result.lower_bound) == (0, -math.inf)


def test_a_callback_stops_the_run():
    result = run(ROWS, START, ENDLESS, cases.TEAM, callback=stop_at(2))
    assert (result.status, result.n_iter) == (Status.STOPPED, 2)
    assert run(ROWS, START, ENDLESS, cases.TEAM, callback=stop_at(2, answer=1)).n_iter == 6


def test_interrupts_keep_the_last_complete_iteration():
    with pytest.raises(Interrupted) as caught:
        run(ROWS, START, ENDLESS, cases.TEAM, callback=interrupt_at(3))
    assert caught.value.result.lower_bounds == run(ROWS, START, ENDLESS, cases.TEAM).lower_bounds[:3]
    assert caught.value.result.status is Status.INTERRUPTED


def starts():
    other = replace(START, means=START.means[::-1].copy())
    return [lambda: start_at(START), lambda: start_at(other)]


def test_the_best_of_several_starts_is_kept():
    ended: list[float] = []
    result = best_run(ROWS, starts(), ENDLESS, cases.TEAM, ended=lambda number, found: ended.append(found.lower_bound))
    assert len(ended) == 2
    assert result.lower_bound == max(ended)


@pytest.mark.parametrize("place", [(2, 0), (2, 1)])
def test_an_interrupt_among_restarts_keeps_the_best_so_far(place):
    with pytest.raises(Interrupted) as caught:
        best_run(ROWS, starts(), ENDLESS, cases.TEAM, interrupt_at(*place))
    whole = run(ROWS, START, ENDLESS, cases.TEAM)
    expected = whole.lower_bounds[1] if place[1] == 0 else max(whole.lower_bound, caught.value.result.lower_bound)
    assert caught.value.result.lower_bound == expected


def test_an_interrupt_before_anything_is_complete_is_one():
    def never():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        best_run(ROWS, [never], ENDLESS, cases.TEAM)
    assert not isinstance(caught.value, Interrupted)
    with pytest.raises(Interrupted) as later:
        best_run(ROWS, [lambda: start_at(START), never], ENDLESS, cases.TEAM)
    assert later.value.result.n_iter == 6


def test_a_stop_leaves_out_the_other_starts():
    called = []
    best_run(ROWS, [lambda: start_at(START), lambda: called.append(1)], ENDLESS, cases.TEAM, stop_at(1))
    assert not called
