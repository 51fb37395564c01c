from __future__ import annotations

import geometry
import numpy as np
import pytest

from fastgmm.models import FAMILIES, MODELS, find_model, maximise

COUNTS = {
    "EII": 1,
    "VII": 3,
    "EEI": 4,
    "VEI": 6,
    "EVI": 10,
    "VVI": 12,
    "EEE": 10,
    "VEE": 12,
    "EVE": 16,
    "VVE": 18,
    "EEV": 22,
    "VEV": 24,
    "EVV": 28,
    "VVV": 30,
}
"""K = 3, D = 4, by the formulas that mclust documents in nVarParams."""


def test_there_are_fourteen() -> None:
    assert list(MODELS) == list(COUNTS)
    assert all(model.name == name for name, model in MODELS.items())


@pytest.mark.parametrize("name", MODELS)
def test_counts(name: str) -> None:
    model = MODELS[name]
    assert model.variance_parameters(3, 4) == COUNTS[name]
    assert model.n_parameters(3, 4) == COUNTS[name] + 3 * 4 + 2
    assert model.n_parameters(3, 4, equal_weights=True) == COUNTS[name] + 3 * 4
    assert model.variance_parameters(3, 1) == (3 if name[0] == "V" else 1)


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_the_dimensions_of_the_sets(name: str) -> None:
    """The rank of the move of covariances by small moves of volumes, shapes and orientations."""
    p = maximise(geometry.statistics(2, 3), name, reg_covar=0.0)
    rng = np.random.default_rng(0)
    moves = [geometry.perturbed(name, p, 1e-6, rng).matrices - p.matrices for _ in range(60)]
    values = np.linalg.svd(np.array(moves).reshape(60, -1), compute_uv=False)
    assert (values > 1e-4 * values[0]).sum() == MODELS[name].variance_parameters(2, 3)


@pytest.mark.parametrize("name", MODELS)
def test_models_that_need_one_scale_are_marked(name: str) -> None:
    p = maximise(geometry.statistics(), name, reg_covar=0.0)
    units = np.array([0.5, 1.0, 4.0])
    stretched = p.matrices * units[:, None] * units
    inside = geometry.composed(*geometry.decomposed(name, stretched))
    assert np.allclose(inside, stretched, rtol=1e-6) == (not MODELS[name].isotropic)


def test_other_names() -> None:
    assert {family: find_model(family).form for family in FAMILIES} == {family: family for family in FAMILIES}
    assert find_model("E", 1).name == "EII"
    assert find_model("V", 1).name == "VII"
    with pytest.raises(ValueError, match="model 'V' is for one feature, but there are 2; the spherical one is 'VII'"):
        find_model("V", 2)


@pytest.mark.parametrize("name", ["VIV", "vvv", "", None, 3, ["VVV"]])
def test_unknown_names_are_refused(name: object) -> None:
    with pytest.raises(
        ValueError, match=r"model must be one of EII, VII, .*, spherical \(or E, V for one feature\), but"
    ):
        find_model(name)  # type: ignore[arg-type]
