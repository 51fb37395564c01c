"""Mixture: densities, posteriors and marginals beside SciPy's normal distribution."""

import dataclasses

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from fastgmm import Mixture, Parameters


def mixture(k=3, d=3, seed=0, **options):
    rng = np.random.RandomState(seed)
    mixing = rng.normal(size=(k, d, d)) + 2 * np.eye(d)
    covariances = np.einsum("kde,kfe->kdf", mixing, mixing)
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2
    return Mixture(Parameters(rng.dirichlet(np.ones(k)), rng.normal(0, 3, (k, d)), covariances), **options)


def rows(n=500, d=3, seed=1):
    return np.random.RandomState(seed).normal(0, 4, (n, d))


def log_joint(m, X):
    p = m.parameters
    parts = zip(p.weights, p.means, p.covariances, strict=True)
    return np.stack([np.log(w) + multivariate_normal(mean, cov).logpdf(X) for w, mean, cov in parts], axis=-1)


@pytest.mark.parametrize("d", [2, 3, 8, 16])
def test_densities_are_scipys(d):
    m, X = mixture(d=d), rows(d=d)
    expected = log_joint(m, X)
    np.testing.assert_allclose(m.log_joint(X), expected, rtol=1e-10)
    np.testing.assert_allclose(m.log_prob(X), logsumexp(expected, axis=1), rtol=1e-10)
    posterior = np.exp(expected - logsumexp(expected, axis=1, keepdims=True))
    np.testing.assert_allclose(m.responsibilities(X), posterior, rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(m.predict(X), expected.argmax(axis=1))
    assert m.score(X) == pytest.approx(logsumexp(expected, axis=1).mean(), rel=1e-12)


def test_far_tails_are_exact():
    m = Mixture(Parameters([0.5, 0.5], [[0.0], [1.0]], [[[1.0]], [[1.0]]]))
    X = np.array([[-450.0], [450.0], [1e6]])
    expected = logsumexp(log_joint(m, X), axis=1)
    np.testing.assert_allclose(m.log_prob(X), expected, rtol=1e-12)
    np.testing.assert_array_equal(m.predict(X), [0, 1, 1])
    np.testing.assert_allclose(m.responsibilities(X).sum(axis=1), 1, rtol=1e-15)


def test_component_of_weight_zero_takes_no_row():
    m = Mixture(Parameters([1.0, 0.0], [[5.0], [0.0]], [[[1.0]], [[1.0]]]))
    X = np.linspace(-3, 3, 20)[:, None]
    np.testing.assert_array_equal(m.predict(X), 0)
    np.testing.assert_array_equal(m.responsibilities(X)[:, 1], 0)
    np.testing.assert_allclose(m.log_prob(X), multivariate_normal(5, 1).logpdf(X), rtol=1e-12)


def test_a_rows_results_do_not_depend_on_the_others():
    m, X = mixture(), rows(1001)
    whole = m.log_prob(X)
    pieces = np.concatenate([m.log_prob(X[start : start + 97]) for start in range(0, len(X), 97)])
    np.testing.assert_array_equal(np.signbit(pieces), np.signbit(whole))
    np.testing.assert_allclose(pieces, whole, rtol=1e-13)
    order = np.random.RandomState(0).permutation(len(X))
    np.testing.assert_array_equal(m.log_prob(X[order]), whole[order])


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_bits(n_threads):
    X = rows(20_000)
    np.testing.assert_array_equal(mixture(n_threads=n_threads).log_prob(X), mixture().log_prob(X))


def test_criteria():
    m, X = mixture(k=3, d=3), rows()
    assert (m.n_components, m.n_features, m.n_parameters) == (3, 3, 3 * 6 + 9 + 2)
    assert m.aic(X) == pytest.approx(-2 * m.log_prob(X).sum() + 2 * 29)
    assert m.bic(X) == pytest.approx(-2 * m.log_prob(X).sum() + 29 * np.log(500))


def test_marginal():
    m, X = mixture(), rows()
    part = m.marginal([2, 0])
    p = m.parameters
    np.testing.assert_array_equal(part.parameters.means, p.means[:, [2, 0]])
    np.testing.assert_array_equal(part.parameters.covariances[:, 0, 1], p.covariances[:, 2, 0])
    np.testing.assert_allclose(
        part.log_prob(X[:, [2, 0]]), logsumexp(log_joint(part, X[:, [2, 0]]), axis=1), rtol=1e-10
    )
    assert m.marginal(1).n_features == 1


@pytest.mark.parametrize("form", ["full", "tied", "diag", "spherical"])
def test_marginals_keep_their_form(form):
    p, X = mixture().parameters, rows()
    stored = {
        "full": p.covariances,
        "tied": p.covariances[0],
        "diag": np.einsum("kdd->kd", p.covariances),
        "spherical": p.covariances[:, 0, 0],
    }[form]
    m = Mixture(Parameters(p.weights, p.means, stored, form))
    part = m.marginal([2, 0])
    assert part.parameters.form == form
    expected = m.parameters.matrices[:, [2, 0]][:, :, [2, 0]]
    np.testing.assert_array_equal(part.parameters.matrices, expected)
    same = Mixture(Parameters(p.weights, p.means[:, [2, 0]], expected))
    np.testing.assert_allclose(part.log_prob(X[:, [2, 0]]), same.log_prob(X[:, [2, 0]]), rtol=1e-11)


@pytest.mark.parametrize(
    ("form", "stored", "n_parameters"),
    [("full", (3, 3, 3), 18), ("tied", (3, 3), 6), ("diag", (3, 3), 9), ("spherical", (3,), 3)],
)
def test_parameters_are_counted_by_form_model_and_weights(form, stored, n_parameters):
    p = Parameters(np.full(3, 1 / 3), np.zeros((3, 3)), np.ones(stored), form)
    assert Mixture(p).n_parameters == n_parameters + 9 + 2
    assert Mixture(p, equal_weights=True).n_parameters == n_parameters + 9
    if form == "full":
        assert Mixture(p, model="EVE").n_parameters == 1 + 3 * 2 + 3 + 9 + 2


def test_sample():
    m = mixture()
    X, labels = m.sample(50_000, np.random.RandomState(0))
    assert (X.shape, labels.dtype) == ((50_000, 3), np.int64)
    assert (np.diff(labels) >= 0).all()
    for k in range(3):
        expected = m.parameters.covariances[k]
        np.testing.assert_allclose(np.cov(X[labels == k].T), expected, atol=0.1 * np.abs(expected).max())
    again, _ = m.sample(50_000, np.random.RandomState(0))
    np.testing.assert_array_equal(again, X)


def test_a_mixture_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixture().parameters = None


@pytest.mark.parametrize("d", [2, 4])
def test_other_number_of_columns_is_refused(d):
    with pytest.raises(ValueError, match=f"X has {d} features.*3 features"):
        mixture().log_prob(rows(d=d))


def test_bad_covariance_is_refused_when_used():
    m = Mixture(Parameters([1.0], np.zeros((1, 2)), -np.eye(2)[None]))
    with pytest.raises(ValueError, match="Component 0: its smallest eigenvalue is -"):
        m.log_prob(np.zeros((3, 2)))
