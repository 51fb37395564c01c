from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.labelling_task import LabellingTask, uniforms
from fastgmm.packed import packed_for_scoring
from fastgmm.parameters import Parameters
from fastgmm.rows.base import Trust
from fastgmm.rows.memory import ArrayRows
from fastgmm.scoring import Results, score_rows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

ALONE = Team(1, "serial")
MIXTURE = problems.mixture(3, 2, seed=1)
X = problems.drawn(MIXTURE, 1500)
WEIGHTS = problems.row_weights(1500)


def parameters(rows: ArrayRows, form: str) -> Parameters:
    variances = np.einsum("kdd->kd", MIXTURE.covariances)
    covariances = {"full": MIXTURE.covariances, "diag": variances, "tied": MIXTURE.covariances[0]}[form]
    return rows.frame.enter(Parameters(MIXTURE.weights, MIXTURE.means, covariances, form))


def task(rows: ArrayRows, form: str = "full", key: tuple[int, int] | None = None) -> LabellingTask:
    p = parameters(rows, form)
    inner = rows.task(p, "diag" if form == "diag" else "full", Trust(narrow=False, pooled=False))
    likelihoods = np.empty(0 if key is None else rows.n_rows)
    return LabellingTask(inner, packed_for_scoring(rows.frame, p), key, likelihoods)


def summed(rows: ArrayRows, of: LabellingTask, team: Team = ALONE) -> SufficientStatistics:
    return of.statistics(rows.sweep(of, team), rows.weight)


def textbook(labels: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, means and covariances about them of labelled rows."""
    counts = np.array([weights[labels == k].sum() for k in range(3)])
    means = np.array([weights[labels == k] @ X[labels == k] / counts[k] for k in range(3)])
    centred = X - means[labels]
    second = np.array([(weights[labels == k, None] * centred[labels == k]).T @ centred[labels == k] for k in range(3)])
    return counts, means, second


@pytest.mark.parametrize("form", ["full", "tied", "diag"])
def test_most_probable_components_get_the_rows(form: str) -> None:
    rows = ArrayRows(X, WEIGHTS)
    found = summed(rows, task(rows, form))
    labels = np.empty(len(X), dtype=np.int64)
    score_rows(rows, packed_for_scoring(rows.frame, parameters(rows, form)), Results(labels=labels), ALONE)
    counts, means, second = textbook(labels, WEIGHTS)
    np.testing.assert_allclose(found.sum_w, counts, rtol=1e-13)
    here = found.origins + found.sum_x / found.sum_w[:, None]
    np.testing.assert_allclose(here / rows.frame.scale + rows.frame.centre, means, rtol=1e-12)
    scatters = found.scatters if form != "diag" else np.array([np.diag(s) for s in found.scatters])
    expected = second * rows.frame.scale[:, None] * rows.frame.scale
    if form == "diag":
        expected = expected * np.eye(2)
    np.testing.assert_allclose(scatters, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())


def test_draws_follow_the_responsibilities() -> None:
    rows = ArrayRows(X)
    shares = np.empty((len(X), 3))
    likelihoods = np.empty(len(X))
    mixture = packed_for_scoring(rows.frame, parameters(rows, "full"))
    score_rows(rows, mixture, Results(likelihoods, shares), ALONE)
    draws = []
    for number in range(200):
        of = task(rows, key=(7, number))
        draws.append(summed(rows, of).sum_w)
        np.testing.assert_allclose(of.log_likelihoods + mixture.offset, likelihoods, rtol=1e-13)
    error = np.sqrt((shares * (1 - shares)).sum(axis=0) / len(draws))
    assert (np.abs(np.mean(draws, axis=0) - shares.sum(axis=0)) < 4 * error).all()
    assert np.std(draws, axis=0) == pytest.approx(np.sqrt((shares * (1 - shares)).sum(axis=0)), rel=0.25)


@pytest.mark.parametrize("key", [None, (3, 5)])
def test_bits_do_not_depend_on_spans_or_threads(key: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ArrayRows(X, WEIGHTS)
    whole = task(rows, key=key)
    expected = summed(rows, whole)
    monkeypatch.setattr("fastgmm.sweep.SPAN_FLOP", 1.0)
    monkeypatch.setattr("fastgmm.labelling_task.PIECE_NUMBERS", 60)
    for team in (ALONE, Team(2, "serial")):
        of = task(rows, key=key)
        problems.same_bits(summed(rows, of, team), expected)
        np.testing.assert_array_equal(of.log_likelihoods, whole.log_likelihoods)


def test_rows_without_weight_have_no_likelihood() -> None:
    rows = ArrayRows(X, WEIGHTS)
    of = task(rows, key=(0, 0))
    summed(rows, of)
    assert not of.log_likelihoods[WEIGHTS == 0].any()
    plain = task(ArrayRows(X), key=(0, 0))
    summed(ArrayRows(X), plain)
    np.testing.assert_allclose(of.log_likelihoods, WEIGHTS * plain.log_likelihoods, rtol=1e-13)


def test_uniforms_belong_to_rows() -> None:
    whole = uniforms((1, 2), 0, 1000)
    np.testing.assert_array_equal(np.concatenate([uniforms((1, 2), 0, 400), uniforms((1, 2), 400, 600)]), whole)
    assert abs(whole.mean() - 0.5) < 0.05
    assert not np.isin(uniforms((1, 3), 0, 1000), whole).any()
    assert not np.isin(uniforms((2, 2), 0, 1000), whole).any()
