"""Options and problems of the micro-benchmarks, and the rule that they run only when asked for by path."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastgmm
from bench.micro.problem import Problem
from bench.rows import mixture
from bench.start import make_start

HERE = Path(__file__).resolve().parent
SHAPES = [(2, 8), (8, 16), (16, 32), (64, 8)]  # (D, K): scalar code, small and full tiles, few large components


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the number of rows; tiny by default, so that a test run can afford it."""
    parser.addoption("--bench-rows", type=int, default=2000, help="rows of the micro-benchmarks (default 2000)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; naming this folder outweighs the project's `--benchmark-skip`."""
    config.addinivalue_line("markers", "bench: a timing, run only when bench/micro is named")
    if _asked(config):
        config.option.benchmark_skip = False


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip this folder unless it is asked for."""
    return None if _asked(config) else True


def _asked(config: pytest.Config) -> bool:
    """Say whether an argument names this folder, a file in it, or `bench`."""
    asked = [Path(config.invocation_params.dir, str(argument).split("::")[0]).resolve() for argument in config.args]
    return any(path.is_relative_to(HERE) or path == HERE.parent for path in asked)


@pytest.fixture(params=SHAPES, ids=lambda shape: f"D{shape[0]}-K{shape[1]}")
def problem(request: pytest.FixtureRequest) -> Problem:
    """Return rows and the parameters that EM would start from."""
    n_features, n_components = request.param
    X = mixture(request.config.getoption("--bench-rows"), n_features, n_components, seed=0)
    start = make_start(X, n_components, seed=0)
    return Problem(X, fastgmm.Parameters(start.weights, start.means, start.covariances))
