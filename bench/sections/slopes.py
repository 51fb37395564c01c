"""How the time of an iteration grows with rows, components and features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import child, fast
from bench.cases import FEWEST_ROWS_PER_MEAN
from bench.plan import Plan
from bench.rows import mixture
from bench.start import make_start
from bench.tables import grid, seconds
from bench.targets import Finding
from bench.turns import turns

KIND = "slope"
TITLE = "Growth with N, K and D"
ROUNDS = 3

SEED = 5
LADDERS = {
    "along-N": (10_000, 100_000, 1_000_000, 10_000_000),
    "along-K": (8, 16, 32, 64, 128, 256),
    "along-D": (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
}
CASES = tuple(LADDERS)
WORK = 1.2e10  # flop of an iteration along D, as far as rows allow: about 0.1 s
MOST_WORK = 1e12  # points that would take more, times --scale, are left out
MOST_ROWS = 500_000
QUADRATIC = 16
"""Number of features from which the time should grow as their square."""


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Climb one ladder in a process of its own."""
    return child.call(climb, name, plan, plan=plan)


def sizes(name: str, scale: float) -> list[tuple[int, int, int]]:
    """Return the (N, D, K) of a ladder: scaled, but with rows enough for every covariance."""
    found = []
    for step in LADDERS[name]:
        n, d, k = {"along-N": (step, 8, 16), "along-K": (100_000, 16, step), "along-D": (0, step, 8)}[name]
        if name == "along-D":
            n = min(MOST_ROWS, int(WORK / flop(1, d, k)))
        n = max(int(n * scale), FEWEST_ROWS_PER_MEAN * k * d)
        if flop(n, d, k) <= MOST_WORK * min(scale, 1.0) and (n, d, k) not in found:
            found.append((n, d, k))
    return found


def flop(n: int, d: int, k: int) -> float:
    """Return the operations of a dense iteration."""
    return 2.0 * n * k * d * (d + 1)


def climb(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Measure every point of a ladder; along N the rows are the first of one array."""
    points = sizes(name, plan.scale)
    most = max(points)
    shared = mixture(*most, SEED) if name == "along-N" else None
    lines = []
    for n, d, k in points:
        X = mixture(n, d, k, SEED) if shared is None else shared[:n]
        size = {"n_samples": n, "n_features": d, "n_components": k, "threads": plan.threads, "scale": plan.scale}
        lines.append({"kind": KIND, "case": name, **size, **_point(X, k, plan), "error": None})
    return lines


def _point(X: Any, n_components: int, plan: Plan) -> dict[str, Any]:
    start = make_start(X, n_components, SEED)
    iterations = fast.enough_iterations(X, start, plan.threads, algorithm="dense")
    fit = lambda: fast.trace(X, start, iterations, plan.threads, algorithm="dense")  # noqa: E731
    traces = turns({"dense": fit}, plan)
    return {"iterations": iterations, "seconds_per_iteration": fast.paces(traces)["dense"]}


def slope(points: list[tuple[float, float]]) -> float:
    """Return the exponent b of the power law a xᵇ that fits the points best, in logarithms; NaN for one point."""
    if len(points) < 2:
        return math.nan
    x, y = np.log(np.array(points)).T
    x -= x.mean()
    return float(x @ y / (x @ x))


def slopes(lines: list[dict[str, Any]]) -> Iterator[tuple[str, str, float]]:
    """Give quantity, case and slope of each ladder."""
    for name in LADDERS:
        mine = [line for line in lines if line["case"] == name]
        if not mine:
            continue
        if name == "along-N":
            points = [(line["n_samples"], line["seconds_per_iteration"]) for line in mine]
            yield "slope of seconds in N", name, slope(points)
            continue
        field, axis = {"along-K": ("n_components", "K"), "along-D": ("n_features", "D")}[name]
        points = [(line[field], line["seconds_per_iteration"] / line["n_samples"]) for line in mine]
        yield f"slope of seconds per row in {axis}", name, slope(points)
        if axis == "D":
            steep = [point for point in points if point[0] >= QUADRATIC]
            yield f"slope of seconds per row in D, from {QUADRATIC} on", name, slope(steep)


def about(lines: list[dict[str, Any]]) -> str:
    """Say what varies."""
    return (
        "Dense iterations on synthetic mixtures: N at D = 8, K = 16; K at D = 16; D at K = 8, with N such that work "
        "stays about the same as far as the components leave rows to choose. Slope: least squares in logarithms."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return the points and the slopes."""
    body = []
    for line in lines:
        size = [f"{line[field]}" for field in ("n_samples", "n_features", "n_components")]
        rate = flop(line["n_samples"], line["n_features"], line["n_components"]) / line["seconds_per_iteration"]
        body.append([line["case"], *size, seconds(line["seconds_per_iteration"]), f"{rate / 1e9:.1f}"])
    found = [[quantity, f"{value:.3f}"] for quantity, _, value in slopes(lines)]
    points = grid(["ladder", "N", "D", "K", "s / iteration", "GF/s"], body)
    return f"{points}\n\n{grid(['slope', 'exponent'], found)}"


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give the slopes."""
    for quantity, case, value in slopes(lines):
        yield Finding(quantity, case, value)
