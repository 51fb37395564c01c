from __future__ import annotations

import numpy as np

from bench import strategies
from bench.problems import PROBLEMS
from bench.strategies import _row, ours, page

RESULTS = {
    "machine": {"cpu": "a processor", "cores": 2},
    "problems": {"faithful": {"EM": [[-4.1, 20.0, 0.1], [-4.068, 30.0, 0.3]], "peer": [[-1e300, None, 0.2]] * 3}},
}


def test_a_row_counts_what_is_near_the_optimum() -> None:
    assert _row(RESULTS["problems"]["faithful"]["EM"], PROBLEMS["faithful"]) == (
        "1 of 2 | -0.0177 | -0.0337 | 25 | 0.200"
    )


def test_the_page_has_a_table_for_each_problem() -> None:
    text = page(RESULTS)
    assert "## faithful" in text
    assert "| peer | 0 of 3 | collapses | collapses |  | 0.200 |" in text


def test_passes_are_counted_from_the_start() -> None:
    problem = PROBLEMS["faithful"]
    X = problem.make()
    value, passes = ours(X, problem, 0)
    assert value <= problem.optimum + strategies.NEAR
    assert passes is not None
    assert passes > 10
    assert np.isfinite(value)
