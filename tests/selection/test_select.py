"""Selection: the table, the best, what is refused, and that it finds what is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import problems
import pytest

import fastgmm
from fastgmm.models import MODELS
from fastgmm.selection.guard import Guard

X = fastgmm.datasets.load_faithful()
KNOWN = json.loads((Path(__file__).parent / "faithful-bic.json").read_text())["bic"]

MCLUST = json.loads((Path(__file__).parent / "faithful-mclust.json").read_text())["bic"]


@pytest.fixture(scope="module")
def found():
    return fastgmm.select(X, range(1, 4), random_state=0)


def test_mclusts_choice_is_ours(found):
    assert (found.best_model, found.best_n_components) == ("EEE", 3)
    assert found.top(1) == [("EEE", 3, pytest.approx(2314.2957, abs=1e-3))]


def test_no_candidate_is_worse_than_the_best_known(found):
    for i, model in enumerate(found.models):
        for j, k in enumerate(found.n_components):
            assert found.criteria[i, j] <= -KNOWN[model][str(k)] + 0.2, (model, k)


def test_no_candidate_is_worse_than_mclusts(found):
    for i, model in enumerate(found.models):
        for j, k in enumerate(found.n_components):
            assert found.criteria[i, j] <= -MCLUST[model][str(k)] + 0.002, (model, k)


def test_most_of_fourteen_models_times_nine_numbers_reach_what_is_known():
    found = fastgmm.select(X, random_state=0)
    known = np.array([[-KNOWN[model][str(k)] for k in found.n_components] for model in found.models])
    mclust = np.array([[-MCLUST[model][str(k)] for k in found.n_components] for model in found.models])
    short = found.criteria - known
    assert not np.isnan(short).any()
    assert (short <= 0.2).sum() >= 124
    assert short.max() < 4
    assert (found.criteria <= mclust + 1.0).all()


def test_the_best_is_a_fitted_estimator_of_that_value(found):
    assert found.best.converged_
    assert found.best.covariance_type == "EEE"
    assert found.best.bic(X) == pytest.approx(found.criteria[found.models.index("EEE"), 2], abs=1e-3)
    assert found.best.predict(X).shape == (272,)


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_criteria_are_those_of_the_mixtures(criterion):
    found = fastgmm.select(X, [2, 1, 2], ["EEE", "full"], criterion, random_state=0)
    assert found.n_components == (1, 2)
    assert found.models == ("EEE", "VVV")
    for i, model in enumerate(found.models):
        for j, k in enumerate(found.n_components):
            expected = getattr(found.mixtures[model, k], criterion)(X)
            assert found.criteria[i, j] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(found.bic[1, 1], found.mixtures["VVV", 2].bic(X))
    np.testing.assert_allclose(found.aic[1, 1], found.mixtures["VVV", 2].aic(X))


def test_equal_likelihoods_go_to_fewer_parameters():
    assert fastgmm.select(X, 1, ["VVV", "EEE"], random_state=0).best_model == "VVV"  # equal for one component
    assert fastgmm.select(X, 1, random_state=0).criteria.shape == (14, 1)


def test_threads_change_no_bits():
    one, two = (fastgmm.select(X, [2, 3, 4], ["VEV", "VVE"], random_state=1, n_threads=n).criteria for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_many_features_on_few_rows_end_in_gaps_not_in_errors():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((80, 13)) + np.repeat([[0.0], [3.0]], 40, axis=0)
    found = fastgmm.select(rows, [1, 2], ["VEE", "EII", "VVV"], random_state=0)
    assert np.isfinite(found.criteria[:2]).all()
    assert np.isfinite(found.criteria[2, 0])
    assert set(found.reasons) == {("VVV", 2)}  # 76 rows are wanted of a component


def test_weights_are_repeated_rows():
    rows, weights = X[:60], np.tile([1.0, 2.0], 30)
    repeated = np.repeat(rows, weights.astype(int), axis=0)
    a = fastgmm.select(rows, [1, 2], ["EEE", "VII"], sample_weight=weights, random_state=0)
    b = fastgmm.select(repeated, [1, 2], ["EEE", "VII"], random_state=0)
    np.testing.assert_allclose(a.criteria, b.criteria, atol=1e-3)
    assert a.n_rows == b.n_rows == 90


def test_a_unit_does_not_matter():
    shifted = X * [1000.0, 0.01] + [1e6, 3.0]
    models = ["EEE", "VVV", "VVI"]
    a, b = (fastgmm.select(rows, [2, 3], models, random_state=0).log_likelihoods for rows in (X, shifted))
    np.testing.assert_allclose(a - b, 272 * np.log(10.0), atol=0.02)


def test_the_same_seed_chooses_the_same():
    a, b = (fastgmm.select(X, [3, 4], ["VEV", "EVE"], random_state=5).criteria for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_a_prior_admits_what_the_likelihood_does_not():
    found = fastgmm.select(X, [1, 2], ["VVV"], prior="mclust", random_state=0)
    gm = fastgmm.GaussianMixture(2, prior="mclust", reg_covar=0.0, tol=1e-10, max_iter=2000, random_state=0).fit(X)
    assert found.criteria[0, 1] == pytest.approx(gm.bic(X), abs=1e-3)


def test_one_feature_has_two_models():
    found = fastgmm.select(X[:, 1:], [1, 2], random_state=0)
    assert found.models == ("EII", "VII")
    assert found.best_n_components == 2


def test_many_rows_are_sought_on_a_sample_and_fitted_whole():
    rows = problems.drawn(problems.mixture(3, 2, seed=2), 6000)
    found = fastgmm.select(rows, [1, 2, 3], ["VVV"], random_state=0)
    truth = fastgmm.Mixture(problems.parameters(problems.mixture(3, 2, seed=2)))
    assert found.log_likelihoods[0, 2] >= 6000 * truth.score(rows)


def test_the_reason_for_a_gap_is_kept():
    rows = np.repeat([[0.0, 0.0], [1.0, 3.0], [5.0, 1.0]], 5, axis=0) + np.tile(
        [[0.0], [0.1], [0.2], [0.3], [0.4]], (3, 1)
    )
    found = fastgmm.select(rows, [1, 3], ["VVV", "EII"], random_state=0)
    assert np.isnan(found.criteria[0, 1])
    assert "few rows" in found.reasons["VVV", 3]
    assert "1 without a fit" in repr(found)


def test_no_candidate_at_all_is_an_error():
    with pytest.raises(ValueError, match="no candidate could be fitted"):
        fastgmm.select(np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0), [2], ["VVV"], random_state=0)


def test_a_quick_selection_is_one_too():
    found = fastgmm.select(X, [1, 2], ["EEE", "VVV"], search=None, random_state=0)
    assert found.criteria[1, 1] == pytest.approx(2322.1917, abs=1e-3)


def test_it_prints_as_a_table(found):
    lines = str(found).splitlines()
    assert lines[0].split() == ["K", *MODELS]
    assert len(lines) == 5
    assert "2314.30*" in lines[3]
    html = found._repr_html_()
    assert html.count("<tr>") == 4
    assert "<b>2314.30</b>" in html


def test_a_data_frame_has_the_best_first(found):
    pytest.importorskip("pandas")
    table = found.to_pandas()
    assert len(table) == 42
    assert tuple(table.loc[0, ["model", "n_components"]]) == ("EEE", 3)
    assert table["bic"].is_monotonic_increasing


def test_a_picture_has_a_line_for_each_model(found):
    pytest.importorskip("matplotlib")
    ax = found.plot()
    assert [line.get_label() for line in ax.lines][:14] == list(MODELS)
    np.testing.assert_allclose(ax.lines[6].get_ydata(), found.criteria[6])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"criterion": "dic"}, "'criterion' parameter of select"),
        ({"search": "long"}, "'search' parameter of select"),
        ({"n_components": []}, "holds no number"),
        ({"n_components": [0]}, "'n_components' parameter"),
        ({"n_components": 273}, "n_samples >= n_components"),
        ({"models": "VVX"}, "model must be one of"),
        ({"models": []}, "holds no name"),
        ({"prior": "other"}, "'prior' parameter of select"),
        ({"min_rows": -1}, "'min_rows' parameter"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fastgmm.select(X, **arguments)


@pytest.mark.parametrize(("model", "expected"), [("EII", 8), ("EEE", 8), ("VII", 10), ("VVI", 16), ("VVV", 22)])
def test_a_component_must_hold_two_rows_for_each_number_of_its_own(model, expected):
    assert Guard().rows_wanted(model, 4) == expected
    assert Guard(min_rows=3).rows_wanted(model, 4) == 3
