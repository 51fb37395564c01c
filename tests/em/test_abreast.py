"""Runs side by side: what each would have been alone, for the passes of the longest."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import problems
import pytest

from fastgmm import BayesianGaussianMixture, GaussianMixture
from fastgmm.em import abreast as abreast_module
from fastgmm.em.abreast import abreast
from fastgmm.em.baton import Baton, Ended
from fastgmm.em.checkpoint import load
from fastgmm.em.run import Interrupted
from fastgmm.rows.memory import ArrayRows

X, _ = problems.overlapping(600, 2, 3)
WIDE = problems.drawn(problems.mixture(6, 17)._replace(means=6 * problems.mixture(6, 17).means), 600)


class Dear(ArrayRows):
    """Rows of an array that are said to be dear to read."""

    costly = True


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgmm-run"]


def mixture(kind: Any = GaussianMixture, **options: Any) -> Any:
    given = {
        "n_components": 3,
        "random_state": 4,
        "n_init": 4,
        "init_params": "random_from_data",
        "max_iter": 60,
        "tol": 1e-4,
    }
    return kind(**given | options)


def fitted(gm: Any, rows: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the fit did not converge
        return gm.fit(rows, **options)


def bits(gm: Any) -> list[Any]:
    arrays = (gm.weights_, gm.means_, gm.covariances_, gm.precisions_cholesky_, gm.history_["passes"])
    return [*(a.tobytes() for a in arrays), *(b.hex() for b in gm.lower_bounds_), gm.n_iter_, gm.converged_]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"covariance_type": "tied"},
        {"covariance_type": "spherical"},
        {"covariance_type": "EVE", "max_iter": 8},
        {"acceleration": "squarem"},
        {"assignment": "hard"},
        {"assignment": "stochastic", "max_iter": 6},
        {"init_params": "kmeans", "prior": "mclust"},
        {"on_degenerate": "reseed", "n_components": 5},
        {"kind": BayesianGaussianMixture},
        {"kind": BayesianGaussianMixture, "covariance_type": "tied"},
    ],
    ids=str,
)
def test_the_bits_of_runs_one_after_the_other(options: dict[str, Any]) -> None:
    assert bits(fitted(mixture(**options), Dear(X))) == bits(fitted(mixture(**options), ArrayRows(X)))


def test_bounds_belong_to_their_run(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"n_components": 6, "init_params": "random_from_data", "algorithm": "bounded", "max_iter": 6, "tol": 0.0}
    assert bits(fitted(mixture(**options), Dear(WIDE))) == bits(fitted(mixture(**options), ArrayRows(WIDE)))
    rows = Dear(WIDE)
    monkeypatch.setattr(abreast_module, "BUDGET", 4 * 600 * 6 * 2)
    assert abreast(rows, 6, "bounded") == 2
    assert abreast(rows, 6, "dense") > 2
    assert abreast(ArrayRows(WIDE), 6, "dense") == 1


def test_a_pass_serves_all_runs_that_are_still_going() -> None:
    lengths: dict[int, int] = {}

    def callback(done: Any) -> None:
        lengths[done.restart] = done.number

    rows, plain = Dear(X), ArrayRows(X)
    fitted(mixture(callback=callback), rows)
    fitted(mixture(), plain)
    assert len(lengths) == 4
    assert len(set(lengths.values())) > 1  # so that some left before the others
    assert rows.swept - max(lengths.values()) == plain.swept - sum(lengths.values())  # the starts'


@pytest.mark.parametrize("width", [1, 2, 3])
def test_no_more_at_a_time_than_the_budget_allows(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abreast_module, "SUM_BYTES", width * 4 * 3 * 3 * 4)
    seen: list[int] = []
    gm = fitted(mixture(callback=lambda done: seen.append(done.restart)), Dear(X))
    assert bits(gm) == bits(fitted(mixture(), ArrayRows(X)))
    first = seen.index(width) if width < 4 else 0
    assert set(seen[:first]) == set(range(width))  # the next begins where one has ended


def test_a_callback_ends_all_runs() -> None:
    gm = fitted(mixture(callback=lambda done: (done.restart, done.number) == (2, 3)), Dear(X))
    assert gm.n_iter_ in (2, 3)
    assert not gm.converged_


def test_an_interrupt_keeps_the_best_of_all_runs() -> None:
    bounds: dict[int, float] = {}

    def callback(done: Any) -> None:
        bounds[done.restart] = done.log_likelihood
        if (done.restart, done.number) == (1, 5):
            raise KeyboardInterrupt

    gm = mixture(callback=callback)
    with pytest.raises(Interrupted):
        gm.fit(Dear(X))
    assert gm.lower_bound_ == max(bounds.values())
    with pytest.raises(KeyboardInterrupt) as caught:
        mixture(callback=callback).fit(Keyboard(X))
    assert not isinstance(caught.value, Interrupted)


class Keyboard(Dear):
    """Ctrl-C comes in the first sweep of the runs."""

    def sweep(self, task: Any, team: Any) -> Any:
        if type(task).__name__ == "JointTask":
            raise KeyboardInterrupt
        return super().sweep(task, team)


class Cut(Exception):
    pass


def test_errors_end_all_runs() -> None:
    def callback(done: Any) -> None:
        if (done.restart, done.number) == (2, 3):
            raise Cut

    with pytest.raises(Cut):
        mixture(callback=callback).fit(Dear(X))


@pytest.mark.parametrize("options", [{}, {"kind": BayesianGaussianMixture}, {"acceleration": "anderson"}], ids=str)
@pytest.mark.parametrize("again", [Dear, ArrayRows])
def test_checkpoints_hold_all_runs(options: dict[str, Any], again: Any, tmp_path: Path) -> None:
    """Those that are under way go on abreast, or one after the other."""
    path, calls = tmp_path / "fit.ckpt", [0]
    whole = bits(fitted(mixture(**options), ArrayRows(X)))

    def callback(done: Any) -> None:
        calls[0] += 1
        if calls[0] == 26:
            raise Cut

    with pytest.raises(Cut):
        mixture(callback=callback, **options).fit(Dear(X), checkpoint=path, checkpoint_every=0)
    found = load(path)
    assert found.made == 4
    assert len(found.states) > 1
    gm = fitted(mixture(**options), again(X), checkpoint=path, resume=True)
    assert [bit for i, bit in enumerate(bits(gm)) if i != 4] == [bit for i, bit in enumerate(whole) if i != 4]
    assert load(path).finished


def test_batons_work_as_generators_do() -> None:
    def work(ask: Any) -> str:
        first = ask("one")
        try:
            ask(first + 1)
        except ValueError as error:
            return str(error)
        raise AssertionError

    baton = Baton(work)
    assert baton.send() == "one"
    assert baton.send(1) == 2
    with pytest.raises(Ended) as caught:
        baton.send(error=ValueError("enough"))
    assert caught.value.value == "enough"
    other = Baton(work)
    other.send()
    other.leave()
    Baton(work).leave()


def test_batons_keep_numpys_error_state() -> None:
    with np.errstate(divide="raise"):
        baton = Baton(lambda ask: np.geterr()["divide"])
    with pytest.raises(Ended) as caught:
        baton.send()
    assert caught.value.value == "raise"
