from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm import GaussianMixture
from fastgmm.em import progressive as module
from fastgmm.em.progressive import is_worth, progressive, sample_size
from fastgmm.em.run import Interrupted, Settings
from fastgmm.kernels.layout import block_rows
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

TEAM = Team(1, "serial")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of two blocks, so that small data are worth one."""
    monkeypatch.setattr(module, "SAMPLE_ROWS", 1)
    monkeypatch.setattr(module, "ROWS_PER_PARAMETER", 0)


def rows_of(n: int, seed: int = 0) -> tuple[ArrayRows, object]:
    m = problems.mixture(3, 40, seed=seed)
    m = m._replace(means=4 * m.means)
    return ArrayRows(problems.drawn(m, n)), m


def settings(rows: ArrayRows) -> Settings:
    return Settings(ridge=1e-6 * rows.frame.scale**2)


def test_samples_are_of_whole_blocks_and_grow_with_the_parameters() -> None:
    for d, k in ((1, 1), (2, 8), (16, 32), (64, 200)):
        size = sample_size(k, d)
        assert size % (2 * block_rows(d)) == 0
        assert size >= 0.6 * max(module.SAMPLE_ROWS, module.ROWS_PER_PARAMETER * k * d * d / 2)


def test_a_sample_finds_what_all_rows_say(small: None) -> None:
    rows, m = rows_of(10 * block_rows(40) + 5)
    assert is_worth(rows, 3)
    found = progressive(rows, 3, settings(rows), np.random.RandomState(0), TEAM)
    assert found is not None
    means = rows.frame.leave(found).means
    nearest = np.abs(means[:, None] - m.means[None]).max(axis=2).min(axis=1)  # type: ignore[attr-defined]
    assert nearest.max() < 0.3


def test_few_rows_are_taken_whole() -> None:
    rows, _ = rows_of(500)
    assert not is_worth(rows, 3)


def test_threads_and_seeds(small: None) -> None:
    rows, _ = rows_of(10 * block_rows(40))
    X = rows._array
    fits = [
        GaussianMixture(3, random_state=s, n_threads=n, max_iter=50).fit(X) for s, n in ((0, 1), (0, 2), (0, 3), (1, 1))
    ]
    assert len({gm.means_.tobytes() for gm in fits[:3]}) == 1
    assert fits[0].converged_


def test_weights_and_units_go_along(small: None) -> None:
    rows, _ = rows_of(10 * block_rows(40))
    X, w = rows._array, problems.row_weights(rows.n_rows)
    one = GaussianMixture(3, random_state=0, reg_covar=0).fit(X, sample_weight=w)
    other = GaussianMixture(3, random_state=0, reg_covar=0).fit(1024 * X, sample_weight=w)
    np.testing.assert_allclose(other.means_, 1024 * one.means_, rtol=1e-9, atol=1e-6)


def test_a_given_part_of_the_start_stays(small: None) -> None:
    rows, m = rows_of(10 * block_rows(40))
    means = m.means + 0.1  # type: ignore[attr-defined]
    gm = GaussianMixture(3, random_state=0, means_init=means, max_iter=0).fit(rows._array)
    np.testing.assert_allclose(gm.means_, means, rtol=1e-12)


def test_collapse_on_every_sample_falls_back_to_all_rows(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = rows_of(10 * block_rows(40))
    monkeypatch.setattr(module, "_run", lambda *_: None)
    assert progressive(rows, 3, settings(rows), np.random.RandomState(0), TEAM) is None
    assert GaussianMixture(3, random_state=0).fit(rows._array).converged_


def test_an_interrupt_in_a_sample_leaves_no_half_fit(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = rows_of(10 * block_rows(40))

    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted(None)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run", interrupted)
    gm = GaussianMixture(3, random_state=0)
    with pytest.raises(KeyboardInterrupt) as stop:
        gm.fit(rows._array)
    assert not isinstance(stop.value, Interrupted)
    assert not hasattr(gm, "means_")
