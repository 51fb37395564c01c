from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import problems
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from fastgmm import GaussianMixture, bounded_task
from fastgmm.bounded_task import BoundedState, BoundedTask, Motion, Step, transport
from fastgmm.em import passes as module
from fastgmm.em.passes import AutoPasses, BoundedPasses, DensePasses, passes
from fastgmm.errors import DataError
from fastgmm.expectation_task import PackedMixture
from fastgmm.frame import Frame
from fastgmm.kernels.layout import block_rows
from fastgmm.models import maximise
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

SERIAL, PARALLEL, POOL = Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")
TEAMS = {"serial": SERIAL, "parallel": PARALLEL, "pool": POOL}


def separated(n_components: int, n_features: int, distance: float = 6.0) -> reference.Mixture:
    m = problems.mixture(n_components, n_features)
    return m._replace(means=m.means * distance)


def walk(rows: ArrayRows, start, n_iter: int, steps):
    """The statistics of EM's iterations by `steps`."""
    parameters, found = start, []
    for _ in range(n_iter):
        statistics = steps.expectation(parameters)
        found.append(statistics)
        parameters = maximise(statistics, reg_covar=1e-6)
    return found


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize(("n_features", "distance"), [(9, 1.0), (17, 6.0), (33, 2.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_iteration_is_the_dense_one(team: str, n_features: int, distance: float, weighted: bool) -> None:
    m = separated(7, n_features, distance)
    X = problems.drawn(m, 2 * block_rows(n_features) + 25)
    rows = ArrayRows(X, problems.row_weights(len(X)) if weighted else None)
    start = rows.frame.enter(problems.parameters(problems.mixture(7, n_features, seed=1)._replace(means=m.means + 0.3)))
    bounded = BoundedPasses(rows, 7, TEAMS[team])
    dense = walk(rows, start, 8, DensePasses(rows, SERIAL))
    for found, expected in zip(walk(rows, start, 8, bounded), dense, strict=True):
        assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
        scale = np.abs(expected.sum_xx).max()
        np.testing.assert_allclose(found.sum_w, expected.sum_w, rtol=1e-12, atol=1e-12 * len(X))
        np.testing.assert_allclose(found.sum_xx, expected.sum_xx, rtol=0, atol=1e-11 * scale)
    if distance > 1:
        assert bounded.evaluated < 0.6
    if distance > 2:
        assert bounded._state.sums is not None
        assert (bounded._state.settled >= 0).mean() > 0.5
        assert bounded.evaluated < 1 / 7  # less than a pair a row


def test_settled_sums_are_formed_anew_where_components_jump() -> None:
    m = separated(5, 17)
    rows = ArrayRows(problems.drawn(m, 900))
    p = rows.frame.enter(problems.parameters(m))
    bounded = BoundedPasses(rows, 5, SERIAL)
    for number in range(12):
        q = replace(p, means=p.means * (1.5 if number == 6 else 1 + 1e-3 * number))
        found, expected = bounded.expectation(q), rows.expectation(q, SERIAL)
        assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
        problems.assert_moments(found, reference.Moments(expected.sum_w, expected.sum_x, expected.sum_xx), 1e-12)
        assert (bounded._state.sums is not None) == (number > 1)
    assert bounded.evaluated < 0.2


def test_states_go_on_with_what_is_settled() -> None:
    m = separated(5, 17)
    rows = ArrayRows(problems.drawn(m, 900))
    p = rows.frame.enter(problems.parameters(m))
    one, other = (BoundedPasses(rows, 5, SERIAL) for _ in range(2))
    for number in range(6):
        one.expectation(replace(p, means=p.means * (1 + 1e-3 * number)))
    other.restore({name: array.copy() for name, array in one.state().items()})
    for number in range(6, 9):
        q = replace(p, means=p.means * (1 + 1e-3 * number))
        problems.same_bits(one.expectation(q), other.expectation(q))
        assert one.evaluated == other.evaluated < 0.2


def test_without_jit() -> None:
    m = separated(3, 9)
    X = problems.drawn(m, 60)
    rows, p = ArrayRows(X), problems.parameters(m)
    inside = rows.frame.enter(p)
    state = BoundedState(60, 9, 3)
    from fastgmm.kernels.variants import bounded_kernel

    for _ in range(2):
        task = BoundedTask(PackedMixture(rows.frame, inside), state=state, motion=state.move(Step.none(3)))
        stacks = np.empty((2, 4, task.node_length)), np.empty((2, 4), dtype=np.int64), np.empty(2, dtype=np.int64)
        task.call(bounded_kernel(9, np.dtype(np.float64), np.float64, "python"), 0, X, np.empty(0), (0, *stacks))
        found = task.statistics(stacks[0][0, 0], rows.weight)
        expected = rows.expectation(inside, SERIAL)
        assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-13)
        np.testing.assert_allclose(
            found.sum_xx, expected.sum_xx, rtol=1e-12, atol=1e-12 * np.abs(expected.sum_xx).max()
        )
    assert stacks[0][0, 0, 1] < 180


@pytest.mark.parametrize("n_features", [9, 17, 40])
def test_float32_rows(n_features: int) -> None:
    m = separated(6, n_features)
    X = problems.drawn(m, 2 * block_rows(n_features) + 25).astype(np.float32)
    rows = ArrayRows(X)
    start = rows.frame.enter(problems.parameters(m._replace(means=m.means + 0.2)))
    assert rows.packed(start).real is np.float32
    bounded = BoundedPasses(rows, 6, SERIAL)
    dense = walk(rows, start, 6, DensePasses(rows, SERIAL))
    for found, expected in zip(walk(rows, start, 6, bounded), dense, strict=True):
        assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-7)
        np.testing.assert_allclose(found.sum_w, expected.sum_w, rtol=1e-5)
    assert bounded.evaluated < 0.6


def test_bounds_hold_while_parameters_wander_and_are_stored_anew_when_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_task, "WORN", 8.0)
    m = separated(5, 17)
    rows = ArrayRows(problems.drawn(m, 900))
    p = rows.frame.enter(problems.parameters(m))
    bounded, worn = BoundedPasses(rows, 5, SERIAL), []
    move = bounded._state.move

    def watched(step: Step) -> Motion:
        worn.append(motion := move(step))
        return motion

    monkeypatch.setattr(bounded._state, "move", watched)
    rng, deviations = np.random.default_rng(0), np.sqrt(np.diagonal(p.covariances, axis1=1, axis2=2))
    for _ in range(30):
        q = Parameters(p.weights, p.means + 0.3 * deviations * rng.standard_normal(p.means.shape), p.covariances)
        found, expected = bounded.expectation(q), rows.expectation(q, SERIAL)
        assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
    assert 2 <= sum(motion.worn for motion in worn) <= 20


@pytest.mark.parametrize("skip_below", [0.0, 2.0**-53, 1e-9, 1e-3])
def test_no_row_loses_more_than_is_allowed(skip_below: float) -> None:
    m = separated(7, 17, 1.5)
    X = problems.drawn(m, 1500)
    rows = ArrayRows(X)
    start = rows.frame.enter(problems.parameters(m))
    bounded = BoundedPasses(rows, 7, SERIAL, skip_below)
    for step in range(3):
        p = replace(start, means=start.means * (1 + 1e-3 * step))
        found = bounded.expectation(p)
        exact = rows.expectation(p, SERIAL, skip_below=0.0)
        lost = 1 - found.sum_w.sum() / len(X)
        assert -1e-12 <= lost <= skip_below + 1e-12
        assert abs(found.log_likelihood - exact.log_likelihood) <= 2 * len(X) * skip_below + 1e-9


def test_rows_share_their_allowance_among_their_pairs() -> None:
    m, allowance = separated(24, 12, 0.25), 1e-2
    X, lost = problems.drawn(m, 240), []
    for i in range(0, 240, 8):
        rows = ArrayRows(X, np.where(np.arange(240) == i, 1.0, 0.0))  # only one counts
        start = rows.frame.enter(problems.parameters(m))
        bounded = BoundedPasses(rows, 24, SERIAL, allowance)
        for step in range(3):
            p = replace(start, means=start.means * (1 + 1e-3 * step))
            found = bounded.expectation(p)
        exact = rows.expectation(p, SERIAL, skip_below=0.0)
        by_bounds = -np.expm1(found.log_likelihood - exact.log_likelihood)
        lost.append(by_bounds + 1 - found.sum_w.sum())
    assert min(lost) >= -1e-12
    assert allowance / 2 < max(lost) <= allowance
    assert np.mean(lost) > 2 * allowance / 24


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-8, 1e-3, 0.3, 1.0]))
def test_transport_keeps_bounds(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    before = problems.parameters(problems.mixture(3, 5, seed))
    other = problems.mixture(3, 5, seed + 1)
    after = problems.parameters(
        reference.Mixture(
            before.weights,
            before.means + size * rng.standard_normal((3, 5)),
            (1 - size) * before.covariances + size * other.covariances,
        )
    )
    step = transport(before, after)
    x = 3 * rng.standard_normal((200, 5))
    for k in range(3):
        old = np.linalg.norm((x - before.means[k]) @ before.whiteners[k].T, axis=1)
        new = np.linalg.norm((x - after.means[k]) @ after.whiteners[k].T, axis=1)
        assert (new >= step.shrink[k] * old - step.shift[k]).all()
        assert (new <= step.grow[k] * old + step.shift[k]).all()
    still = transport(before, before)
    np.testing.assert_allclose(still.shrink, 1, rtol=1e-6)
    np.testing.assert_allclose(still.grow, 1, rtol=1e-6)
    assert not still.shift.any()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 3))
def test_blocks_are_dealt_out_whole_and_evenly(work: list[int], parts: int, first: int) -> None:
    state = BoundedState(64 * 48 * (first + len(work)), 9, 2)
    state.work[first:] = work
    p = problems.parameters(problems.mixture(2, 9))
    task = BoundedTask(PackedMixture(Frame.identity(9), p), state=state, motion=state.move(Step.none(2)))
    blocks, parts = len(work), min(parts, len(work))
    arcs, cuts = task.arcs(first, blocks, parts), task.cuts(first, blocks, parts)
    assert len(arcs) == task.runs(parts) + 1
    assert len(cuts) == parts + 1
    for found in (arcs, cuts):
        assert found[0] == 0
        assert found[-1] == blocks
        assert sorted(found) == found
    effort = np.array(work) + task.block
    loads = [effort[low:high].sum() for low, high in pairwise(arcs)]
    load = max([loads[0] + loads[-1], *loads[1:-1]])
    assert load <= max(effort[low:high].sum() for low, high in pairwise(cuts))
    assert load <= effort.sum() / parts + effort.max()


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_change_no_bit(n_threads: int) -> None:
    X = problems.drawn(separated(5, 17), 2000)
    options = {
        "algorithm": "bounded",
        "random_state": 0,
        "max_iter": 6,
        "tol": 0.0,
        "callback": lambda done: done.number == 6,
    }
    one, many = (GaussianMixture(5, n_threads=n, **options).fit(X) for n in (1, n_threads))
    assert one.means_.tobytes() == many.means_.tobytes()
    assert one.covariances_.tobytes() == many.covariances_.tobytes()
    assert one.lower_bounds_ == many.lower_bounds_


def test_restarts_forget_the_bounds_of_the_run_before() -> None:
    X = problems.drawn(separated(4, 17), 1500)
    fits = [GaussianMixture(4, n_init=3, random_state=0, algorithm=name).fit(X) for name in ("dense", "bounded")]
    assert fits[0].lower_bound_ == pytest.approx(fits[1].lower_bound_, rel=1e-12)
    np.testing.assert_array_equal(fits[0].predict(X), fits[1].predict(X))


def test_auto_tries_bounds_keeps_them_where_they_pay_and_leaves_them_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORK", 0.0)
    for distance, kept in ((6.0, True), (0.05, False)):
        m = separated(6, 33, distance)
        rows = ArrayRows(problems.drawn(m, 1200))
        start = rows.frame.enter(problems.parameters(m))
        steps = passes("auto", rows, 6, SERIAL)
        assert isinstance(steps, AutoPasses)
        shares = []
        for _ in range(12):
            steps.expectation(start)
            shares.append(steps.evaluated)
        assert shares[: module.FIRST_TRY] == [1.0] * module.FIRST_TRY
        assert all(share < module.PAYS[24] for share in shares[module.FIRST_TRY :]) == kept
        assert (shares[-1] == 1.0) == (not kept)


def test_auto_is_dense_where_bounds_cannot_pay() -> None:
    few = ArrayRows(problems.drawn(problems.mixture(3, 33), 100))
    assert isinstance(passes("auto", few, 3, SERIAL), DensePasses)
    assert isinstance(passes("dense", few, 3, SERIAL), DensePasses)


def test_bounds_need_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is computed from the rows."""
    monkeypatch.delattr("fastgmm.estimator.gaussian_mixture.settings_of")
    monkeypatch.delattr("fastgmm.estimator.gaussian_mixture.starts_of")
    X = problems.drawn(problems.mixture(3, 8), 100)
    with pytest.raises(DataError, match="at least 9 features, but X has 8"):
        GaussianMixture(3, algorithm="bounded").fit(X)
    with pytest.raises(DataError, match="for full covariances"):
        GaussianMixture(3, algorithm="bounded", covariance_type="diag").fit(X)
    with pytest.raises(DataError, match="at least 9 features, but X has 8"):
        passes("bounded", ArrayRows(X), 3, SERIAL)
    with pytest.raises(ValueError, match="'algorithm' parameter"):
        GaussianMixture(3, algorithm="fast").fit(X)


@pytest.mark.parametrize(
    "make", [DensePasses, lambda rows, team: BoundedPasses(rows, 2, team)], ids=["dense", "bounded"]
)
def test_sums_that_float32_cannot_tell_are_formed_in_float64_from_then_on(make) -> None:
    """Round components that meet rows on a line: what float32 says of the width of the line is rounding."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 10))
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
    narrow, wide = ArrayRows(X.astype(np.float32)), ArrayRows(X.astype(np.float32).astype(np.float64))
    start = Parameters([0.5, 0.5], X[:2], np.stack([np.eye(10)] * 2))
    p = narrow.frame.enter(start)
    assert narrow.packed(p).real is np.float32
    steps, exact = make(narrow, SERIAL), make(wide, SERIAL)
    for _ in range(2):
        found, expected = steps.expectation(p), exact.expectation(p)
        np.testing.assert_array_equal(found.sum_xx, expected.sum_xx)
