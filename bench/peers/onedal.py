"""Intel's oneDAL through daal4py's em_gmm, which scikit-learn-intelex installs."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata

import numpy as np

from bench.peers import Floats, Result
from bench.start import Start

LABEL = "oneDAL"


def version() -> str:
    """Return the version of oneDAL itself, whose package is called daal."""
    return metadata.version("daal")


def available() -> bool:
    """Import the algorithm; say whether that worked."""
    try:
        from daal4py import em_gmm
    except ImportError:
        return False
    return em_gmm is not None


def threads(n: int) -> dict[str, str]:
    """Return the variables for n threads; TBB heeds none of them, so `fit` passes the number on."""
    return {"OMP_NUM_THREADS": str(n), "MKL_NUM_THREADS": str(n)}


@cache
def _initialise() -> None:
    from daal4py import daalinit

    daalinit(int(os.environ.get("OMP_NUM_THREADS", "0")) or -1)


def fit(X: Floats, start: Start, iterations: int) -> Result:
    """Run exactly that many EM iterations from the start.

    With a threshold of 0 oneDAL never stops early. Its goal function is the total log-likelihood of the last E-step.
    """
    from daal4py import em_gmm

    _initialise()
    k = len(start.weights)
    algorithm = em_gmm(nComponents=k, maxIterations=iterations, accuracyThreshold=0.0)
    result = algorithm.compute(X, start.weights.reshape(1, k), start.means, list(start.covariances))
    done = int(np.asarray(result.nIterations).item())
    if done != iterations:
        raise RuntimeError(f"oneDAL ran {done} iterations instead of {iterations}.")
    total = float(np.asarray(result.goalFunction).item())
    return Result(total / len(X), np.ravel(result.weights), np.asarray(result.means), np.stack(result.covariances))
