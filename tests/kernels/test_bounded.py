"""The pass with bounds in all its modes: its sums against the oracle, and what it keeps against true distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import problems
import pytest
import reference
from instructions import REALS
from numpy.typing import NDArray

from fastgmm import bounded_task
from fastgmm.bounded_task import BoundedState, BoundedTask, Step, transport
from fastgmm.expectation_task import PackedMixture
from fastgmm.kernels.layout import STEP, block_rows, strip_rows
from fastgmm.kernels.variants import bounded_kernel
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

Floats = NDArray[np.float64]

SERIAL, PARALLEL, POOL = Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")
SUMS = {np.float64: 2e-13, np.float32: 2e-6}
LIKELIHOOD = {np.float64: 1e-13, np.float32: 1e-6}


class InPython(BoundedTask):
    """The pass as plain Python, on small blocks."""

    block = 2 * STEP

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        return bounded_kernel(self.n_features, dtype, self.mixture.real, "python")


class Walk:
    """Passes over some rows whose state goes from one to the next."""

    def __init__(
        self,
        X: NDArray[Any],
        m: reference.Mixture,
        sample_weight: Floats | None = None,
        team: Team = SERIAL,
        kind: type[BoundedTask] = BoundedTask,
    ) -> None:
        self.rows, self.team, self.kind = ArrayRows(X, sample_weight), team, kind
        self.weights = np.ones(len(X)) if sample_weight is None else sample_weight
        self.parameters = self.rows.frame.enter(problems.parameters(m))
        self.state = BoundedState(*X.shape, len(m.weights))
        self.state.work = np.zeros(len(X), dtype=np.int64)  # for blocks of any size
        self.strip = 0

    def take(self, after: Parameters | None = None, **options: Any) -> tuple[SufficientStatistics, float]:
        """Take a pass, perhaps under other parameters; return its statistics and how many pairs were computed."""
        p = self.parameters
        motion = self.state.move(Step.none(p.n_components) if after is None else transport(p, after))
        self.parameters = p if after is None else after
        real = np.float32 if self.rows.dtype == np.float32 else np.float64
        mixture = PackedMixture(self.rows.frame, self.parameters, real)
        task = self.kind(mixture, state=self.state, motion=motion, **options)
        self.strip = min(task.block, 4 * strip_rows(p.n_features, p.n_components))
        sums = self.rows.sweep(task, self.team)
        found = task.statistics(sums, self.rows.weight)
        self.state.learn(task, sums)
        return found, float(sums[1])

    def bounds(self) -> Floats:
        """The stored bounds as they read now, (N, K)."""
        n, k = self.rows.n_rows, self.parameters.n_components
        result = np.empty((n, k))
        for start in range(0, n, self.strip):
            size = min(self.strip, n - start)
            stride = -(-size // STEP) * STEP
            stored = self.state.bounds[start * k : (start + stride) * k].reshape(k, stride)
            result[start : start + size] = stored.T[:size]
        return self.state.factor * result - self.state.offset

    def bits(self) -> list[bytes]:
        arrays = self.state.bounds, self.state.homes, self.state.distances, self.state.settled
        return [array.tobytes() for array in arrays]

    def assert_right(self, found: SufficientStatistics, moments: bool = True) -> None:
        """Compare sums and state with the oracle."""
        X, p = self.rows.frame.rows(self.rows._array), self.parameters
        real = np.float32 if self.rows.dtype == np.float32 else np.float64
        joint = reference.log_joint(X, reference.Mixture(p.weights, p.means, p.covariances))
        likelihoods = self.weights * (reference.log_likelihoods(joint) + self.rows.frame.log_volume)
        assert abs(found.log_likelihood - likelihoods.sum()) <= LIKELIHOOD[real] * np.abs(likelihoods).sum()
        shares = reference.responsibilities(joint)
        if moments:
            problems.assert_moments(found, reference.moments(X, shares, found.origins, self.weights), SUMS[real])
        at_home = shares[np.arange(len(X)), self.state.homes]
        assert (at_home >= shares.max(axis=1) * (1 - 1e-3)).all()
        centred = X[:, None] - p.means
        distances = np.linalg.norm(np.einsum("kde,nke->nkd", p.whiteners, centred), axis=2)
        settled = self.state.settled[:, None] == np.arange(p.n_components)
        assert ((self.bounds() <= distances) | settled).all()
        assert (self.bounds()[settled] > 1e9).all()
        assert (self.state.distances >= distances[np.arange(len(X)), self.state.homes]).all()


@pytest.fixture(params=[-1.0, np.inf], ids=["homes first", "homes by bounds"])
def homes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether homes are evaluated before bounds are compared is chosen by this."""
    monkeypatch.setattr(bounded_task, "LOOSE", request.param)


def separated(n_components: int, n_features: int) -> reference.Mixture:
    m = problems.mixture(n_components, n_features)
    return m._replace(means=5.0 * m.means)


def moved(p: Parameters, by: float = 1e-3) -> Parameters:
    """A mixture a little elsewhere."""
    rng = np.random.default_rng(0)
    deviations = np.sqrt(np.einsum("kdd->kd", p.covariances))
    means = p.means + by * deviations * rng.standard_normal(p.means.shape)
    return Parameters(p.weights, means, p.covariances * (1 + by))


@REALS
@pytest.mark.parametrize("n_components", [1, 2, 7])
@pytest.mark.parametrize("n_features", [9, 16, 33])
def test_walks_in_all_modes(n_features: int, n_components: int, real: Any) -> None:
    m = separated(n_components, n_features)
    X = problems.drawn(m, block_rows(n_features) + 29).astype(real)
    weights = problems.row_weights(len(X))
    # One variant for threads: they are slow to compile.
    walks = [Walk(X, m, weights, team) for team in (SERIAL, POOL, *[PARALLEL] * (n_features != 16))]
    after = None
    for number in range(4):
        found, evaluated = walks[0].take(after)
        walks[0].assert_right(found)
        assert evaluated == len(X) * n_components if number == 0 else evaluated <= len(X) * n_components
        for other in walks[1:]:
            same, as_many = other.take(after)
            problems.same_bits(found, same)
            assert other.bits() == walks[0].bits()
            assert as_many == evaluated
        after = moved(walks[0].parameters)
    if n_components == 7:
        assert evaluated < 0.6 * len(X) * n_components


@REALS
def test_numbers_of_rows_around_every_boundary(real: Any) -> None:
    m = separated(3, 9)
    block = block_rows(9)
    X = problems.drawn(m, 2 * block + 1).astype(real)
    for n in [1, 2, 3, *(n + step for n in (24, STEP, 2 * STEP, block, 2 * block) for step in (-1, 0, 1))]:
        walk = Walk(X[:n], m)
        for after in (None, moved(walk.parameters)):
            walk.assert_right(walk.take(after)[0])


@pytest.mark.usefixtures("homes")
@REALS
@pytest.mark.parametrize("n_features", [9, 12, 16, 17, 31])
@pytest.mark.parametrize("n_components", [1, 3])
def test_plain_python(n_features: int, n_components: int, real: Any) -> None:
    m = separated(n_components, n_features)
    X = problems.drawn(m, 2 * STEP + 25).astype(real)
    walk = Walk(X, m, problems.row_weights(len(X)), kind=InPython)
    for after in (None, moved(walk.parameters)):
        walk.assert_right(walk.take(after)[0])


@pytest.mark.usefixtures("homes")
@REALS
@pytest.mark.parametrize("n_features", [9, 16])
def test_plain_python_and_compiled_agree(n_features: int, real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedTask, "block", 2 * STEP)
    m = separated(3, n_features)
    X = problems.drawn(m, 3 * STEP + 25).astype(real)
    walks = [Walk(X, m, kind=kind) for kind in (BoundedTask, InPython)]
    for after in (None, moved(walks[0].parameters)):
        (a, pairs), (b, as_many) = (walk.take(after) for walk in walks)
        assert pairs == as_many
        problems.assert_moments(a, reference.Moments(b.sum_w, b.sum_x, b.sum_xx), SUMS[real])
        np.testing.assert_array_equal(walks[0].state.homes, walks[1].state.homes)
        tight = {np.float64: 1e-6, np.float32: 1e-5}[real]
        np.testing.assert_allclose(walks[0].bounds(), walks[1].bounds(), rtol=tight, atol=tight)


@REALS
def test_rows_that_stay_are_not_computed_anew_for_far_components(real: Any) -> None:
    m = separated(7, 17)
    walk = Walk(problems.drawn(m, 2000).astype(real), m)
    first, every = walk.take()
    second, some = walk.take()
    assert some < 0.5 * every == 7000
    walk.assert_right(second)
    np.testing.assert_allclose(second.sum_w, first.sum_w, rtol=1e-6)


@pytest.mark.usefixtures("homes")
@REALS
def test_bounds_that_are_worn_are_stored_anew(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_task, "WORN", 1.0)
    m = separated(7, 17)
    walk = Walk(problems.drawn(m, 1000).astype(real), m)
    for after in (None, moved(walk.parameters), moved(walk.parameters, 0.01), None):
        found, evaluated = walk.take(after)
        walk.assert_right(found)
        np.testing.assert_array_equal(walk.state.factor, 1)
        assert not walk.state.offset.any()
    assert evaluated < 3500


@pytest.mark.usefixtures("homes")
@REALS
@pytest.mark.parametrize("kind", [BoundedTask, InPython])
@pytest.mark.parametrize(("n_features", "n_components"), [(9, 3), (9, 1), (16, 3)])
def test_settled_rows_are_not_computed_and_count_all_the_same(
    kind: type[BoundedTask], n_features: int, n_components: int, real: Any
) -> None:
    m = separated(n_components, n_features)
    X = problems.drawn(m, 2 * STEP + 25).astype(real)
    walk = Walk(X, m, problems.row_weights(len(X)), kind=kind)
    walk.take()
    pairs = []
    for number, by in enumerate((0.0, 1e-4, 1e-3, 1e-2, 0.2, 0.0, 1e-3)):
        found, evaluated = walk.take(moved(walk.parameters, by), settle=number in (0, 5))
        walk.assert_right(found)
        pairs.append(evaluated)
        assert walk.state.alone > 0.5 * len(X)
        assert found.sum_w.sum() == pytest.approx(walk.weights.sum(), rel=SUMS[real])
    assert pairs[0] >= len(X)
    assert pairs[1] < 0.5 * len(X)
    assert pairs[6] < 0.5 * len(X)


@pytest.mark.usefixtures("homes")
@REALS
def test_rows_that_are_settled_elsewhere_after_a_jump_owe_all_their_weight(real: Any) -> None:
    m = separated(4, 17)
    walk = Walk(problems.drawn(m, 500).astype(real), m)
    walk.take(settle=True)
    assert (walk.state.settled >= 0).all()
    turned = walk.rows.frame.enter(problems.parameters(m._replace(means=np.roll(m.means, 1, axis=0))))
    found, _ = walk.take(turned)
    walk.assert_right(found, moments=False)
    np.testing.assert_allclose(found.sum_w, turned_counts(walk), rtol=0, atol=1e-3 if real is np.float32 else 1e-9)
    assert walk.state.alone == 0
    assert walk.state.settles(Step.none(4), 2.0**-53) is False


def turned_counts(walk: Walk) -> Floats:
    p = walk.parameters
    joint = reference.log_joint(
        walk.rows.frame.rows(walk.rows._array), reference.Mixture(p.weights, p.means, p.covariances)
    )
    return reference.responsibilities(joint).sum(axis=0)


@REALS
def test_homes_first_leave_fewer_pairs_where_little_is_known(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    m = problems.mixture(7, 17)
    m, pairs = m._replace(means=1.5 * m.means), []
    for loose in (-1.0, np.inf):
        monkeypatch.setattr(bounded_task, "LOOSE", loose)
        walk = Walk(problems.drawn(m, 2000).astype(real), m)
        walk.take()
        found, evaluated = walk.take(moved(walk.parameters, 0.2))
        walk.assert_right(found)
        pairs.append(evaluated)
    assert pairs[0] < 0.93 * pairs[1]
    assert pairs[1] < 14000


@pytest.mark.usefixtures("homes")
@REALS
def test_a_long_way_in_short_steps(real: Any) -> None:
    m = separated(4, 9)
    walk = Walk(problems.drawn(m, 500).astype(real), m)
    for _ in range(30):
        walk.assert_right(walk.take(moved(walk.parameters, 0.01))[0])


@pytest.mark.usefixtures("homes")
@REALS
def test_a_jump_to_somewhere_else(real: Any) -> None:
    m = separated(4, 17)
    walk = Walk(problems.drawn(m, 500).astype(real), m)
    walk.take()
    other = problems.mixture(4, 17, seed=1)
    target = walk.rows.frame.enter(problems.parameters(other._replace(means=m.means[::-1].copy())))
    for after in (target, None):
        walk.assert_right(walk.take(after)[0])


@REALS
def test_everything_is_computed_where_nothing_may_be_skipped(real: Any) -> None:
    m = separated(4, 9)
    walk = Walk(problems.drawn(m, 500).astype(real), m)
    for _ in range(2):
        found, evaluated = walk.take(skip_below=0.0)
        walk.assert_right(found)
        assert evaluated == 2000


@REALS
def test_a_component_without_weight_gets_nothing(real: Any) -> None:
    m = separated(3, 9)
    m = m._replace(weights=np.array([0.5, 0.0, 0.5]))
    walk = Walk(problems.drawn(m, 500).astype(real), m)
    for _ in range(2):
        found, evaluated = walk.take()
        walk.assert_right(found)
        assert found.sum_w[1] == 0
        assert not found.sum_xx[1].any()
        assert not (walk.state.homes == 1).any()
    assert evaluated <= 1000


@REALS
def test_a_row_far_from_all_has_a_home(real: Any) -> None:
    m = separated(3, 9)
    X = np.vstack([problems.drawn(m, 100), np.full((2, 9), 3e3), np.full((2, 9), -3e3)]).astype(real)
    walk = Walk(X, m)
    for _ in range(2):
        found, _ = walk.take()
        assert found.sum_w.sum() == pytest.approx(104, rel=SUMS[real])
        assert np.isfinite(found.log_likelihood)
        assert (walk.state.homes >= 0).all()
