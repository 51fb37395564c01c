"""fastgmm as the sections drive it: fits whose every iteration is timed by the estimator's callback."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.estimators import fitted
from bench.start import Start

SHORTEST = 0.3  # seconds of iterations that are worth a median
MOST_ITERATIONS = 50


@dataclass(frozen=True, eq=False)
class Trace:
    """A fit, iteration by iteration."""

    seconds: list[float]
    """Since the fit began, at the end of each iteration."""
    log_likelihoods: list[float]
    evaluated: list[float]
    model: Any

    def pace(self, after: int = 1) -> float:
        """Return the mean seconds of an iteration, those up to `after` left out."""
        return (self.seconds[-1] - self.seconds[after - 1]) / (len(self.seconds) - after)


def trace(X: NDArray[Any], start: Start, iterations: int, threads: int, **options: Any) -> Trace:
    """Run exactly that many iterations from the start; `options` go to the estimator."""
    from fastgmm import GaussianMixture

    seen: list[Any] = []
    options |= {
        "n_threads": threads,
        "callback": lambda step: seen.append((step.seconds, step.log_likelihood, step.evaluated)),
    }
    model = fitted(GaussianMixture, X, start, iterations, **options)
    if len(seen) != iterations:
        raise RuntimeError(f"fastgmm ran {len(seen)} iterations instead of {iterations}.")
    seconds, log_likelihoods, evaluated = (list(column) for column in zip(*seen, strict=True))
    return Trace(seconds, log_likelihoods, evaluated, model)


def kmeans_start(X: NDArray[Any], n_components: int, threads: int) -> Start:
    """Return the parameters that the estimator's default start finds."""
    from fastgmm import GaussianMixture

    model = GaussianMixture(n_components, max_iter=0, random_state=0, n_threads=threads).fit(X)
    return Start(*(np.asarray(a, dtype=np.float64) for a in (model.weights_, model.means_, model.covariances_)))


def enough_iterations(X: NDArray[Any], start: Start, threads: int, **options: Any) -> int:
    """Return how many iterations take long enough to be timed, at least 4; kernels are compiled on the way."""
    pace = trace(X, start, 3, threads, **options).pace()
    return int(np.clip(SHORTEST / max(pace, 1e-9), 4, MOST_ITERATIONS))


def paces(traces: dict[str, list[Trace]]) -> dict[str, float]:
    """Return each contender's median seconds of an iteration."""
    return {name: median(one.pace() for one in rounds) for name, rounds in traces.items()}
