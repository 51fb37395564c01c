"""The kernels that take whole iterations, without JIT; compiled ones are compared in tests/em and tests/initialise."""

from __future__ import annotations

import numpy as np
import problems
import pytest
import reference

from fastgmm.assignment_task import AssignmentTask
from fastgmm.em.compiled import compiled
from fastgmm.em.run import Settings
from fastgmm.initialise.steps import compiled_steps
from fastgmm.kernels import variants
from fastgmm.models import maximise
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

ALONE = Team(1, "serial")
KERNELS = "expectation", "nearest", "factors", "log_constants", "m_step", "pack_centres", "move_centres", "lloyd"


@pytest.fixture
def _in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KERNELS, "iterate"):
        monkeypatch.setattr(variants, f"{name}_kernel", python(getattr(variants, f"{name}_kernel")))


def python(kernel: object) -> object:
    def built(*arguments: object) -> object:
        given = ["python" if argument in ("serial", "parallel") else argument for argument in arguments]
        return kernel(*given, *[] if "python" in given else ["python"])  # type: ignore[operator]

    return built


@pytest.mark.usefixtures("_in_python")
@pytest.mark.parametrize("n_features", [2, 9])
def test_iterations_in_plain_python(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, 60)
    rows = ArrayRows(X)
    start = rows.frame.enter(Parameters(*m))
    iterations = compiled(rows, start, Settings(tol=0.0, ridge=0.0, max_iter=3), ALONE)
    assert iterations is not None
    iterations.advance(3, -np.inf)
    expected, history = reference.em(X, m, 3)
    np.testing.assert_allclose(iterations.taken(), history, rtol=1e-13)
    found = rows.frame.leave(iterations.parameters)
    np.testing.assert_allclose(found.means, expected.means, rtol=1e-10)
    np.testing.assert_allclose(found.covariances, expected.covariances, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("_in_python")
def test_steps_of_lloyd_in_plain_python() -> None:
    X = problems.drawn(problems.mixture(3, 2), 60)
    rows = ArrayRows(X)
    frame = rows.frame.isotropic()
    start = frame.rows(X[:3])
    steps = compiled_steps(rows, AssignmentTask(frame, start), ALONE, -1.0)
    assert steps is not None
    found, taken = steps.take(start, 4)
    assert taken == 4
    np.testing.assert_allclose(found, reference.lloyd(frame.rows(X), start, 4), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n_features", [1, 2, 9])
def test_m_step(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, 200)
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    sums = reference.moments(X, shares, m.means)
    statistics = SufficientStatistics(m.means, *sums[:3], 0.0, 200.0)
    ridge = np.linspace(0.0, 1.0, n_features)
    found = maximise(statistics, reg_covar=ridge)
    np.testing.assert_allclose(found.weights, shares.mean(axis=0), rtol=1e-13)
    for k in range(3):
        mean = np.average(X, axis=0, weights=shares[:, k])
        np.testing.assert_allclose(found.means[k], mean, rtol=1e-11, atol=1e-13)
        covariance = np.cov(X.T, aweights=shares[:, k], ddof=0).reshape(n_features, n_features) + np.diag(ridge)
        np.testing.assert_allclose(found.covariances[k], covariance, rtol=1e-10, atol=1e-12)


def test_logarithms_of_densities_at_means() -> None:
    p = Parameters(*problems.mixture(3, 4))
    expected = [
        np.log(w) - 0.5 * np.linalg.slogdet(2 * np.pi * s)[1] for w, s in zip(p.weights, p.covariances, strict=True)
    ]
    np.testing.assert_allclose(p.log_constants, expected, rtol=1e-13)
    assert Parameters(np.array([0.0, 1.0]), p.means[:2], p.covariances[:2]).log_constants[0] == -np.inf
