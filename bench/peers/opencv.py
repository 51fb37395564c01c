"""OpenCV's cv2.ml.EM, of opencv-contrib."""

from __future__ import annotations

import os

import numpy as np

from bench.peers import Floats, Result
from bench.start import Start

LABEL = "OpenCV"


def version() -> str:
    """Return the version of the package."""
    import cv2

    return str(cv2.__version__)


def available() -> bool:
    """Import the module; say whether it has EM, which plain opencv-python 5 lacks."""
    try:
        import cv2
    except ImportError:
        return False
    return hasattr(cv2, "ml")


def threads(n: int) -> dict[str, str]:
    """Return the variable for OpenMP; `fit` tells OpenCV itself."""
    return {"OMP_NUM_THREADS": str(n)}


def fit(X: Floats, start: Start, iterations: int) -> Result:
    """Run that many EM iterations from the start; trainE counts the E-step that it ends with."""
    import cv2

    cv2.setNumThreads(int(os.environ.get("OMP_NUM_THREADS", "0")))
    model = cv2.ml.EM_create()
    model.setClustersNumber(len(start.weights))
    model.setCovarianceMatrixType(cv2.ml.EM_COV_MAT_GENERIC)
    model.setTermCriteria((cv2.TERM_CRITERIA_COUNT, iterations + 1, 0.0))
    done, log_likelihoods, _, _ = model.trainE(X, start.means, cv2.Mat(start.covariances), start.weights[None])
    if not done:
        raise RuntimeError("EM::trainE failed.")
    return Result(
        float(np.mean(log_likelihoods)), np.ravel(model.getWeights()), model.getMeans(), np.array(model.getCovs())
    )
