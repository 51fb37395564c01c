"""What is known of Old Faithful: every mixture in the file is an optimum, obeys the guard, and has its BIC."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import fastgmm
from fastgmm.models import MODELS
from fastgmm.selection.guard import Guard, whitener_of

FOLDER = Path(__file__).parent
KNOWN = json.loads((FOLDER / "faithful-bic.json").read_text())["bic"]
OPTIMA = json.loads((FOLDER / "faithful-optima.json").read_text())
MCLUST = json.loads((FOLDER / "faithful-mclust.json").read_text())["bic"]

X = fastgmm.datasets.load_faithful()
WHITENER = whitener_of(np.cov(X.T, bias=True))


def parameters(model, k):
    given = OPTIMA[model][k]
    weights = np.array(given["weights"])
    matrices, form = np.array(given["covariances"]), MODELS[model].form
    stored = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.diagonal(matrices, axis1=1, axis2=2),
        "spherical": matrices[:, 0, 0],
    }[form]
    return fastgmm.Parameters(weights / weights.sum(), given["means"], np.ascontiguousarray(stored), form)


@pytest.mark.parametrize("model", MODELS)
def test_known_optima_are_optima(model):
    for k in OPTIMA[model]:
        p = parameters(model, k)
        np.testing.assert_allclose(p.matrices, OPTIMA[model][k]["covariances"], rtol=1e-9)
        statistics = fastgmm.expectation(X, p)
        bic = 2 * statistics.log_likelihood - MODELS[model].n_parameters(int(k), 2) * math.log(len(X))
        assert bic == pytest.approx(KNOWN[model][k], abs=1e-3)
        p = fastgmm.maximise(statistics, model, reg_covar=0.0, before=p)  # alternations come to rest
        settled = fastgmm.expectation(X, p)
        assert abs(settled.log_likelihood - statistics.log_likelihood) < 1e-4
        for _ in range(3):
            p = fastgmm.maximise(settled, model, reg_covar=0.0, before=p)
            following = fastgmm.expectation(X, p)
            assert following.log_likelihood - settled.log_likelihood < 1e-7
            settled = following
        guard = Guard()
        least = guard.rows_wanted(model, 2) / len(X)
        assert guard.admits(p.weights[None], np.array(p.matrices)[None], least, WHITENER)[0], (model, k)


def test_all_candidates_are_known_and_none_is_worse_than_mclusts():
    for model, row in MCLUST.items():
        assert list(KNOWN[model]) == list(OPTIMA[model]) == list(row)
        for k, value in row.items():
            assert KNOWN[model][k] >= value - 0.002, (model, k)
