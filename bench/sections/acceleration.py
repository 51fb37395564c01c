"""Passes to the optimum: EM, SQUAREM and Anderson's mixing from the same start."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np

from bench import child
from bench.cases import OVERLAPPING
from bench.peers.estimators import converged
from bench.plan import Plan
from bench.tables import NOTHING, grid, times
from bench.targets import Finding

KIND = "acceleration"
TITLE = "Acceleration"
ROUNDS = 1

CASES = tuple(OVERLAPPING)

WITHIN = 1e-6
"""Of the optimum, in nats per row."""

RESTS = 1e-11
"""Change of the mean log-likelihood in a step of EM that counts as the end."""

MOST_PASSES = 50_000
ANOTHER = 1e-5
"""Difference of final log-likelihoods from which they belong to two optima."""

MEANS = {"EM": None, "SQUAREM": "squarem", "Anderson": "anderson"}


def measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Compare in a process of its own."""
    return child.call(compare, name, plan, plan=plan)


def compare(name: str, plan: Plan) -> list[dict[str, Any]]:
    """Run each to the end, and count passes over the rows until it came near."""
    case = OVERLAPPING[name]
    X = case.rows(plan.scale)
    start = case.start(X)
    size = {"n_samples": len(X), "n_features": X.shape[1], "n_components": len(start.weights)}
    common = {"kind": KIND, "case": name, **size, "threads": plan.threads, "scale": plan.scale}
    common["separation"] = case.separation
    lines = []
    for label, acceleration in MEANS.items():
        model = converged(X, start, RESTS, MOST_PASSES, n_threads=plan.threads, acceleration=acceleration)
        bounds, passes = (model.history_[column] for column in ("lower_bound", "passes"))
        near = int(np.flatnonzero(bounds >= bounds[-1] - WITHIN)[0])
        found = {"passes": int(passes[near]), "seconds": float(model.history_["seconds"][near])}
        found |= {"all_passes": int(passes[-1]), "refused": int(passes[-1]) - len(passes)}
        found |= {"log_likelihood": float(bounds[-1]), "least_step": float(np.diff(bounds).min())}
        lines.append({**common, "by": label, **found, "error": None})
    for line in lines:
        line["times_em"] = line["passes"] / lines[0]["passes"]
        line["gain"] = line["log_likelihood"] - lines[0]["log_likelihood"]
    return lines


def about(lines: list[dict[str, Any]]) -> str:
    """Say what is counted."""
    return (
        "Passes over the rows, those of refused proposals included, until the mean log-likelihood is within "
        f"{WITHIN:g} of where it ends; full covariances, no ridge, the same start for all, run until a step of EM's "
        f"changes it by less than {RESTS:g}. Ratio: in units of EM's passes. Where a run ends at another optimum "
        "than EM's, its difference in log-likelihood is given, and its passes are to its own."
    )


def tables(lines: list[dict[str, Any]]) -> str:
    """Return one table."""
    body = []
    for case in dict.fromkeys(line["case"] for line in lines):
        of = {line["by"]: line for line in lines if line["case"] == case}
        cells = [str(of["EM"]["passes"])]
        for label in list(MEANS)[1:]:
            line = of[label]
            other = f"{line['gain']:+.4f}" if abs(line["gain"]) > ANOTHER else NOTHING
            cells += [str(line["passes"]), times(line["times_em"]), str(line["refused"]), other]
        body.append([case, *cells])
    columns = [heading for label in list(MEANS)[1:] for heading in (label, "ratio", "refused", "other optimum")]
    return grid(["case", "EM", *columns], body)


def findings(lines: list[dict[str, Any]]) -> Iterator[Finding]:
    """Give each ratio, their medians if all cases were measured, and the least step that was taken."""
    for label in list(MEANS)[1:]:
        of = {line["case"]: line for line in lines if line["by"] == label}
        if set(CASES) <= set(of):
            middle = median(line["times_em"] for line in of.values())
            yield Finding(f"{label}'s passes, times EM's, median", "overlapping", middle)
        for case, line in of.items():
            yield Finding(f"{label}'s passes, times EM's", case, line["times_em"])
        least = min(
            (line["least_step"] / max(1.0, abs(line["log_likelihood"])) for line in of.values()), default=math.nan
        )
        yield Finding(f"{label}, least relative step of the log-likelihood", "overlapping", least)
