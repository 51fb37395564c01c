"""Search long for the best BIC of every model and number of components on Old Faithful; keep what is best so far.

``python -m bench.faithful_selection [minutes]`` goes on from tests/selection/faithful-bic.json and the mixtures beside
it in faithful-optima.json. Only optima count: mixtures at which EM has come to rest, and which `selection.guard.Guard`
admits there, not on the way. tests/selection/test_known.py asks that of every mixture in the file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from fastgmm.datasets import load_faithful
from fastgmm.models import MODELS
from fastgmm.selection.batch import Batch, Monomials
from fastgmm.selection.crew import Crew
from fastgmm.selection.effort import Effort
from fastgmm.selection.guard import Guard
from fastgmm.selection.search import Search
from fastgmm.threads import available

FOLDER = Path(__file__).parents[1] / "tests" / "selection"
RESULTS, OPTIMA = FOLDER / "faithful-bic.json", FOLDER / "faithful-optima.json"
NUMBERS = list(range(1, 10))
LONG = Effort(
    seeds=24, kept=24, handed=8, split=16, renewed=150, spliced=75, patience=8, screen=(4, 3), survivors=10_000,
    grown=10_000, exchanged=24, rich=1, afresh=150, kin=300, lent=24, paired=24, budget=6e11, refined=1.0,
)  # fmt: skip
LENIENT = (1.0, 0.5, 0.25)
"""Shares of the guard's bounds that runs must keep on their way, in turn."""
AT_REST = 1e-14
"""Mean gain of an iteration from which on a mixture is polished no more."""
BETTER = 1e-4

Optimum = tuple[float, dict[str, Any]]


def main(minutes: float) -> None:
    """Search, and write after every round."""
    X = load_faithful()
    began, best, rounds = monotonic(), *_read()
    with Crew(available()) as crew:
        while monotonic() - began < 60 * minutes:
            changed = _round(X, best, rounds, crew)
            rounds += 1
            print(f"round {rounds}, {monotonic() - began:.0f} s: {changed}", flush=True)
            _write(best, rounds)


def _round(X: Any, best: dict[tuple[str, int], Optimum], seed: int, crew: Crew) -> list[str]:
    """Search once; return which cells are better than before."""
    n, centre = len(X), X.mean(axis=0)
    unit = float(np.sqrt(np.square(X - centre).mean()))
    data = Monomials.of((X - centre) / unit)
    effort = replace(LONG, lenient=LENIENT[seed % len(LENIENT)])
    search = Search(data, n, list(MODELS), Guard(), effort, np.random.RandomState(seed), crew)
    search.run(NUMBERS)
    changed = []
    for (model, k), found in search.found.items():
        batch = Batch.start(data, {model: found.moments}, crew)
        batch.climb(0, 5000, AT_REST)
        order = search.best(batch, 1)
        if not len(order):
            continue
        likelihood = n * (float(batch.log_likelihoods[order[0]]) - 2 * np.log(unit))
        bic = 2 * likelihood - MODELS[model].n_parameters(k, 2) * np.log(n)
        before = best[model, k][0] if (model, k) in best else -np.inf
        if bic > before + BETTER:
            mixture = {
                "weights": batch.moments.shares[order[0]],
                "means": batch.moments.means[order[0]] * unit + centre,
                "covariances": batch.covariances[order[0]] * unit**2,
            }
            best[model, k] = bic, {name: value.tolist() for name, value in mixture.items()}
            changed.append(f"{model},{k} +{bic - before:.2f}")
    return changed


def _read() -> tuple[dict[tuple[str, int], Optimum], int]:
    """Return what is known, and the number of rounds that found it."""
    if not OPTIMA.exists():
        return {}, 0
    values, optima = json.loads(RESULTS.read_text()), json.loads(OPTIMA.read_text())
    cells = [(model, k) for model, row in optima.items() for k in row]
    best = {(model, int(k)): (values["bic"][model][k], optima[model][k]) for model, k in cells}
    return best, values["rounds"]


def _write(best: dict[tuple[str, int], Optimum], rounds: int) -> None:
    """Write the table, and the mixtures with twelve digits."""
    record = {
        "data": "Old Faithful, 272 × 2; BIC = 2 log L − p log N, larger is better",
        "guard": "two rows for each number of a component's own, and 1e-3 of all rows' variance in every direction",
        "made": "python -m bench.faithful_selection",
        "rounds": rounds,
        "bic": {
            model: {str(k): round(best[model, k][0], 4) for k in NUMBERS if (model, k) in best} for model in MODELS
        },
    }
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    optima = {model: {str(k): _rounded(best[model, k][1]) for k in NUMBERS if (model, k) in best} for model in MODELS}
    OPTIMA.write_text(json.dumps(optima, separators=(",", ":")).replace('},"', '},\n"') + "\n")


def _rounded(value: Any) -> Any:
    """Round numbers, however deep they lie."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else float(f"{value:.12g}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
