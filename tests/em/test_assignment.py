"""Classification EM and stochastic EM."""

from __future__ import annotations

import warnings

import numpy as np
import problems
import pytest

from fastgmm import GaussianMixture
from fastgmm.em.joint import expected_joint
from fastgmm.errors import ParameterError
from fastgmm.models import MODELS
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

MIXTURE = problems.mixture(3, 2)
X = problems.drawn(MIXTURE, 600)
HARD = {"assignment": "hard", "random_state": 0, "max_iter": 500, "tol": 1e-12}


def lloyd(centres: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """k-means by the textbook, until labels rest."""
    labels = None
    while True:
        nearest = ((X[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        if labels is not None and (nearest == labels).all():
            return centres, labels
        labels = nearest
        centres = np.array([np.average(X[labels == k], axis=0, weights=weights[labels == k]) for k in range(3)])


@pytest.mark.parametrize("seed", range(5))
def test_spheres_of_one_size_are_k_means(seed: int) -> None:
    centres = X[np.random.default_rng(seed).choice(len(X), 3, replace=False)]
    weights = problems.row_weights(600, seed)
    gm = GaussianMixture(
        3,
        covariance_type="EII",
        equal_weights=True,
        means_init=centres,
        precisions_init=np.full(3, 1.0),
        reg_covar=0.0,
        **HARD,
    )
    gm.weights_init = None
    labels = gm.fit_predict(X, sample_weight=weights)
    expected, nearest = lloyd(centres, weights)
    assert gm.converged_
    np.testing.assert_array_equal(labels, nearest)
    np.testing.assert_allclose(gm.means_, expected, rtol=1e-12)
    inertia = weights @ ((X - expected[nearest]) ** 2).sum(axis=1) / weights.sum()
    np.testing.assert_allclose(gm.covariances_, inertia / 2, rtol=1e-12)


@pytest.mark.parametrize("model", list(MODELS))
def test_hard_steps_raise_the_classification_likelihood(model: str) -> None:
    gm = GaussianMixture(3, covariance_type=model, reg_covar=0.0, **HARD).fit(X)
    assert gm.converged_
    assert np.diff(gm.lower_bounds_).min(initial=0.0) > -1e-11
    best = gm.mixture_.log_joint(X).max(axis=1)
    assert gm.lower_bound_ == pytest.approx(best.mean(), rel=1e-12)  # nothing moved in the last step
    assert gm.lower_bound_ <= gm.score(X)


def test_hard_steps_count_weights_and_units() -> None:
    weights = problems.row_weights(600)
    far = GaussianMixture(3, reg_covar=0.0, **HARD).fit(1e3 * X + 1e6, sample_weight=weights)
    near = GaussianMixture(3, reg_covar=0.0, **HARD).fit(X, sample_weight=weights)
    best = near.mixture_.log_joint(X).max(axis=1)
    assert near.lower_bound_ == pytest.approx(np.average(best, weights=weights), rel=1e-12)
    assert far.lower_bound_ == pytest.approx(near.lower_bound_ - 2 * np.log(1e3), rel=1e-9)


def test_float32_rows_are_labelled_as_float64() -> None:
    narrow = GaussianMixture(3, **HARD).fit(X.astype(np.float32))
    wide = GaussianMixture(3, **HARD).fit(X.astype(np.float32).astype(np.float64))
    assert narrow.lower_bound_ == pytest.approx(wide.lower_bound_, rel=1e-9)


def test_a_hard_iteration_is_one_pass() -> None:
    gm = GaussianMixture(3, init_params="random", **HARD).fit(X)
    np.testing.assert_array_equal(gm.history_["passes"], 1 + np.arange(1, gm.n_iter_ + 1))


def test_draws_keep_the_best_mixture_that_a_pass_saw() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a chain has nothing to converge to, and no warning to give
        gm = GaussianMixture(3, assignment="stochastic", random_state=1, max_iter=60).fit(X)
    assert (gm.n_iter_, gm.converged_) == (60, False)
    assert gm.lower_bound_ == max(gm.lower_bounds_) == pytest.approx(gm.score(X), rel=1e-12)
    assert len(set(gm.lower_bounds_)) == 60
    best = GaussianMixture(3, random_state=1, max_iter=2000, tol=1e-9).fit(X)
    assert best.lower_bound_ - 0.02 < gm.lower_bound_ < best.lower_bound_ + 1e-6


def test_chains_are_repeatable_and_differ_between_restarts() -> None:
    options = {"assignment": "stochastic", "max_iter": 5, "init_params": "random_from_data"}
    one, same, other = (GaussianMixture(3, random_state=seed, **options).fit(X) for seed in (0, 0, 1))
    assert one.lower_bounds_ == same.lower_bounds_ != other.lower_bounds_
    start = {"weights_init": MIXTURE.weights, "means_init": MIXTURE.means, "precisions_init": [np.eye(2)] * 3}
    seen: list[tuple[int, float]] = []
    GaussianMixture(
        3, n_init=2, random_state=0, callback=lambda done: seen.append((done.restart, done.log_likelihood)),
        **options, **start,
    ).fit(X)  # fmt: skip
    chains = [[bound for restart, bound in seen if restart == number] for number in (0, 1)]
    assert chains[0][0] == chains[1][0]
    assert chains[0][1] != chains[1][1]


def test_threads_do_not_change_a_chain() -> None:
    options = {"assignment": "stochastic", "max_iter": 5, "random_state": 0}
    one, two = (GaussianMixture(3, n_threads=n, **options).fit(X) for n in (1, 2))
    assert one.lower_bounds_ == two.lower_bounds_
    assert one.means_.tobytes() == two.means_.tobytes()


def test_joint_density_of_any_responsibilities() -> None:
    rows = ArrayRows(X)
    shares = np.random.default_rng(0).dirichlet(np.ones(3), len(X))
    gm = GaussianMixture(3, random_state=0).fit(X)
    inside = rows.frame.enter(gm.mixture_.parameters)
    statistics = rows.expectation(inside, Team(1, "serial"), given=lambda start, stop: shares[start:stop])
    found = expected_joint(statistics, inside) + len(X) * rows.frame.log_volume
    assert found == pytest.approx((shares * gm.mixture_.log_joint(X)).sum(), rel=1e-12)


@pytest.mark.parametrize("assignment", ["hard", "stochastic"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acceleration": "squarem"}, "extrapolates smooth steps"),
        ({"algorithm": "bounded"}, "rules out small responsibilities"),
    ],
)
def test_what_makes_no_sense_together_is_refused(assignment: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        GaussianMixture(3, assignment=assignment, **options).fit(X)


@pytest.mark.parametrize("name", ["acceleration", "assignment", "convergence"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=f"The '{name}' parameter of GaussianMixture must be a str among"):
        GaussianMixture(3, **{name: "fast"}).fit(X)
