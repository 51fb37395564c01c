"""Families of covariances: iterations of tied, diagonal and spherical fits from one start, against other libraries."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from bench import child, fast
from bench.cases import synthetic
from bench.peers import REG_COVAR, Floats
from bench.plan import Plan
from bench.start import Start
from bench.tables import grid, seconds, times
from bench.targets import Finding
from bench.turns import turns

KIND = "family"
TITLE = "Tied, diagonal and spherical covariances"
ROUNDS = 3

FAMILIES = ("tied", "diag", "spherical")
CASES = tuple(f"{family}-d16k32" for family in FAMILIES)
PROBLEM = synthetic("d16k32-500k", 500_000, 16, 32)

FEW, MANY = 1, 4
"""Iterations of two fits whose difference counts, where a library is timed from outside."""

BASE = "fastgmm"


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Compare the libraries in a process of their own."""
    return child.call(compare, name, plan, plan=plan)


def compare(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Run all libraries from one start; one line for each."""
    family = name.split("-")[0]
    X = PROBLEM.rows(plan.scale)
    start = PROBLEM.start(X)
    stored, precisions = _of_family(start, family)
    fits: dict[str, Callable[[int], tuple[float, float]]] = {
        BASE: partial(_ours, X, start, family, precisions, plan.threads),
        "scikit-learn": partial(_scikit_learn, X, start, family, precisions),
    }
    if family == "diag":
        fits["oneDAL"] = partial(_onedal, X, start, stored)
    able = {label: fit for label, fit in fits.items() if _works(fit)}
    rounds = turns({label: partial(_pace, fit) for label, fit in able.items()}, plan)
    size = {"n_samples": len(X), "n_features": X.shape[1], "n_components": PROBLEM.n_components}
    common = {"kind": KIND, "case": name, **size, "threads": plan.threads, "scale": plan.scale}
    pace = {label: median(each for each, _ in found) for label, found in rounds.items()}
    return [
        {**common, "label": label, "error": None, "seconds_per_iteration": pace[label],
         "times_ours": pace[label] / pace[BASE], "log_likelihood": rounds[label][0][1]}
        for label in able
    ]  # fmt: skip


def _works(fit: Callable[[int], tuple[float, float]]) -> bool:
    """Say whether a library is there; what it compiles is compiled here."""
    try:
        fit(1)
    except ImportError:
        return False
    return True


def _pace(fit: Callable[[int], tuple[float, float]]) -> tuple[float, float]:
    """Return the seconds of an iteration, and the mean log-likelihood that the last of MANY saw."""
    few, _ = fit(FEW)
    many, found = fit(MANY)
    return (many - few) / (MANY - FEW), found


def _of_family(start: Start, family: str) -> tuple[Floats, Floats]:
    """Return the start's covariances and precisions in the shapes of a family."""
    pooled = start.covariances[0]
    if family == "tied":
        return pooled, np.linalg.inv(pooled)
    variances = np.repeat(np.diag(pooled)[None], len(start.weights), axis=0)
    stored = variances if family == "diag" else variances.mean(axis=1)
    return stored, 1.0 / stored


def _estimator(
    kind: Any, X: Floats, start: Start, family: str, precisions: Floats, iterations: int, **more: Any
) -> Any:
    model = kind(
        len(start.weights), covariance_type=family, weights_init=start.weights, means_init=start.means,
        precisions_init=precisions, tol=0.0, max_iter=iterations, reg_covar=REG_COVAR, **more,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X)


def _ours(
    X: Floats, start: Start, family: str, precisions: Floats, threads: int, iterations: int
) -> tuple[float, float]:
    from fastgmm import GaussianMixture

    # Iterations are short: more of them for the same clock, told by the estimator itself.
    more = fast.MOST_ITERATIONS if iterations == MANY else iterations
    seen: list[tuple[float, float]] = []
    note = lambda step: seen.append((step.seconds, step.log_likelihood))  # noqa: E731
    _estimator(GaussianMixture, X, start, family, precisions, more, n_threads=threads, callback=note)
    if iterations != MANY:
        return seen[0][0], seen[-1][1]
    each = (seen[-1][0] - seen[0][0]) / (len(seen) - 1)
    return seen[0][0] + each * (MANY - 1), seen[MANY - 1][1]


def _scikit_learn(X: Floats, start: Start, family: str, precisions: Floats, iterations: int) -> tuple[float, float]:
    from sklearn.mixture import GaussianMixture

    began = time.perf_counter()
    model = _estimator(GaussianMixture, X, start, family, precisions, iterations)
    return time.perf_counter() - began, float(model.lower_bound_)


def _onedal(X: Floats, start: Start, variances: Floats, iterations: int) -> tuple[float, float]:
    from daal4py import daalinit, em_gmm

    daalinit(int(os.environ.get("OMP_NUM_THREADS", "0")) or -1)
    k = len(start.weights)
    algorithm = em_gmm(nComponents=k, maxIterations=iterations, accuracyThreshold=0.0, covarianceStorage="diagonal")
    began = time.perf_counter()
    result = algorithm.compute(X, start.weights.reshape(1, k), start.means, [row[None] for row in variances])
    return time.perf_counter() - began, float(np.asarray(result.goalFunction).item()) / len(X)


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is compared."""
    return (
        f"{lines[0]['n_samples']} rows, D = {lines[0]['n_features']}, K = {lines[0]['n_components']}, "
        f"{lines[0]['threads']} threads, float64, the same start for all; median of up to {ROUNDS} interleaved rounds. "
        f"Times: seconds in units of fastgmm's. Log-likelihood: mean per row that iteration {MANY} saw."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = [
        [f"{line['case']}, {line['label']}", seconds(line["seconds_per_iteration"]), times(line["times_ours"]),
         f"{line['log_likelihood']:.8f}"]
        for line in lines if line["error"] is None
    ]  # fmt: skip
    return grid(["fit", "s / iteration", "times", "log-likelihood"], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the ratios, and how far log-likelihoods are apart."""
    ours = {line["case"]: line for line in lines if line["error"] is None and line["label"] == BASE}
    for line in lines:
        if line["error"] is not None or line["label"] == BASE:
            continue
        yield Finding(f"family, times {line['label']}'s speed", line["case"], line["times_ours"], is_ratio=True)
        apart = abs(line["log_likelihood"] / ours[line["case"]]["log_likelihood"] - 1.0)
        yield Finding(f"family, log-likelihood's relative difference from {line['label']}'s", line["case"], apart)
