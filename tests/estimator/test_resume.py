"""Fits that are cut short and gone on with: the same bits as those of fits that were not."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import problems
import pytest

import fastgmm
from bench import kills
from fastgmm import BayesianGaussianMixture, GaussianMixture
from fastgmm.em import passes, progressive, recorder
from fastgmm.em.checkpoint import load
from fastgmm.errors import CheckpointError, DistributedError, ParameterError
from fastgmm.models import MODELS

ROOT = Path(fastgmm.__file__).resolve().parents[1]

X, START = problems.overlapping(600, 2, 3)
WIDE = problems.drawn(problems.mixture(6, 17)._replace(means=6 * problems.mixture(6, 17).means), 600)


class Cut(Exception):
    """What ends a fit here, instead of the machine."""


def cut_after(number: int):
    calls = iter(range(1, 10_000))

    def callback(done: Any) -> None:
        if next(calls) == number:
            raise Cut

    return callback


def mixture(**options: Any) -> GaussianMixture:
    return GaussianMixture(**{"n_components": 3, "random_state": 4, "tol": 0.0, "max_iter": 9} | options)


def fitted(gm: Any, rows: Any = X, sample_weight: Any = None, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the fit did not converge
        return gm.fit(rows, sample_weight=sample_weight, **options)


def bits(gm: GaussianMixture, rows: Any = X) -> list[Any]:
    arrays = (gm.weights_, gm.means_, gm.covariances_, gm.precisions_cholesky_, gm.predict(rows))
    history = [bound.hex() for bound in gm.lower_bounds_], gm.lower_bound_.hex(), gm.n_iter_, gm.converged_
    return [*(a.tobytes() for a in arrays), *history, gm.degenerate_]


def assert_resumes(
    path: Path, cuts: tuple[int, ...], rows: Any = X, sample_weight: Any = None, every: float = 1e9, **options: Any
) -> GaussianMixture:
    """Cut a fit after so many iterations, and the one that goes on with it, and so on; compare with a whole fit."""
    whole = fitted(mixture(**options), rows, sample_weight)
    for number in cuts:
        with pytest.raises(Cut):
            fitted(
                mixture(callback=cut_after(number), **options),
                rows,
                sample_weight,
                checkpoint=path,
                checkpoint_every=every,
                resume=True,
            )
    gm = fitted(mixture(**options), rows, sample_weight, checkpoint=path, resume=True)
    assert bits(gm, rows) == bits(whole, rows)
    assert os.listdir(path.parent) == [path.name]
    return gm


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fit.ckpt"


# --- the same bits ---


@pytest.mark.parametrize(
    "options",
    [
        {"acceleration": "squarem", "n_init": 2},
        {"acceleration": "anderson", "n_init": 2},
        {"acceleration": "anderson", "on_degenerate": "reseed", "reg_covar": 0.0},
        {"assignment": "stochastic", "n_init": 2, "max_iter": 6},
        {"assignment": "stochastic", "on_degenerate": "reseed", "max_iter": 6},
    ],
    ids=str,
)
def test_every_place_of_a_cut(options: dict[str, Any], path: Path) -> None:
    """Between a proposal and its pass, and wherever else iterations end."""
    options = {"max_iter": 14, "init_params": "random"} | options
    whole = fitted(mixture(**options))
    number = 0
    while True:
        number += 1
        try:
            fitted(mixture(callback=cut_after(number), **options), checkpoint=path)
        except Cut:
            assert bits(fitted(mixture(**options), checkpoint=path, resume=True)) == bits(whole)
            path.unlink()
        else:
            break
    assert number > 6


@pytest.mark.parametrize("model", list(MODELS))
def test_every_model(model: str, path: Path) -> None:
    assert_resumes(path, (1, 3), covariance_type=model)


@pytest.mark.parametrize(
    "options",
    [
        {"n_init": 3, "init_params": "random"},
        {"n_init": 3, "init_params": "random_from_data", "tol": 1e-2},
        {"prior": "mclust"},
        {"equal_weights": True, "reg_covar_relative": 1e-3, "reg_covar": 0.0},
        {"skip_below": 1e-9},
        {"acceleration": "squarem", "max_iter": 25, "n_init": 2, "init_params": "random"},
        {"acceleration": "anderson", "max_iter": 25, "n_init": 2, "init_params": "random"},
        {"acceleration": "squarem", "convergence": "aitken", "tol": 1e-6, "max_iter": 80},
        {"acceleration": "anderson", "covariance_type": "EVE", "convergence": "aitken", "tol": 1e-6, "max_iter": 80},
        {"assignment": "stochastic", "n_init": 2, "init_params": "random"},
        START,
    ],
    ids=str,
)
def test_every_kind_of_start_and_setting(options: dict[str, Any], path: Path) -> None:
    assert_resumes(path, (2, 1, 4), **options)


def test_weights_and_float32(path: Path) -> None:
    weights = problems.row_weights(len(X))
    assert_resumes(path, (2, 3), X.astype(np.float32), weights, weight_type="reliability")


@pytest.mark.parametrize("algorithm", ["bounded", "auto"])
def test_bounds_go_on_as_they_were(algorithm: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass's bits depend on which pairs the bounds leave, so on all passes before it."""
    monkeypatch.setattr(passes, "WORK", 0.0)
    monkeypatch.setattr(passes, "FIRST_TRY", 2)
    monkeypatch.setattr(passes, "PAYS", {16: 0.9})
    options = {"n_components": 6, "init_params": "random_from_data", "algorithm": algorithm, "random_state": 3}
    assert_resumes(path, (3, 2, 2), WIDE, every=0, **options)


def test_auto_bounds_are_in_the_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "WORK", 0.0)
    monkeypatch.setattr(passes, "FIRST_TRY", 2)
    monkeypatch.setattr(passes, "PAYS", {16: 0.9})
    with pytest.raises(Cut):
        fitted(mixture(n_components=6, callback=cut_after(4)), WIDE, checkpoint=path, checkpoint_every=0)
    state = load(path).state
    assert state is not None
    assert state.passing
    assert state.passes["homes"].min() >= 0


@pytest.mark.parametrize(
    ("policy", "start"),
    [("reseed", 1e-9), ("remove", 1e-9), ("regularise", 1e-9)],
)
def test_components_that_collapse(policy: str, start: float, path: Path) -> None:
    heap = np.concatenate([X[:200], np.repeat(X[:1] + 50, 40, axis=0)])
    given = {
        "weights_init": np.full(3, 1 / 3),
        "means_init": [heap[0], heap[1], heap[-1]],
        "precisions_init": np.stack([np.eye(2), np.eye(2), np.eye(2) / start**0.5]),
    }
    gm = assert_resumes(path, (1, 1, 2), heap, on_degenerate=policy, reg_covar=0.0, **given)
    assert gm.degenerate_


def test_a_progressive_start_is_not_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progressive, "SAMPLE_ROWS", 1)
    monkeypatch.setattr(progressive, "ROWS_PER_PARAMETER", 0)
    rows = problems.drawn(problems.mixture(3, 40), 10 * progressive.sample_size(3, 40) + 5)
    assert progressive.is_worth(fastgmm.rows.memory.ArrayRows(rows), 3)
    whole = fitted(mixture(n_init=2, max_iter=3, n_threads=1), rows)
    with pytest.raises(Cut):
        fitted(
            mixture(n_init=2, max_iter=3, n_threads=1, callback=cut_after(1)), rows, checkpoint=path, checkpoint_every=0
        )
    made = []
    plan = sys.modules["fastgmm.estimator.plan"]
    monkeypatch.setattr(plan, "progressive", lambda *a: made.append(a) or progressive.progressive(*a))
    gm = fitted(mixture(n_init=2, max_iter=3, n_threads=1), rows, checkpoint=path, resume=True)
    assert bits(gm, rows) == bits(whole, rows)
    assert len(made) == 1  # of the second run


@pytest.mark.parametrize("assignment", ["soft", "stochastic"])
def test_a_seedless_fit_draws_what_it_would_have_drawn(assignment: str, path: Path) -> None:
    options = {"random_state": None, "n_init": 3, "init_params": "random", "assignment": assignment}
    np.random.seed(7)
    whole = fitted(mixture(**options))
    np.random.seed(7)
    with pytest.raises(Cut):
        fitted(mixture(callback=cut_after(2), **options), checkpoint=path)
    np.random.seed(8)
    gm = fitted(mixture(**options), checkpoint=path, resume=True)
    assert bits(gm) == bits(whole)
    if assignment == "soft":  # to go on takes no numbers; a seed for draws is one
        assert np.random.randint(1 << 30) == np.random.RandomState(8).randint(1 << 30)


def test_a_warm_start_goes_on_in_a_new_estimator(path: Path) -> None:
    def before() -> GaussianMixture:
        return fitted(mixture(max_iter=2, warm_start=True, n_init=3, init_params="random"))

    whole = fitted(before().set_params(max_iter=9))
    with pytest.raises(Cut):
        fitted(before().set_params(max_iter=9, callback=cut_after(3)), checkpoint=path)
    options = {"warm_start": True, "n_init": 3, "init_params": "random"}
    assert bits(fitted(mixture(**options), checkpoint=path, resume=True)) == bits(whole)


def test_the_number_of_threads_may_change(path: Path) -> None:
    whole = fitted(mixture(n_threads=1))
    with pytest.raises(Cut):
        fitted(mixture(n_threads=1, callback=cut_after(3)), checkpoint=path)
    assert bits(fitted(mixture(n_threads=3), checkpoint=path, resume=True)) == bits(whole)


@pytest.mark.parametrize("form", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("kind", ["dirichlet_process", "dirichlet_distribution"])
def test_variational_bayes(form: str, kind: str, path: Path) -> None:
    def model(**options: Any) -> BayesianGaussianMixture:
        return BayesianGaussianMixture(
            n_components=3, covariance_type=form, weight_concentration_prior_type=kind, random_state=4, tol=0.0,
            max_iter=6, n_init=2, init_params="random", **options,
        )  # fmt: skip

    def found(gm: BayesianGaussianMixture) -> list[bytes]:
        posterior = [array.tobytes() for array in gm.posterior_.arrays().values()]
        return [*posterior, *(bound.hex().encode() for bound in gm.lower_bounds_), gm.predict(X).tobytes()]

    whole = found(fitted(model()))
    for number in (2, 5, 1):  # in the first run, at the beginning of the second, and in it
        with pytest.raises(Cut):
            fitted(model(callback=cut_after(number)), checkpoint=path, resume=True)
    assert found(fitted(model(), checkpoint=path, resume=True)) == whole
    assert load(path).finished
    assert found(fitted(model(), checkpoint=path, resume=True)) == whole
    with pytest.raises(CheckpointError, match=r"other settings: .*tol \(0.5 here, 0 in"):
        model().set_params(tol=0.5).fit(X, checkpoint=path, resume=True)


def test_a_warm_start_of_variational_bayes_goes_on(path: Path) -> None:
    def before() -> BayesianGaussianMixture:
        options = {"n_components": 3, "random_state": 4, "tol": 0.0, "warm_start": True}
        return fitted(BayesianGaussianMixture(max_iter=2, **options)).set_params(max_iter=7)

    whole = fitted(before())
    with pytest.raises(Cut):
        fitted(before().set_params(callback=cut_after(3)), checkpoint=path)
    again = fitted(BayesianGaussianMixture(**before().get_params()), checkpoint=path, resume=True)
    assert again.lower_bounds_ == whole.lower_bounds_
    assert again.means_.tobytes() == whole.means_.tobytes()


# --- what ends a fit ---


def test_checkpoints_change_nothing(path: Path) -> None:
    whole = fitted(mixture(n_init=2, init_params="random"))
    gm = fitted(mixture(n_init=2, init_params="random"), checkpoint=path, checkpoint_every=0)
    assert bits(gm) == bits(whole)
    assert load(path).finished


def test_a_fit_that_has_ended_comes_back(path: Path) -> None:
    whole = fitted(mixture(n_init=2), checkpoint=path)
    calls: list[Any] = []
    again = fitted(mixture(n_init=2, callback=calls.append), checkpoint=path, resume=True)
    assert bits(again) == bits(whole)
    assert not calls
    fitted(mixture(max_iter=2), checkpoint=path)  # and may be replaced
    assert load(path).settings["max_iter"] == "2"


def test_a_fit_that_a_callback_stopped_goes_on(path: Path) -> None:
    whole = fitted(mixture())
    stopped = fitted(mixture(callback=lambda done: done.number == 4), checkpoint=path)
    assert stopped.n_iter_ == 4
    state = load(path).state
    assert state is not None
    assert len(state.history) == 4
    assert bits(fitted(mixture(), checkpoint=path, resume=True)) == bits(whole)


def test_ctrl_c_writes_the_last_iteration(path: Path) -> None:
    def callback(done: Any) -> None:
        if done.number == 5:
            raise KeyboardInterrupt

    gm = mixture(callback=callback)
    with pytest.raises(KeyboardInterrupt):
        gm.fit(X, checkpoint=path)
    assert gm.n_iter_ == 5
    state = load(path).state
    assert state is not None
    assert [b.hex() for b in state.history.lower_bound] == [b.hex() for b in gm.lower_bounds_]
    assert bits(fitted(mixture(), checkpoint=path, resume=True)) == bits(fitted(mixture()))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("kind", ["squarem", "bayes"])
def test_a_killed_process_loses_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each of its runs; `python -m bench.kills` does more of it, to more kinds of fits."""
    folder, whole, rows = tmp_path / "killed", tmp_path / "whole.npz", str(tmp_path / "rows.npy")
    folder.mkdir()
    np.save(rows, X)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", "")))))
    places = kills.killed(folder, rows, kills.KINDS[kind], 4, np.random.default_rng(0))
    assert places.total() >= 2
    kills.fitted(rows, str(whole), kills.KINDS[kind])
    assert (folder / "fit.npz").read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(folder)) == ["fit.ckpt", "fit.npz"]


# --- what is refused ---


def cut_short(path: Path, **options: Any) -> bytes:
    with pytest.raises(Cut):
        fitted(mixture(callback=cut_after(3), **options), checkpoint=path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"n_components": 4}, r"other settings: n_components \(4 here, 3 in the checkpoint\)"),
        ({"tol": 1e-3, "max_iter": 8}, r"max_iter \(8 here, 9 in the checkpoint\), tol \(0.001 here, 0 in"),
        ({"random_state": 5}, r"random_state \(5 here, 4 in"),
        ({"covariance_type": "tied"}, r"covariance_type \(tied here, full in"),
        ({"means_init": X[:3]}, "other settings: means_init"),
        ({"prior": "mclust"}, r"prior \(mclust here, None in"),
    ],
)
def test_other_settings_are_refused_by_name(change: dict[str, Any], text: str, path: Path) -> None:
    content = cut_short(path)
    with pytest.raises(CheckpointError, match=text):
        mixture(**change).fit(X, checkpoint=path, resume=True)
    assert path.read_bytes() == content


def test_other_rows_are_refused_by_name(path: Path) -> None:
    content = cut_short(path)
    other = X.copy()
    other[17, 1] = np.nextafter(other[17, 1], 0)
    for rows, weights, text in (
        (X[:-1], None, r"other data: .*number of rows \(599 here, 600 in the checkpoint\)"),
        (other, None, "other data: values of the rows. Fit with the same data"),
        (X, np.full(600, 2.0), r"sum of the weights \(1200.0 here, 600.0 in"),
    ):
        with pytest.raises(CheckpointError, match=text):
            mixture().fit(rows, sample_weight=weights, checkpoint=path, resume=True)
    assert path.read_bytes() == content


def test_an_unfinished_fit_is_not_replaced(path: Path) -> None:
    content = cut_short(path)
    with pytest.raises(CheckpointError, match=r"has not ended\. Pass resume=True"):
        mixture().fit(X, checkpoint=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", "half"], ids=["empty", "data", "half"])
def test_what_is_no_checkpoint_is_neither_used_nor_replaced(content: Any, resume: bool, path: Path) -> None:
    if content == "half":
        content = cut_short(path)
        content = content[: len(content) // 2]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a usable fastgmm checkpoint"):
        mixture().fit(X, checkpoint=path, resume=resume)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"resume": True}, "resume=True needs the path"),
        ({"checkpoint": 3}, "'checkpoint' parameter of GaussianMixture.fit must be a path. Got 3."),
        ({"checkpoint": "x", "checkpoint_every": -1}, "'checkpoint_every' parameter"),
        ({"checkpoint": "x", "resume": "yes"}, "'resume' parameter"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        mixture().fit(X, **options)


# --- disks ---


def test_a_folder_that_is_not_there_is_refused_before_work(tmp_path: Path) -> None:
    calls: list[Any] = []
    with pytest.raises(OSError, match="cannot write into"):
        mixture(callback=calls.append).fit(X, checkpoint=tmp_path / "none" / "fit.ckpt")
    assert not calls


def test_a_full_disk_costs_checkpoints_but_not_the_fit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, written = recorder.save, []

    def failing(checkpoint: Any, to: Any) -> None:
        if len(written) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(checkpoint)
        save(checkpoint, to)

    monkeypatch.setattr(recorder, "save", failing)
    whole = fitted(mixture())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gm = mixture().fit(X, checkpoint=path, checkpoint_every=0)
    text = f"The checkpoint {path} could not be written: .*No space left.*; the fit goes on"
    assert re.match(text, str(caught[0].message))
    assert bits(gm) == bits(whole)
    assert load(path).state is not None  # the last one that could be written


def test_what_killed_writers_left_is_removed(path: Path) -> None:
    (path.parent / ".fit.ckpt.ab3_x9zz").write_bytes(b"half")
    (path.parent / ".fit.ckpt.mine").write_bytes(b"a user's")
    fitted(mixture(), checkpoint=path)
    assert sorted(os.listdir(path.parent)) == [".fit.ckpt.mine", "fit.ckpt"]


def test_a_cluster_that_gives_up_names_the_checkpoint(path: Path) -> None:
    def lost(done: Any) -> None:
        raise DistributedError("no worker is left")

    with pytest.raises(DistributedError) as caught:
        mixture(callback=lost).fit(X, checkpoint=path)
    assert str(path) in caught.value.__notes__[0]
    assert bits(fitted(mixture(), checkpoint=path, resume=True)) == bits(fitted(mixture()))
