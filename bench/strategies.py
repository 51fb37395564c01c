"""Strategies side by side: what each way to a good optimum finds, in how many passes and seconds.

`python -m bench.strategies` measures, and writes results/strategies.json and docs/strategies.md; with
`--again STRATEGY PROBLEM…` it measures one strategy anew on some problems and keeps all else; with `--page` it only
writes the page from the results that there are; with `--optima` it looks for the reference optima again (minutes).
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine
from bench.problems import PROBLEMS, Floats, Problem, optima

Outcome = tuple[float, float | None]
"""Mean log-likelihood, and passes."""

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results" / "strategies.json", HERE.parent / "docs" / "strategies.md"
LESSONS = HERE / "lessons.md"
"""What the page ends with."""

SEEDS = range(10)
NEAR = 0.005
"""Nats per point below the best known optimum that count as having found it."""


def ours(X: Floats, problem: Problem, seed: int, **options: Any) -> Outcome:
    """Fit with fastgmm; count its passes from the start to the end."""
    from fastgmm import GaussianMixture
    from fastgmm.em.search.meter import Meter
    from fastgmm.rows.memory import ArrayRows

    meter = Meter(len(X), problem.n_components)
    options = {"covariance_type": problem.covariance_type, "random_state": seed, "n_threads": 1, **options}
    model = GaussianMixture(problem.n_components, **options).fit(meter.counted(ArrayRows(X)))
    return model.mixture_.score(X), meter.passes


def theirs(X: Floats, problem: Problem, seed: int, n_init: int) -> Outcome:
    """Fit with scikit-learn."""
    from sklearn.mixture import GaussianMixture

    kind = problem.covariance_type
    model = GaussianMixture(problem.n_components, covariance_type=kind, random_state=seed, n_init=n_init)
    return float(model.fit(X).score(X)), None


def gradient(X: Floats, problem: Problem, seed: int) -> Outcome:
    """Raise the likelihood from the default start by SciPy's L-BFGS, with the exact gradient."""
    from scipy.optimize import minimize

    from fastgmm import GaussianMixture, Mixture
    from fastgmm import gradient as gradient_at
    from fastgmm.coordinates import from_vector, to_vector
    from fastgmm.em.search.meter import Meter
    from fastgmm.rows.memory import ArrayRows

    k, kind, meter = problem.n_components, problem.covariance_type, Meter(len(X), problem.n_components)
    counted = meter.counted(ArrayRows(X))
    start = GaussianMixture(k, covariance_type=kind, random_state=seed, n_threads=1, max_iter=0).fit(counted)

    def loss(vector: Floats) -> tuple[float, Floats]:
        value, slope = gradient_at(counted, from_vector(vector, k, X.shape[1], kind), n_threads=1)
        return -value, -slope

    begin = to_vector(start.mixture_.parameters)
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-7})
    return Mixture(from_vector(found.x, k, X.shape[1], kind)).score(X), meter.passes


def hard(X: Floats, problem: Problem, seed: int) -> Outcome:
    """Run classification EM from the default start: each row counts for one component."""
    return ours(X, problem, seed, assignment="hard")


def _search(name: str, budget: float = 60) -> Callable[[Floats, Problem, int], Outcome]:
    return lambda X, problem, seed: ours(X, problem, seed, search=name, search_budget=budget)


STRATEGIES: dict[str, Callable[[Floats, Problem, int], Outcome]] = {
    "EM": ours,
    "EM, tol=1e-6": lambda X, problem, seed: ours(X, problem, seed, tol=1e-6, max_iter=1000),
    "EM, SQUAREM, tol=1e-6": lambda X, problem, seed: ours(
        X, problem, seed, tol=1e-6, max_iter=1000, acceleration="squarem"
    ),
    "hard EM": hard,
    "gradient (L-BFGS)": gradient,
    "restarts, n_init=10": lambda X, problem, seed: ours(X, problem, seed, n_init=10),
    "annealing": _search("annealing"),
    "short runs": _search("short-runs"),
    "split–merge": _search("split-merge"),
    "auto": _search("auto"),
    "auto, budget 120": _search("auto", 120),
    "auto, budget 300": _search("auto", 300),
    "scikit-learn, n_init=1": lambda X, problem, seed: theirs(X, problem, seed, 1),
    "scikit-learn, n_init=10": lambda X, problem, seed: theirs(X, problem, seed, 10),
    "scikit-learn, n_init=100": lambda X, problem, seed: theirs(X, problem, seed, 100),
}


def measure() -> dict[str, Any]:
    """Run every strategy on every problem, with ten seeds; return what came out."""
    results: dict[str, Any] = {"machine": machine.describe(), "problems": {}}
    for problem in PROBLEMS.values():
        X, table = problem.make(), {}
        ours(X, problem, 0, search="auto")  # kernels are compiled
        for name, strategy in STRATEGIES.items():
            seeds = range(2) if name == "scikit-learn, n_init=100" and len(X) > 1000 else SEEDS
            try:
                table[name] = [_timed(strategy, X, problem, seed) for seed in seeds]
            except ImportError as error:
                print(f"{problem.name}: {name} left out: {error}")
                continue
            print(f"{problem.name:10s} {name:26s} {_row(table[name], problem)}", flush=True)
        results["problems"][problem.name] = table
    return results


def measure_again(name: str, problems: list[str]) -> dict[str, Any]:
    """Run one strategy on some problems, with ten seeds; return all results with what came out in its place."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    for problem in (PROBLEMS[chosen] for chosen in problems):
        X = problem.make()
        STRATEGIES[name](X, problem, 0)  # kernels are compiled
        table = results["problems"][problem.name]
        table[name] = [_timed(STRATEGIES[name], X, problem, seed) for seed in SEEDS]
        print(f"{problem.name:10s} {name:26s} {_row(table[name], problem)}", flush=True)
    return results


def _timed(strategy: Callable[[Floats, Problem, int], Outcome], X: Floats, problem: Problem, seed: int) -> list[Any]:
    """Return mean log-likelihood, passes and seconds of one fit; −inf where a component collapses."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: as asked
        try:
            value, passes = strategy(X, problem, seed)
        except ValueError as error:
            if "covariance" not in str(error):
                raise
            value, passes = -1e300, None
    return [round(value, 6), None if passes is None else round(passes, 2), round(time.perf_counter() - began, 4)]


def _row(outcomes: list[list[Any]], problem: Problem) -> str:
    """Return the cells of one strategy on one problem."""
    gaps = [value - problem.optimum for value, _, _ in outcomes]
    passes = [count for _, count, _ in outcomes if count is not None]
    found = sum(gap >= -NEAR for gap in gaps)
    cells = [
        f"{found} of {len(gaps)}",
        f"{median(gaps):+.4f}" if median(gaps) > -100 else "collapses",
        f"{min(gaps):+.4f}" if min(gaps) > -100 else "collapses",
        f"{median(passes):.0f}" if passes else "",
        f"{median(seconds for _, _, seconds in outcomes):.3f}",
    ]
    return " | ".join(cells)


def page(results: dict[str, Any]) -> str:
    """Return docs/strategies.md."""
    here = results["machine"]
    lines = [
        "# Strategies side by side",
        "",
        "A mixture's likelihood has many optima. What each way to one finds on six problems, from ten seeds: how",
        f"often within {NEAR} nats per point of the best optimum known, the median and the worst distance from it,",
        "the median number of passes over all rows, and the median seconds.",
        "",
        "A pass is N·K pairs of rows and components: an iteration of EM or of k-means over all rows counts 1, one over",
        "n rows with k components n k / N K. Starts, searches and the last run are counted together. The best optimum",
        "known is the best of 200 long fits (`bench/problems.py` says how) without components that have fewer than",
        "D + 2 rows or are flat. Searches have a budget of 60 passes unless another is named; all else is at its",
        "default. This page is written by `python -m bench.strategies`.",
        "",
        f"{here['cpu']}, {here['cores']} cores, shared with others, one thread each (OMP_NUM_THREADS=1): seconds are",
        "rough.",
        "scikit-learn's `n_init=100` ran from two seeds where there are over 1000 rows.",
        "",
    ]
    for name, table in results["problems"].items():
        problem = PROBLEMS[name]
        lines += [
            f"## {name}: {problem.about}",
            "",
            f"Best optimum known: {problem.optimum:.5f} nats per point.",
            "",
            "| strategy | found | median gap | worst gap | passes | seconds |",
            "|---|--:|--:|--:|--:|--:|",
            *(f"| {strategy} | {_row(outcomes, problem)} |" for strategy, outcomes in table.items()),
            "",
        ]
    return "\n".join([*lines, LESSONS.read_text()])


def main(arguments: list[str]) -> None:
    """Measure and write, or only write, or look for optima."""
    if "--optima" in arguments:
        optima()
        return
    if "--again" in arguments:
        name, *problems = arguments[arguments.index("--again") + 1 :]
        RESULTS.write_text(json.dumps(measure_again(name, problems), indent=1) + "\n")
    elif "--page" not in arguments:
        RESULTS.write_text(json.dumps(measure(), indent=1) + "\n")
    PAGE.write_text(page(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
