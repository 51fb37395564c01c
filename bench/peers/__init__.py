"""One file per library, each with the same names: `LABEL`, `version`, `available`, `threads` and `fit`.

Those whose whole fits are compared have `fit_whole` too.

A peer is imported only in the subprocess that times it, so that a missing or crashing library costs one row.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.start import Start

Floats = NDArray[np.float64]

MODULES = {
    "fastgmm": "ours",
    "scikit-learn": "scikit_learn",
    "onedal": "onedal",
    "gmmx": "gmmx",
    "armadillo": "armadillo",
    "opencv": "opencv",
}

# oneDAL adds nothing to the diagonal of a covariance that is positive definite, and cannot be asked to. With 0 all
# peers agree to rounding. With 1e-6 for the others, after 7 iterations their covariances differ from oneDAL's by 1e-5
# on synthetic cases, but by 15 % on china-patches, whose smallest variances are of that size, and the log-likelihood
# there is 0.36 lower.
REG_COVAR = 0.0


@dataclass(frozen=True, eq=False)
class Result:
    """What a fit leaves: the library's own log-likelihood and the parameters.

    `log_likelihood_mean` is per row and of the last E-step, so under the parameters before the last M-step; NaN where
    the library does not tell.
    """

    log_likelihood_mean: float
    weights: Floats
    means: Floats
    covariances: Floats


class Peer(Protocol):
    """The names that a peer's module has."""

    LABEL: str

    def version(self) -> str:
        """Return the library's version."""

    def available(self) -> bool:
        """Import the library; say whether that worked."""

    def threads(self, n: int) -> dict[str, str]:
        """Return the environment variables, set before the library is imported, that give it n threads."""

    def fit(self, X: Floats, start: Start, iterations: int) -> Result:
        """Run exactly that many EM iterations from the start, in float64."""


class WholePeer(Peer, Protocol):
    """A peer whose default fits are timed too."""

    def fit_whole(self, X: Floats, n_components: int) -> tuple[Result, int]:
        """Fit as a user would who names nothing but K and a seed of 0; return the result and the iterations."""


def load(name: str) -> Peer:
    """Import the peer of that name from `MODULES`."""
    module: Any = importlib.import_module(f"bench.peers.{MODULES[name]}")
    return cast("Peer", module)
