from __future__ import annotations

import dataclasses

import bayes_cases as cases
import numpy as np
import pytest
import variational
from scipy import stats

from fastgmm.bayes.posterior import Posterior
from fastgmm.bayes.update import update
from fastgmm.bayes.weights import Dirichlet
from fastgmm.mixture import Mixture


def posterior(form: str, kind: str = cases.KINDS[0]) -> Posterior:
    rows = cases.rows(form)
    return update(cases.first(rows), cases.prior(form, kind).enter(rows.frame), np.zeros(2)).leave(rows.frame)


@pytest.mark.parametrize("kind", cases.KINDS)
@pytest.mark.parametrize("form", cases.FORMS)
def test_expected_log_joint_is_the_oracles(form, kind):
    found = Mixture(posterior(form, kind).expected).log_joint(cases.X)
    step = variational.fit(cases.X, cases.RESP, cases.belief(form), kind, cases.ALPHA, form, 0)[0]
    np.testing.assert_allclose(found, step.joint, rtol=1e-11)


def test_expected_log_density_is_the_mean_over_draws_of_the_posterior():
    known = Posterior(
        Dirichlet(np.array([3.0])), np.zeros((1, 2)), np.array([2.0]), np.array([[[2.0, 0.5], [0.5, 1.0]]]),
        np.array([6.5]), "full",
    )  # fmt: skip
    x = np.array([1.0, -0.5])
    precisions = stats.wishart(6.5, np.linalg.inv(6.5 * known.covariances[0])).rvs(40_000, random_state=0)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((len(precisions), 2))
    means = np.linalg.solve(np.linalg.cholesky(2.0 * precisions).swapaxes(1, 2), noise[..., None])[..., 0]
    squares = np.einsum("nd,nde,ne->n", x - means, precisions, x - means)
    drawn = 0.5 * np.linalg.slogdet(precisions)[1] - np.log(2 * np.pi) - 0.5 * squares
    found = Mixture(known.expected).log_prob(x[None])[0]
    assert found == pytest.approx(drawn.mean(), abs=5 * drawn.std() / np.sqrt(len(drawn)))


@pytest.mark.parametrize("form", cases.FORMS)
def test_frames_and_back(form):
    there = posterior(form)
    frame = cases.rows(form).frame
    back = there.enter(frame).leave(frame)
    np.testing.assert_allclose(back.means, there.means, rtol=1e-14)
    np.testing.assert_array_equal(back.covariances, there.covariances)
    assert there.enter(frame).log_evidence(frame.log_volume) == pytest.approx(there.log_evidence(), rel=1e-13)


def test_point_is_a_density_and_expected_is_less():
    found = posterior("full")
    rows = np.random.default_rng(1).normal(cases.X.mean(axis=0), 2 * cases.X.std(axis=0), (50, 2))
    assert (Mixture(found.expected).log_prob(rows) < Mixture(found.point).log_prob(rows)).all()
    assert type(found.expected.rescaled(found.means, np.ones(2))) is type(found.expected)


def test_certainty_makes_the_expected_density_the_density():
    known = posterior("full")
    sure = dataclasses.replace(
        known, weights=Dirichlet(1e9 * np.array([0.2, 0.3, 0.5])), mean_precision=np.full(3, 1e9),
        degrees_of_freedom=np.full(3, 1e9),
    )  # fmt: skip
    scores = [Mixture(p).log_prob(cases.X) for p in (sure.expected, sure.point)]
    np.testing.assert_allclose(*scores, rtol=1e-6)
