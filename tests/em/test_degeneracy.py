"""Collapses: how they are noticed, and what each policy makes of problems that do collapse."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import problems
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastgmm import GaussianMixture, Parameters
from fastgmm.em.degeneracy import MOST_RESEEDS, SINGULAR, Degeneracy, Repairs, collapsed, spread
from fastgmm.errors import DegenerateComponentError
from fastgmm.models import FAMILIES, MODELS, maximise
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

Floats = NDArray[np.float64]

CLOUD = problems.drawn(problems.mixture(2, 2), 300)
POINT = np.array([9.0, -8.0])
HEAP = np.vstack([CLOUD, np.repeat(POINT[None], 8, axis=0)])
"""A cloud, and one row eight times: a component on it has no covariance. More would draw the next component in."""

PAIR = np.repeat([[0.0, 1.0], [3.0, 5.0]], 20, axis=0)


def at_point(covariance_type: str = "full", means: object = ([0.0, 0.0], [1.0, 1.0], POINT)) -> dict[str, object]:
    """A start with its last component on the heap."""
    k = len(means)  # type: ignore[arg-type]
    form = MODELS[FAMILIES.get(covariance_type, covariance_type)].form
    precisions = {"diag": np.ones((k, 2)), "spherical": np.ones(k), "tied": np.eye(2)}
    return {
        "covariance_type": covariance_type,
        "means_init": np.array(means),
        "weights_init": np.full(k, 1 / k),
        "precisions_init": precisions.get(form, np.repeat(np.eye(2)[None], k, axis=0)),
    }


def fit(X: Floats, k: int, policy: str, **options: object) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        gm = GaussianMixture(k, reg_covar=0, random_state=0, on_degenerate=policy, max_iter=300)
        return gm.set_params(**options).fit(X)


def statistics(X: Floats, parameters: Parameters) -> SufficientStatistics:
    rows = ArrayRows(X)
    found = rows.expectation(rows.frame.enter(parameters), Team(1, "serial"))
    return rows.frame.leave_statistics(found, parameters.means)


# --- noticing ---


@pytest.mark.parametrize("form", ["full", "diag", "tied"])
def test_spread_is_the_variance_of_all_rows(form: str) -> None:
    s = statistics(CLOUD, problems.parameters(problems.mixture(2, 2)))
    np.testing.assert_allclose(spread(s.reduced(form)), CLOUD.var(axis=0), rtol=1e-12)


def test_collapse_is_measured_in_variances_of_all_rows() -> None:
    thin = SINGULAR / 2
    variances = np.array([1e-200, 1e200])
    whole = np.diag(variances)
    flat = np.diag(variances * [1.0, thin])
    oblique = np.sqrt(variances)[:, None] * np.sqrt(variances) * np.array([[1.0, 1 - thin], [1 - thin, 1.0]])
    broken = np.full((2, 2), np.nan)
    full = Parameters(np.full(4, 0.25), np.zeros((4, 2)), np.stack([whole, flat, oblique, broken]))
    assert collapsed(full, variances).tolist() == [False, True, True, True]
    tied = Parameters(np.full(3, 1 / 3), np.zeros((3, 2)), flat, "tied")
    assert collapsed(tied, variances).tolist() == [True] * 3
    diag = Parameters(np.full(2, 0.5), np.zeros((2, 2)), np.stack([variances, variances * [thin, 1]]), "diag")
    assert collapsed(diag, variances).tolist() == [False, True]
    spherical = Parameters(np.full(2, 0.5), np.zeros((2, 2)), np.array([1.0, 1e-14]), "spherical")
    assert collapsed(spherical, np.ones(2)).tolist() == [False, True]


def test_a_feature_that_does_not_vary_is_no_collapse() -> None:
    gm = fit(np.c_[CLOUD, np.full(300, 1e5)], 2, "remove", reg_covar=1e-9)
    assert (gm.degenerate_, gm.mixture_.n_components) == ([], 2)


# --- raise ---


def test_raise_is_the_default_and_scikit_learns_error() -> None:
    assert GaussianMixture().on_degenerate == "raise"
    for X, k in ((HEAP, 3), (PAIR, 10)):
        options = at_point() if k == 3 else {}
        with pytest.raises(DegenerateComponentError, match="ill-defined empirical covariance"):
            fit(X, k, "raise", **options)


@pytest.mark.parametrize("policy", ["regularise", "reseed", "remove"])
def test_policies_change_nothing_where_nothing_collapses(policy: str) -> None:
    plain, other = fit(CLOUD, 3, "raise"), fit(CLOUD, 3, policy)
    assert other.degenerate_ == []
    assert other.covariances_.tobytes() == plain.covariances_.tobytes()


# --- regularise ---


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EVV", "EVE", "VEV", "VEE"])
def test_ten_components_on_two_points_are_regularised(covariance_type: str) -> None:
    gm = fit(PAIR, 10, "regularise", covariance_type=covariance_type)
    parameters = gm.mixture_.parameters
    smallest = np.linalg.eigvalsh(parameters.matrices / PAIR.std(axis=0)[:, None] / PAIR.std(axis=0)).min()
    assert 1e-11 < smallest < 1e-2
    assert np.isfinite(gm.score(PAIR))
    assert {collapse.action for collapse in gm.degenerate_} == {"regularised"}
    assert {collapse.component for collapse in gm.degenerate_} == set(range(10))
    assert gm.degenerate_[0].iteration == 0


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_only_the_component_that_collapsed_is_regularised(covariance_type: str) -> None:
    gm = fit(HEAP, 3, "regularise", tol=0.0, max_iter=40, **at_point(covariance_type))
    assert gm.degenerate_ == [Degeneracy(1, 2, "regularised")]
    start = at_point(covariance_type, means=([0.0, 0.0], [1.0, 1.0]))
    healthy = fit(CLOUD, 2, "raise", tol=0.0, max_iter=40, **start)
    np.testing.assert_allclose(gm.means_[:2], healthy.means_, rtol=1e-6)
    np.testing.assert_allclose(gm.covariances_[:2], healthy.covariances_, rtol=1e-6)
    np.testing.assert_allclose(gm.means_[2], POINT, rtol=1e-9)


def test_ridges_are_told_once() -> None:
    gm = fit(HEAP, 3, "regularise", tol=0.0, max_iter=30, means_init=[[0.0, 0.0], [1.0, 1.0], POINT], n_init=2)
    assert len(gm.degenerate_) == len({collapse.component for collapse in gm.degenerate_}) > 0


# --- remove ---


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical", "VVE"])
def test_the_component_on_a_point_is_removed(covariance_type: str) -> None:
    gm = fit(HEAP, 3, "remove", **at_point(covariance_type))
    assert gm.means_.shape == (2, 2)
    assert gm.weights_.sum() == pytest.approx(1.0, abs=1e-12)
    assert gm.predict_proba(HEAP).shape == (308, 2)
    (collapse,) = gm.degenerate_
    assert (collapse.component, collapse.action) == (2, "removed")
    assert np.isfinite(gm.score(HEAP))
    changes = np.diff(gm.lower_bounds_[collapse.iteration :])
    assert changes.min() > -1e-12


def test_components_without_rows_are_removed() -> None:
    means = np.vstack([CLOUD[:2], [[1e4, 1e4]]])
    precisions = np.repeat(np.eye(2)[None], 3, axis=0)
    start = {"means_init": means, "weights_init": np.full(3, 1 / 3), "precisions_init": precisions}
    kept = fit(CLOUD, 3, "raise", reg_covar=1e-6, **start)
    assert kept.weights_[2] < 1e-15
    gm = fit(CLOUD, 3, "remove", reg_covar=1e-6, **start)
    assert gm.degenerate_ == [Degeneracy(1, 2, "removed")]
    np.testing.assert_allclose(gm.means_, kept.means_[:2], rtol=1e-9)


def test_components_are_numbered_as_they_are_at_that_moment() -> None:
    X = np.vstack([HEAP, np.repeat(-POINT[None], 30, axis=0)])
    gm = fit(X, 4, "remove", **at_point(means=(POINT, [0.0, 0.0], -POINT, [1.0, 1.0])))
    assert gm.means_.shape == (2, 2)
    assert gm.degenerate_ == [Degeneracy(1, 0, "removed"), Degeneracy(2, 1, "removed")]


@pytest.mark.parametrize("covariance_type", ["full", "spherical"])
def test_a_component_that_is_drawn_to_where_one_was_removed_stays(covariance_type: str) -> None:
    """Most rows are the same one: whatever component takes them collapses, until none is left."""
    X = np.vstack([CLOUD, np.repeat(POINT[None], 3000, axis=0)])
    gm = fit(X, 3, "remove", tol=1e-6, **at_point(covariance_type))
    assert [one.action for one in gm.degenerate_] == ["removed", "regularised"]
    assert gm.means_.shape == (2, 2)
    drawn_in = gm.degenerate_[1].component
    np.testing.assert_allclose(gm.means_[drawn_in], POINT, rtol=1e-12)
    np.testing.assert_allclose(gm.weights_[drawn_in], 3000 / len(X), rtol=1e-12)
    np.testing.assert_allclose(gm.means_[1 - drawn_in], CLOUD.mean(axis=0), rtol=1e-9)


def test_where_components_were_removed_is_part_of_the_state() -> None:
    p = Parameters([0.5, 0.5], [[0.0, 0.0], POINT], np.repeat(np.eye(2)[None], 2, axis=0))
    collapsing = statistics(HEAP, p)
    step = lambda part, more, whole: maximise(part, reg_covar=more)  # noqa: E731
    first, second = Repairs("remove", "VVV"), Repairs("remove", "VVV")
    found, anew = first.maximise(collapsing, step, 1)
    assert (found.n_components, anew) == (1, True)
    second.restore(first.state())
    found, anew = second.maximise(collapsing, step, 2)
    assert (found.n_components, anew) == (2, False)
    assert second.found == (Degeneracy(2, 1, "regularised"),)
    assert second.state() == ((1,), (), first.state()[2])


@pytest.mark.parametrize("policy", ["remove", "reseed"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EVV"])
def test_where_every_component_collapses_it_is_an_error(policy: str, covariance_type: str) -> None:
    with pytest.raises(DegenerateComponentError, match="No component is left that did not collapse"):
        fit(PAIR, 10, policy, covariance_type=covariance_type)


# --- reseed ---


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VEV"])
def test_a_component_without_rows_starts_again_beside_the_widest(covariance_type: str) -> None:
    X = np.vstack([CLOUD, CLOUD + 25.0])
    start = {"means_init": [X.mean(axis=0), [1e5, 1e5]], "weights_init": [0.5, 0.5], "tol": 1e-8}
    shape = {"tied": (2, 2), "diag": (2, 2), "spherical": (2,)}.get(covariance_type, (2, 2, 2))
    start["precisions_init"] = np.eye(2) if shape == (2, 2) and covariance_type == "tied" else np.ones(shape)
    if shape == (2, 2, 2):
        start["precisions_init"] = np.repeat(np.eye(2)[None], 2, axis=0)
    gm = fit(X, 2, "reseed", covariance_type=covariance_type, reg_covar=1e-6, **start)
    best = fit(X, 2, "raise", covariance_type=covariance_type, tol=1e-8)
    assert gm.degenerate_[0] == Degeneracy(1, 1, "reseeded")
    assert gm.score(X) == pytest.approx(best.score(X), abs=1e-4)


@pytest.mark.parametrize(("policy", "k"), [("remove", 2), ("reseed", 3)])
def test_equal_weights_stay_equal(policy: str, k: int) -> None:
    start = at_point(means=([0.0, 0.0], [1.0, 1.0], [0.0, 1e4]))
    del start["weights_init"]
    gm = fit(CLOUD, 3, policy, equal_weights=True, max_iter=1, init_params="random", **start)
    assert gm.degenerate_
    np.testing.assert_array_equal(gm.weights_, np.full(k, 1 / k))


def test_reseeding_is_deterministic() -> None:
    start = at_point(means=([0.0, 0.0], [1e4, 0.0], [0.0, 1e4]))
    first, second = (fit(CLOUD, 3, "reseed", max_iter=20, **start) for _ in range(2))
    assert [d.component for d in first.degenerate_[:2]] == [1, 2]
    assert first.means_.tobytes() == second.means_.tobytes()


def test_a_component_that_always_collapses_is_an_error() -> None:
    repairs = Repairs("reseed", "VVV")
    s = statistics(CLOUD, problems.parameters(problems.mixture(2, 2)))
    empty = dataclasses.replace(s, sum_w=s.sum_w * [1, 0], sum_x=s.sum_x * [[1], [0]], sum_xx=s.sum_xx * [[[1]], [[0]]])

    def step(part: SufficientStatistics, more: Floats | float, whole: bool) -> Parameters:
        return maximise(part, reg_covar=more)

    for iteration in range(1, MOST_RESEEDS + 1):
        _, anew = repairs.maximise(empty, step, iteration)
        assert anew
        assert repairs.found == (Degeneracy(iteration, 1, "reseeded"),)
    with pytest.raises(DegenerateComponentError, match=f"Component 1 was started again {MOST_RESEEDS} times"):
        repairs.maximise(empty, step, 9)


def test_the_pair_of_a_split_has_half_the_weight_each() -> None:
    s = statistics(CLOUD, problems.parameters(problems.mixture(2, 2)))
    empty = dataclasses.replace(s, sum_w=s.sum_w * [1, 0], sum_x=s.sum_x * [[1], [0]], sum_xx=s.sum_xx * [[[1]], [[0]]])
    found, _ = Repairs("reseed", "VVV").maximise(empty, lambda part, more, _: maximise(part, reg_covar=more), 1)
    alone = maximise(dataclasses.replace(s, **{n: getattr(s, n)[:1] for n in ("origins", "sum_w", "sum_x", "sum_xx")}))
    np.testing.assert_array_equal(found.weights, [0.5, 0.5])
    np.testing.assert_allclose(found.means.mean(axis=0), alone.means[0], rtol=1e-12)
    apart = found.means[0] - found.means[1]
    whitened = apart @ np.linalg.solve(found.covariances[0], apart)
    assert whitened == pytest.approx(1.0, rel=0.2)  # one standard deviation, in the metric of all rows


# --- what is told ---


def test_records_are_frozen_and_belong_to_the_best_run(capsys: pytest.CaptureFixture[str]) -> None:
    gm = fit(HEAP, 3, "remove", verbose=1, n_init=2, **at_point())
    assert gm.degenerate_ == [Degeneracy(1, 2, "removed")]
    with pytest.raises(dataclasses.FrozenInstanceError):
        gm.degenerate_[0].component = 5  # type: ignore[misc]
    assert capsys.readouterr().out.count("  Iteration 1\t component 2 collapsed: removed\n") == 2


def test_what_a_start_needed_is_in_the_verbose_lines(capsys: pytest.CaptureFixture[str]) -> None:
    gm = fit(PAIR, 3, "regularise", verbose=1)
    assert {collapse.iteration for collapse in gm.degenerate_} == {0}
    out = capsys.readouterr().out
    assert out.startswith("Initialization 0\n  Iteration 0\t component 0 collapsed: regularised\n")
    assert out.count("collapsed") == len(gm.degenerate_)


def test_collapses_are_in_the_verbose_lines(capsys: pytest.CaptureFixture[str]) -> None:
    means = np.vstack([CLOUD[:2], [[1e4, 1e4]]])
    precisions = np.repeat(np.eye(2)[None], 3, axis=0)
    start = {"means_init": means, "weights_init": np.full(3, 1 / 3), "precisions_init": precisions}
    seen = []
    fit(CLOUD, 3, "reseed", reg_covar=1e-6, verbose=2, callback=lambda done: seen.extend(done.degenerate), **start)
    assert "  Iteration 1\t component 2 collapsed: reseeded\n" in capsys.readouterr().out
    assert seen[0] == Degeneracy(1, 2, "reseeded")


def test_bounded_passes_go_along() -> None:
    m = problems.mixture(3, 16)
    X = problems.drawn(m._replace(means=6 * m.means), 3000)
    start = {"means_init": np.vstack([X[:3], np.full((1, 16), 1e4)]), "weights_init": np.full(4, 0.25)}
    start["precisions_init"] = np.repeat(np.eye(16)[None], 4, axis=0)
    for policy in ("remove", "reseed"):
        dense, bounded = (
            fit(X, 4, policy, reg_covar=1e-6, algorithm=algorithm, max_iter=15, **start)
            for algorithm in ("dense", "bounded")
        )
        assert dense.degenerate_ == bounded.degenerate_ != []
        np.testing.assert_allclose(bounded.means_, dense.means_, rtol=1e-8, atol=1e-8)
