"""The fused pass in all its modes against the oracle, and its bits against themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import problems
import pytest
import reference
from numpy.typing import NDArray

from fastgmm.expectation_task import ExpectationTask, PackedMixture
from fastgmm.frame import Frame
from fastgmm.initialise.random import RandomResponsibilities
from fastgmm.kernels import layout
from fastgmm.kernels.layout import STEP, WIDTH, block_rows, strip_rows
from fastgmm.kernels.variants import expectation_kernel
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import sweep
from fastgmm.threads import Team

Floats = NDArray[np.float64]

SERIAL, PARALLEL, POOL = Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")

FEATURES = [1, 2, 3, 8, 9, 16, 17, 24]
"""Compiled: four variants up to 8, two beyond. The others that matter run without JIT only."""


def in_units_of_x(
    X: NDArray[Any], m: reference.Mixture, team: Team, sample_weight: Floats | None = None, **options: Any
) -> SufficientStatistics:
    rows, p = ArrayRows(X, sample_weight), problems.parameters(m)
    return rows.frame.leave_statistics(rows.expectation(rows.frame.enter(p), team, **options), p.means)


def assert_like_the_oracle(
    found: SufficientStatistics, X: NDArray[Any], m: reference.Mixture, sample_weight: Floats | None = None
) -> None:
    joint = reference.log_joint(X.astype(np.float64), m)
    expected = reference.moments(X.astype(np.float64), reference.responsibilities(joint), m.means, sample_weight)
    problems.assert_moments(found, expected)
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    likelihoods = weights * reference.log_likelihoods(joint)
    assert abs(found.log_likelihood - likelihoods.sum()) <= 1e-13 * np.abs(likelihoods).sum()
    assert found.weight == pytest.approx(weights.sum(), rel=1e-14)


# --- compiled ---


@pytest.mark.parametrize("n_components", [1, 2, 7])
@pytest.mark.parametrize("n_features", FEATURES)
def test_serial_and_parallel_kernels(n_features: int, n_components: int) -> None:
    m = problems.mixture(n_components, n_features)
    X = problems.drawn(m, 2 * block_rows(n_features) + 5)
    weights = problems.row_weights(len(X))
    serial = in_units_of_x(X, m, SERIAL, weights)
    assert_like_the_oracle(serial, X, m, weights)
    problems.same_bits(serial, in_units_of_x(X, m, PARALLEL, weights))
    problems.same_bits(serial, in_units_of_x(X, m, POOL, weights))


@pytest.mark.parametrize("n_features", [2, 16])
def test_numbers_of_rows_around_every_boundary(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    block, strip = block_rows(n_features), strip_rows(n_features, 2)
    around = [n + step for n in (STEP // 2, STEP, strip, block, 2 * block, 7 * block) for step in (-1, 0, 1)]
    X = problems.drawn(m, 7 * block + 1)
    for n in [1, 2, 3, *around]:
        serial = in_units_of_x(X[:n], m, SERIAL)
        assert_like_the_oracle(serial, X[:n], m)
        problems.same_bits(serial, in_units_of_x(X[:n], m, PARALLEL))
        problems.same_bits(serial, in_units_of_x(X[:n], m, POOL))


def layouts(X: Floats) -> Iterator[NDArray[Any]]:
    """The numbers of X in other clothes; the last two are of another dtype."""
    yield np.asfortranarray(X)
    apart = np.zeros((2 * len(X), 2 * X.shape[1]), dtype=X.dtype)[::2, ::2]
    apart[:] = X
    yield apart
    yield X[::-1].copy()[::-1]
    yield X[:, ::-1].copy()[:, ::-1]
    fixed = X.copy()
    fixed.flags.writeable = False
    yield fixed
    unaligned = np.empty(X.nbytes + 1, dtype=np.uint8)[1:].view(X.dtype).reshape(X.shape)
    unaligned[:] = X
    yield unaligned
    yield X.astype(X.dtype.newbyteorder())
    yield X.astype(np.longdouble)


@pytest.mark.parametrize("n_features", [3, 16])
def test_memory_layout_changes_no_bit(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, 2 * block_rows(n_features) + 25)
    expected = in_units_of_x(X, m, SERIAL)
    for other in layouts(X):
        for team in (SERIAL, PARALLEL):
            problems.same_bits(in_units_of_x(other, m, team), expected)


@pytest.mark.parametrize("n_features", [2, 16])
def test_memory_layout_of_float32_changes_no_bit(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, 2 * block_rows(n_features) + 25).astype(np.float32)
    expected = in_units_of_x(X, m, SERIAL)
    for other in list(layouts(X))[:-2]:
        for team in (SERIAL, PARALLEL):
            problems.same_bits(in_units_of_x(other, m, team), expected)


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.int8, np.uint64, np.int32, ">i2", np.bool_])
def test_dtypes_count_as_their_float64_values(dtype: Any) -> None:
    m = problems.mixture(2, 3)
    X = np.abs(np.round(problems.drawn(m, 500))).astype(dtype)
    problems.same_bits(in_units_of_x(X, m, SERIAL), in_units_of_x(X.astype(np.float64), m, SERIAL))


def test_conversion_in_many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    m = problems.mixture(2, 3)
    X = problems.drawn(m, 6 * block_rows(3) + 25)
    expected = in_units_of_x(X, m, SERIAL)
    monkeypatch.setattr("fastgmm.rows.memory.CHUNK_BYTES", 1)
    problems.same_bits(in_units_of_x(np.asfortranarray(X), m, SERIAL), expected)
    problems.same_bits(in_units_of_x(np.asfortranarray(X), m, PARALLEL), expected)


@pytest.mark.parametrize("n_features", [3, 16])
def test_spans_change_no_bit(n_features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, 13 * block_rows(n_features) + 25)
    expected = in_units_of_x(X, m, SERIAL)
    for flop in (1.0, 3.5 * block_rows(n_features) * 2 * (2 * n_features * (n_features + 1) + 60)):
        monkeypatch.setattr("fastgmm.sweep.SPAN_FLOP", flop)
        problems.same_bits(in_units_of_x(X, m, PARALLEL), expected)
        problems.same_bits(in_units_of_x(X, m, POOL), expected)


@pytest.mark.parametrize("n_features", [2, 16])
def test_given_labels(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, 2 * block_rows(n_features) + 25)
    labels = np.random.default_rng(0).integers(0, 3, len(X)).astype(np.int32)
    weights = problems.row_weights(len(X))
    found = in_units_of_x(X, m, SERIAL, weights, labels=labels)
    problems.assert_moments(found, reference.moments(X, np.eye(3)[labels], m.means, weights))
    assert found.log_likelihood == 0
    problems.same_bits(found, in_units_of_x(X, m, PARALLEL, weights, labels=labels))


@pytest.mark.parametrize("n_features", [2, 16])
def test_given_responsibilities(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, 2 * block_rows(n_features) + 25)
    given = RandomResponsibilities(3, np.random.RandomState(0))
    weights = problems.row_weights(len(X))
    found = in_units_of_x(X, m, SERIAL, weights, given=given)
    problems.assert_moments(found, reference.moments(X, given(0, len(X)), m.means, weights))
    problems.same_bits(found, in_units_of_x(X, m, PARALLEL, weights, given=given))
    problems.same_bits(found, in_units_of_x(X, m, POOL, weights, given=given))


def test_a_component_without_weight_gets_nothing() -> None:
    m = problems.mixture(3, 2)
    m = m._replace(weights=np.array([0.5, 0.0, 0.5]))
    X = problems.drawn(m, 500)
    found = in_units_of_x(X, m, SERIAL)
    assert_like_the_oracle(found, X, m)
    assert found.sum_w[1] == 0
    assert not found.sum_xx[1].any()


@pytest.mark.parametrize("n_features", [2, 16])
def test_rows_too_far_for_any_component_still_count_once(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    X = np.vstack([problems.drawn(m, 100), np.full((3, n_features), 1e6), np.full((3, n_features), -1e120)])
    found = in_units_of_x(X, m, SERIAL)
    assert np.isfinite(found.log_likelihood)
    assert found.sum_w.sum() == pytest.approx(len(X), rel=1e-14)


@pytest.mark.parametrize("n_features", [2, 16])
def test_skipped_responsibilities_are_below_a_rounding(n_features: int) -> None:
    m = problems.mixture(4, n_features)
    m = m._replace(means=12.0 * m.means)
    X = problems.drawn(m, 2000)
    frame = Frame.identity(n_features)
    task = ExpectationTask(PackedMixture(frame, problems.parameters(m)))
    everything = ExpectationTask(task.mixture, skip_below=0.0)
    a, b = (sweep([(0, X, np.empty(0))], len(X), t, SERIAL)[8:] for t in (task, everything))
    np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13 * np.abs(b).max())


def test_rows_without_weight_are_as_if_absent() -> None:
    m = problems.mixture(2, 2)
    X = problems.drawn(m, 500)
    weights = np.repeat([1.0, 0.0], 250)
    found = in_units_of_x(X, m, SERIAL, weights)
    assert_like_the_oracle(found, X[:250], m)


# --- in float32 ---

SINGLE_FEATURES = [1, 2, 8, 9, 16, 33]
SINGLE_PARALLEL = [2, 9]
"""Few, and two variants for threads: they are slow to compile."""


def in_frame(
    X: NDArray[np.float32], m: reference.Mixture, team: Team, sample_weight: Floats | None = None, **options: Any
) -> SufficientStatistics:
    """Statistics in the frame's coordinates, where they say about which origins they were summed."""
    rows = ArrayRows(X, sample_weight)
    p = rows.frame.enter(problems.parameters(m))
    mixture = rows.packed(p)
    assert mixture.real is np.float32
    task = ExpectationTask(mixture, **options)
    return task.statistics(rows.sweep(task, team), rows.weight)


def assert_within_float32(
    found: SufficientStatistics,
    X: NDArray[np.float32],
    m: reference.Mixture,
    sample_weight: Floats | None = None,
    shares: Floats | None = None,
) -> None:
    """Compare with the oracle in float64 on the scale of what is summed."""
    frame = ArrayRows(X).frame
    inside = frame.enter(problems.parameters(m))
    rows = frame.rows(X)
    joint = reference.log_joint(rows, reference.Mixture(inside.weights, inside.means, inside.covariances))
    np.testing.assert_allclose(found.origins, inside.means, rtol=2.0**-24)
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    likelihoods = weights * (reference.log_likelihoods(joint) + frame.log_volume)
    if shares is None:
        assert abs(found.log_likelihood - likelihoods.sum()) <= 1e-6 * np.abs(likelihoods).sum()
        shares = reference.responsibilities(joint)
    assert found.weight == pytest.approx(weights.sum(), rel=1e-14)
    expected = reference.moments(rows, shares, found.origins, sample_weight)
    problems.assert_moments(found, expected, rtol=2e-6)


@pytest.mark.parametrize("n_components", [1, 2, 7])
@pytest.mark.parametrize("n_features", SINGLE_FEATURES)
def test_float32_rows_in_float32(n_features: int, n_components: int) -> None:
    m = problems.mixture(n_components, n_features)
    X = problems.drawn(m, block_rows(n_features) + 29).astype(np.float32)
    weights = problems.row_weights(len(X))
    serial = in_frame(X, m, SERIAL, weights)
    assert_within_float32(serial, X, m, weights)
    problems.same_bits(serial, in_frame(X, m, POOL, weights))
    if n_features in SINGLE_PARALLEL:
        problems.same_bits(serial, in_frame(X, m, PARALLEL, weights))


@pytest.mark.parametrize("n_features", [2, 8, 9, 17])
def test_numbers_of_float32_rows_around_every_boundary(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    block, strip = block_rows(n_features), strip_rows(n_features, 2, np.float32)
    X = problems.drawn(m, 2 * block + 1).astype(np.float32)
    for n in [1, 2, 3, *(n + step for n in (WIDTH, 2 * WIDTH, strip, block, 2 * block) for step in (-1, 0, 1))]:
        serial = in_frame(X[:n], m, SERIAL)
        assert_within_float32(serial, X[:n], m)
        problems.same_bits(serial, in_frame(X[:n], m, PARALLEL))


@pytest.mark.parametrize("n_features", [2, 9, 16])
def test_given_shares_of_float32_rows(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, block_rows(n_features) + 25).astype(np.float32)
    weights = problems.row_weights(len(X))
    labels = np.random.default_rng(0).integers(0, 3, len(X)).astype(np.int32)
    given = RandomResponsibilities(3, np.random.RandomState(0))
    for options, shares in (({"labels": labels}, np.eye(3)[labels]), ({"given": given}, given(0, len(X)))):
        found = in_frame(X, m, SERIAL, weights, **options)
        assert_within_float32(found, X, m, weights, shares)
        assert found.log_likelihood == 0
        problems.same_bits(found, in_frame(X, m, PARALLEL, weights, **options))


@pytest.mark.parametrize("n_features", [2, 16])
def test_float32_is_close_to_float64_but_not_it(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, 500).astype(np.float32)
    narrow, wide = in_units_of_x(X, m, SERIAL), in_units_of_x(X.astype(np.float64), m, SERIAL)
    assert narrow.log_likelihood == pytest.approx(wide.log_likelihood, rel=1e-6)
    assert narrow.log_likelihood != wide.log_likelihood


def narrow(m: reference.Mixture) -> reference.Mixture:
    """Two features that are almost one: float32 would lose their difference."""
    covariances = m.covariances.copy()
    covariances[:, :2, :2] = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-18]])
    covariances[:, :2, 2:] = covariances[:, 2:, :2] = 0.0
    return m._replace(covariances=covariances)


def remote(m: reference.Mixture) -> reference.Mixture:
    """Means of which float32 keeps too few digits, beside one at 0."""
    return m._replace(means=m.means + np.where(np.arange(len(m.weights)) == 0, 0.0, 2.0**15)[:, None])


@pytest.mark.parametrize("spoil", [narrow, remote])
@pytest.mark.parametrize("n_features", [2, 9, 17])
def test_what_float32_cannot_resolve_is_computed_in_float64(
    n_features: int, spoil: Callable[[reference.Mixture], reference.Mixture]
) -> None:
    m = spoil(problems.mixture(2, n_features))
    X = problems.drawn(m, block_rows(n_features) + 25).astype(np.float32)
    weights = problems.row_weights(len(X))
    rows = ArrayRows(X)
    assert rows.packed(rows.frame.enter(problems.parameters(m))).real is np.float64
    expected = in_units_of_x(X.astype(np.float64), m, SERIAL, weights)
    for team in (SERIAL, PARALLEL, POOL):
        problems.same_bits(in_units_of_x(X, m, team, weights), expected)


@pytest.mark.parametrize("n_features", [2, 16])
def test_weights_that_float32_cannot_hold_are_summed_in_float64(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, 500).astype(np.float32)
    for factor in (2.0**60, 2.0**-60):
        weights = factor * problems.row_weights(len(X))
        problems.same_bits(
            in_units_of_x(X, m, SERIAL, weights), in_units_of_x(X.astype(np.float64), m, SERIAL, weights)
        )


@pytest.mark.parametrize("n_features", [2, 16])
def test_float32_rows_too_far_for_any_component_still_count_once(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    far = [np.full((3, n_features), value) for value in (1e4, -1e18, 1e25)]
    X = np.vstack([problems.drawn(m, 100), *far]).astype(np.float32)
    frame = Frame.identity(n_features)
    task = ExpectationTask(PackedMixture(frame, problems.parameters(m), np.float32))
    found = task.statistics(sweep([(0, X, np.empty(0))], len(X), task, SERIAL), float(len(X)))
    assert np.isfinite(found.log_likelihood)
    assert found.sum_w.sum() == pytest.approx(len(X), rel=1e-6)


def test_a_component_without_weight_gets_nothing_of_float32_rows() -> None:
    m = problems.mixture(3, 2)
    m = m._replace(weights=np.array([0.5, 0.0, 0.5]))
    X = problems.drawn(m, 500).astype(np.float32)
    found = in_frame(X, m, SERIAL)
    assert_within_float32(found, X, m)
    assert found.sum_w[1] == 0
    assert not found.sum_xx[1].any()


@pytest.mark.parametrize("n_features", [2, 9])
def test_many_float32_rows_are_summed_in_float64(n_features: int) -> None:
    """Sums in float32 are short: their error does not grow with the rows."""
    m = problems.mixture(1, n_features)
    X = np.tile(problems.drawn(m, 2 * STEP).astype(np.float32), (500, 1))
    found = in_frame(X, m, SERIAL)
    assert found.sum_w[0] == len(X)
    assert_within_float32(found, X, m)


# --- without JIT ---


class InPython(ExpectationTask):
    """The pass as plain Python, on small blocks."""

    block = 2 * STEP

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        turned = self.mixture.turned is not None
        return expectation_kernel(self.n_features, dtype, self.mixture.real, "python", turned)


@pytest.fixture
def _short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "strip_rows", lambda n_features, n_components, real: STEP)


def in_python(
    X: NDArray[Any], m: reference.Mixture, sample_weight: Floats | None = None, parts: int = 1, **options: Any
) -> SufficientStatistics:
    frame = Frame.around(X.min(axis=0), X.max(axis=0))
    found = in_python_and_frame(X, frame.enter(Parameters(*m)), frame, np.float64, sample_weight, parts, **options)
    return frame.leave_statistics(found, m.means)


def in_python_and_frame(
    X: NDArray[Any],
    p: Parameters,
    frame: Frame,
    real: Any,
    sample_weight: Floats | None = None,
    parts: int = 1,
    **options: Any,
) -> SufficientStatistics:
    task = InPython(PackedMixture(frame, p, real), **options)
    weights = np.empty(0) if sample_weight is None else sample_weight
    sums = sweep([(0, X, weights)], len(X), task, Team(parts, "serial"))
    return task.statistics(sums, float(len(X)) if sample_weight is None else float(sample_weight.sum()))


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("n_components", [1, 2, 7])
@pytest.mark.parametrize("n_features", [1, 2, 3, 5, 8, 9, 12, 16, 17, 24, 31])
def test_plain_python(n_features: int, n_components: int) -> None:
    m = problems.mixture(n_components, n_features)
    X = problems.drawn(m, 2 * STEP + 25 if n_components < 7 else 25)
    weights = problems.row_weights(len(X))
    assert_like_the_oracle(in_python(X, m, weights), X, m, weights)


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("n_rows", [1, 2, 23, 24, 25, STEP, STEP + 1, 2 * STEP - 1, 2 * STEP + 1, 6 * STEP + 1])
@pytest.mark.parametrize("n_features", [2, 9])
def test_plain_python_at_boundaries(n_features: int, n_rows: int) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, n_rows)
    found = in_python(X, m)
    assert_like_the_oracle(found, X, m)
    problems.same_bits(found, in_python(X, m, parts=2))


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("n_features", [2, 9])
def test_plain_python_with_given_shares(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, 2 * STEP + 25)
    labels = np.random.default_rng(0).integers(0, 3, len(X)).astype(np.int32)
    given = RandomResponsibilities(3, np.random.RandomState(0))
    problems.assert_moments(in_python(X, m, labels=labels), reference.moments(X, np.eye(3)[labels], m.means))
    problems.assert_moments(in_python(X, m, given=given), reference.moments(X, given(0, len(X)), m.means))


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [3, 16])
def test_plain_python_and_compiled_agree(n_features: int, dtype: Any) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, STEP + 25).astype(dtype).astype(np.float64)
    a, b = in_python(X.astype(dtype), m), in_units_of_x(X, m, SERIAL)
    problems.assert_moments(a, reference.Moments(b.sum_w, b.sum_x, b.sum_xx))
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=1e-13)


@pytest.mark.usefixtures("_short_strips")
@pytest.mark.parametrize("n_components", [1, 2, 7])
@pytest.mark.parametrize("n_features", [1, 2, 5, 8, 9, 16, 17, 31])
def test_plain_python_in_float32(n_features: int, n_components: int) -> None:
    m = problems.mixture(n_components, n_features)
    X = problems.drawn(m, 2 * STEP + 25 if n_components < 7 else 25).astype(np.float32)
    weights, frame = problems.row_weights(len(X)), ArrayRows(X).frame
    p = frame.enter(problems.parameters(m))
    found = in_python_and_frame(X, p, frame, np.float32, weights)
    assert_within_float32(found, X, m, weights)
    problems.same_bits(found, in_python_and_frame(X, p, frame, np.float32, weights, parts=2))


# --- from the disk cache ---

FIT = """
import sys
import numpy as np
from fastgmm import GaussianMixture
for n_features in map(int, sys.argv[1:]):
    X = np.random.default_rng(0).standard_normal((200, n_features))
    X[:100] += 2
    gm = GaussianMixture(2, random_state=0, n_threads=1, init_params="random", max_iter=1, tol=9e9)
    print(gm.fit(X).lower_bound_)
"""


@pytest.mark.slow
def test_variants_cached_by_other_processes_work_together(tmp_path: Path) -> None:
    """Numba counts its symbols anew in each process, so code of two processes must not share names."""
    environment = os.environ | {"FASTGMM_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()}

    def bounds(*features: str) -> list[str]:
        command = [sys.executable, "-c", FIT, *features]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    alone = bounds("9") + bounds("16")
    assert bounds("9", "16") == alone
    assert bounds("16", "9") == alone[::-1]
