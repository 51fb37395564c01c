"""Accelerated runs against plain ones: never lower, on the whole in fewer passes."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import problems
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm import GaussianMixture
from fastgmm.em.acceleration import ACCELERATIONS, Anderson, Squarem
from fastgmm.em.convergence import Status
from fastgmm.em.coordinates import Chart
from fastgmm.em.run import RunResult, Settings, run
from fastgmm.models import MODELS
from fastgmm.models.prior import Prior
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

TEAM = Team(1, "serial")


def problem(separation: float, seed: int, n: int = 600) -> tuple[ArrayRows, Parameters]:
    """Rows of three components in two dimensions, and a start at three of them."""
    m = problems.mixture(3, 2, seed)
    X = problems.drawn(m._replace(means=separation * m.means), n, seed)
    rows = ArrayRows(X)
    means = X[np.random.default_rng(seed).choice(n, 3, replace=False)]
    return rows, rows.frame.enter(Parameters(np.full(3, 1 / 3), means, np.repeat(np.cov(X.T)[None], 3, axis=0)))


def settings(rows: ArrayRows, **options: object) -> Settings:
    return replace(Settings(tol=1e-10, max_iter=4000, ridge=1e-6 * rows.frame.scale**2), **options)  # type: ignore[arg-type]


def passes_to(found: RunResult, bound: float) -> float:
    """Passes until the objective came within 1e-6 of a bound."""
    near = np.flatnonzero(np.array(found.history.lower_bound) >= bound - 1e-6)
    return found.history.passes[near[0]] if len(near) else math.inf


def linear(rates: list[float]) -> tuple[list[Parameters], Parameters]:
    """Steps of an iteration that is linear in the chart about its limit, which is far from nowhere."""
    limit = Parameters(*problems.mixture(2, 2))
    chart = Chart(limit)
    size = chart.coordinates(limit).size
    error = 0.1 * np.random.default_rng(0).standard_normal(size)
    rate = np.resize(rates, size)
    points = [chart.parameters(error * rate**n) for n in range(6)]
    return [point for point in points if point is not None], limit


# --- proposals ---


def test_squarem_finds_the_limit_of_one_rate() -> None:
    points, limit = linear([0.9])
    squarem = Squarem(lambda found, _: found)
    assert squarem.propose(points[0], points[1], False) is None
    found = squarem.propose(points[1], points[2], False)
    assert found is not None
    length = Chart(limit).coordinates
    first = np.linalg.norm(length(found))
    assert first < 0.5 * np.linalg.norm(length(points[2]))  # α = 10 is not allowed yet: the error is 0.36 of the first
    for _ in range(2):
        assert squarem.propose(found, found, True) is None  # accepted: the limit grows
        squarem.propose(points[0], points[1], False)
        found = squarem.propose(points[1], points[2], False)
        assert found is not None
    assert np.linalg.norm(length(found)) < 0.05 * np.linalg.norm(length(points[2]))
    squarem.refused()
    squarem.refused()
    squarem.propose(points[0], points[1], False)
    again = squarem.propose(points[1], points[2], False)
    assert again is not None
    assert np.linalg.norm(length(again)) == pytest.approx(first)


def test_anderson_finds_the_limit_of_two_rates() -> None:
    points, limit = linear([0.9, 0.5])
    anderson = Anderson(lambda found, _: found)
    proposals = [anderson.propose(a, b, False) for a, b in pairwise(points)]
    assert proposals[:4] == [None] * 4
    assert proposals[-1] is not None
    length = Chart(limit).coordinates
    assert np.linalg.norm(length(proposals[-1])) < 0.05 * np.linalg.norm(length(points[-1]))


@pytest.mark.parametrize("kind", [Squarem, Anderson])
def test_a_step_that_rests_is_not_extrapolated(kind: type[Squarem] | type[Anderson]) -> None:
    limit = Parameters(*problems.mixture(2, 2))
    faster = kind(lambda found, _: found)
    for _ in range(5):
        found = faster.propose(limit, limit, False)
        if found is not None:
            np.testing.assert_allclose(found.means, limit.means, rtol=1e-12)


# --- runs ---


@pytest.mark.parametrize("name", ACCELERATIONS)
def test_no_accepted_step_lowers_the_likelihood(name: str) -> None:
    @given(st.sampled_from([0.5, 1.0, 2.0, 4.0]), st.integers(0, 1000))
    def law(separation: float, seed: int) -> None:
        rows, start = problem(separation, seed)
        found = run(rows, start, settings(rows, acceleration=name, tol=1e-7, max_iter=200, ridge=0.0), TEAM)
        assert np.diff(found.lower_bounds).min() >= -1e-13 * abs(found.lower_bound)  # EM's own steps round

    law()


def test_squarem_takes_fewer_passes() -> None:
    """The law of the issue on twelve problems: median of the passes' ratio ≤ 0.45, none above 1.1."""
    ratios = []
    for separation in (0.7, 1.0, 2.0, 4.0):
        for seed in range(3):
            rows, start = problem(separation, seed)
            plain = run(rows, start, settings(rows), TEAM)
            faster = run(rows, start, settings(rows, acceleration="squarem"), TEAM)
            assert faster.status is Status.CONVERGED
            best = max(plain.lower_bound, faster.lower_bound)
            ratios.append(passes_to(faster, best) / passes_to(plain, best))
    assert np.median(ratios) <= 0.45
    assert max(ratios) <= 1.1


@pytest.mark.parametrize("name", ACCELERATIONS)
def test_it_converges_where_em_rests(name: str) -> None:
    rows, start = problem(1.0, 1)
    found = run(rows, start, settings(rows, acceleration=name), TEAM)
    after = run(rows, found.parameters, settings(rows, max_iter=1), TEAM)
    assert found.status is Status.CONVERGED
    assert 0 <= after.lower_bound - found.lower_bound < 1e-10


def test_proposals_that_are_lower_are_refused_and_cost_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, start = problem(1.0, 0)
    plain = run(rows, start, settings(rows, max_iter=20), TEAM)
    worse = replace(start, covariances=100 * start.covariances)
    monkeypatch.setattr(Squarem, "propose", lambda self, at, updated, jumped: worse)
    found = run(rows, start, settings(rows, max_iter=40, acceleration="squarem"), TEAM)
    assert found.lower_bounds == plain.lower_bounds
    assert found.history.passes == list(range(1, 40, 2))
    np.testing.assert_array_equal(found.parameters.means, plain.parameters.means)


@pytest.mark.parametrize("name", ACCELERATIONS)
def test_callbacks_see_accepted_iterations_only(name: str) -> None:
    rows, start = problem(0.7, 0)
    seen = []
    found = run(rows, start, settings(rows, max_iter=60, acceleration=name), TEAM, callback=seen.append)
    assert [done.number for done in seen] == list(range(1, found.n_iter + 1))
    assert [done.log_likelihood for done in seen] == list(found.lower_bounds)
    assert found.n_iter < 60
    assert 59 <= found.history.passes[-1] <= 60
    assert seen[-1].parameters is found.parameters


@pytest.mark.parametrize("name", ACCELERATIONS)
def test_bounded_passes_follow_jumps(name: str) -> None:
    """Bounds are moved from the parameters before, however far away."""
    m = problems.mixture(3, 9)
    X = problems.drawn(m._replace(means=0.3 * m.means), 900)
    options = {"random_state": 0, "max_iter": 300, "tol": 1e-8, "acceleration": name, "init_params": "random_from_data"}
    dense, bounded = (GaussianMixture(3, algorithm=a, **options).fit(X) for a in ("dense", "bounded"))
    assert bounded.n_iter_ > 20
    assert bounded.lower_bound_ == pytest.approx(dense.lower_bound_, rel=1e-9)
    np.testing.assert_allclose(bounded.lower_bounds_[:20], dense.lower_bounds_[:20], rtol=1e-10)


@pytest.mark.parametrize("name", ACCELERATIONS)
@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_stays_itself(model: str, name: str) -> None:
    X = problems.drawn(problems.mixture(3, 2), 500)
    options = {"covariance_type": model, "random_state": 0, "max_iter": 2000, "tol": 1e-9}
    plain = GaussianMixture(3, **options).fit(X)
    faster = GaussianMixture(3, acceleration=name, **options).fit(X)
    assert faster.converged_
    assert faster.lower_bound_ > plain.lower_bound_ - 1e-6
    assert np.diff(faster.lower_bounds_).min() > -1e-9  # the ridge is no prior: EM's own steps may fall by it
    once = GaussianMixture(3, **options | {"warm_start": True, "max_iter": 3, "tol": 0.0})
    once.mixture_, once.n_features_in_, once.lower_bound_ = faster.mixture_, 2, faster.lower_bound_
    with pytest.warns(UserWarning, match="did not converge"):
        once.fit(X)
    assert once.lower_bound_ == pytest.approx(faster.lower_bound_, abs=1e-7)


@pytest.mark.parametrize("name", ACCELERATIONS)
def test_priors_weights_and_equal_weights(name: str) -> None:
    X = problems.drawn(problems.mixture(3, 2), 500)
    weights = problems.row_weights(500)
    options = {"prior": "mclust", "equal_weights": True, "random_state": 0, "max_iter": 2000, "tol": 1e-9}
    plain = GaussianMixture(3, reg_covar=0.0, **options).fit(X, sample_weight=weights)
    faster = GaussianMixture(3, reg_covar=0.0, acceleration=name, **options).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(faster.weights_, 1 / 3)
    assert faster.lower_bound_ > plain.lower_bound_ - 1e-6
    assert np.diff(faster.lower_bounds_).min() > -1e-12
    assert faster.n_iter_ < plain.n_iter_


@pytest.mark.parametrize("policy", ["regularise", "remove"])
def test_collapses_are_left_to_the_policy(policy: str) -> None:
    X = np.concatenate([problems.drawn(problems.mixture(2, 2), 200), np.repeat([[30.0, 30.0]], 40, axis=0)])
    start = {"means_init": [[0.0, 0.0], [1.0, 1.0], [30.0, 30.0]], "weights_init": np.full(3, 1 / 3)}
    options = {"precisions_init": np.repeat(np.eye(2)[None], 3, axis=0), "reg_covar": 0.0, "on_degenerate": policy}
    found = GaussianMixture(3, acceleration="squarem", max_iter=300, tol=1e-8, **start, **options).fit(X)
    assert found.degenerate_
    assert np.isfinite(found.lower_bound_)


def test_a_prior_in_the_settings_is_part_of_the_guard() -> None:
    rows, start = problem(1.0, 2)
    prior = Prior(np.zeros(2), 0.01, 4.0, 0.1 * np.eye(2))
    found = run(rows, start, settings(rows, acceleration="squarem", prior=prior, ridge=0.0), TEAM)
    assert np.diff(found.lower_bounds).min() >= -1e-13 * abs(found.lower_bound)
