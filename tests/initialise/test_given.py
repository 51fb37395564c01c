"""Given starts: into the frame and out of it, in every form."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.forms import FORMS
from fastgmm.frame import Frame
from fastgmm.initialise.given import GivenStart, given_start
from fastgmm.parameters import Parameters

MEANS = np.array([[1.0, 200.0], [3.0, -100.0]])
WEIGHTS = np.array([0.25, 0.75])
PRECISIONS = {
    "full": np.array([[[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 3.0]]]),
    "tied": np.array([[2.0, 0.5], [0.5, 1.0]]),
    "diag": np.array([[2.0, 1.0], [1.0, 3.0]]),
    "spherical": np.array([2.0, 0.5]),
}


def frame_for(form: str) -> Frame:
    frame = Frame.around(np.array([100.0, -300.0]), np.array([101.0, 300.0]))
    return frame.isotropic() if form == "spherical" else frame


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_start_comes_back_from_the_frame(form: str) -> None:
    given = given_start(WEIGHTS, MEANS, PRECISIONS[form], 2, 2, form)
    assert given.complete
    assert not given.empty
    frame = frame_for(form)
    found = frame.leave(given.over(None, frame))
    assert found.form == form
    np.testing.assert_allclose(found.means, MEANS, rtol=1e-12)
    precisions = FORMS[form].matrices(PRECISIONS[form], 2, 2)
    np.testing.assert_allclose(found.matrices @ precisions, np.broadcast_to(np.eye(2), (2, 2, 2)), atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_given_replaces_what_was_found(form: str) -> None:
    frame = frame_for(form)
    found = Parameters(np.full(2, 0.5), np.zeros((2, 2)), np.ones(FORMS[form].shape(2, 2)), form)
    assert given_start(None, None, None, 2, 2, form).empty
    assert (
        given_start(None, None, None, 2, 2, form).over(found, frame).covariances.tobytes()
        == found.covariances.tobytes()
    )
    mixed = given_start(WEIGHTS, None, PRECISIONS[form], 2, 2, form).over(found, frame)
    assert mixed.weights.tobytes() == WEIGHTS.tobytes()
    assert mixed.means.tobytes() == found.means.tobytes()
    assert mixed.covariances.tobytes() != found.covariances.tobytes()


def test_nothing_found_and_not_all_given_is_an_error() -> None:
    with pytest.raises(ValueError, match="must all be given"):
        GivenStart(WEIGHTS, MEANS, None).over(None, frame_for("full"))
