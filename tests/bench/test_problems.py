from __future__ import annotations

import numpy as np
import pytest

from bench.problems import PROBLEMS


def test_problems_are_what_they_say() -> None:
    pytest.importorskip("sklearn")
    for problem in PROBLEMS.values():
        X = problem.make()
        assert X.flags.c_contiguous
        assert f"{X.shape[0]} × {X.shape[1]}" in problem.about
        assert f"K = {problem.n_components}" in problem.about


def test_rows_have_the_same_bits_whatever_number_of_threads_a_blas_has() -> None:
    pytest.importorskip("sklearn")
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    for problem in PROBLEMS.values():
        made = []
        for threads in (1, 2):
            with limits(threads):
                made.append(problem.make())
        np.testing.assert_array_equal(made[0], made[1])
