"""Each step of an EM iteration, and prediction, on its own. Each records the log-likelihood beside the seconds."""

from __future__ import annotations

import warnings

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import fastgmm
from bench.micro.problem import Problem

pytestmark = [pytest.mark.bench, pytest.mark.benchmark(max_time=0.2, min_rounds=3)]


def test_expectation(benchmark: BenchmarkFixture, problem: Problem) -> None:
    """The fused pass over all rows."""
    fastgmm.expectation(problem.X, problem.parameters)  # compiled here, not in the first round
    statistics = benchmark(fastgmm.expectation, problem.X, problem.parameters)
    benchmark.extra_info["log_likelihood"] = statistics.log_likelihood / statistics.weight


def test_maximise(benchmark: BenchmarkFixture, problem: Problem) -> None:
    """Parameters from statistics; no row is seen."""
    statistics = fastgmm.expectation(problem.X, problem.parameters)
    parameters = benchmark(fastgmm.maximise, statistics)
    after = fastgmm.expectation(problem.X, parameters)
    benchmark.extra_info["log_likelihood"] = after.log_likelihood / after.weight


def test_merge(benchmark: BenchmarkFixture, problem: Problem) -> None:
    """`+` of the statistics of two halves."""
    middle = len(problem.X) // 2
    halves = [fastgmm.expectation(rows, problem.parameters) for rows in (problem.X[:middle], problem.X[middle:])]
    whole = benchmark(halves[0].__add__, halves[1])
    benchmark.extra_info["log_likelihood"] = whole.log_likelihood / whole.weight


def test_predict(benchmark: BenchmarkFixture, problem: Problem) -> None:
    """Labels from a mixture after one iteration."""
    model = fastgmm.GaussianMixture(
        problem.parameters.n_components,
        means_init=problem.parameters.means,
        max_iter=1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one iteration does not converge
        model.fit(problem.X)
    model.predict(problem.X)
    labels = benchmark(model.predict, problem.X)
    assert labels.shape == (len(problem.X),)
    benchmark.extra_info["log_likelihood"] = float(model.score(problem.X))
