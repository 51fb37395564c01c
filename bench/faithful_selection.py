"""Search long for the best BIC of every model and number of components on Old Faithful; keep what is best so far.

``python -m bench.faithful_selection [minutes]`` goes on from tests/selection/faithful-bic.json. Every round goes up and
down all numbers of components with other seeds, and through all mixtures that merge two components of the best and
split another. Optima that `selection.search.Guard` does not admit do not count.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic

import numpy as np

from fastgmm.datasets import load_faithful
from fastgmm.models import MODELS
from fastgmm.selection.batch import Batch, Monomials
from fastgmm.selection.search import Effort, Guard, Search

RESULTS = Path(__file__).parents[1] / "tests" / "selection" / "faithful-bic.json"
NUMBERS = list(range(1, 10))
LONG = Effort(seeds=48, exchanges=3, kept=5, screen=6, stages=((60, 3), (25, 5), (8, 10)), final=60)
FINAL = 300
"""Rounds of SQUAREM for what is kept at last."""


def main(minutes: float) -> None:
    """Search, and write after every round."""
    X = load_faithful()
    unit = 8.0
    data = Monomials.of((X - X.mean(axis=0)) / unit)
    guard = Guard()
    began, seed = monotonic(), 0
    best: dict[str, dict[int, float]] = {model: {} for model in MODELS}
    if RESULTS.exists():
        kept = json.loads(RESULTS.read_text())
        seed = kept["rounds"]
        best = {model: {int(k): value for k, value in row.items()} for model, row in kept["bic"].items()}
    search = Search(data, len(X), list(MODELS), guard, LONG, np.random.RandomState(seed))
    while monotonic() - began < 60 * minutes:
        if seed % 3 == 2:  # what is handed on also narrows the search
            search = Search(data, len(X), list(MODELS), guard, LONG, np.random.RandomState(seed))
        search.run(NUMBERS)
        seed += 1
        changed = 0
        for (model, k), found in search.found.items():
            batch = Batch.start(data, {model: found.moments})
            with np.errstate(all="ignore"):
                batch.accelerate(FINAL)
                order = search._best(batch, 1)
            if not len(order):
                continue
            value = float(batch.log_likelihoods[order[0]]) * len(X) - len(X) * 2 * np.log(unit)
            bic = 2 * value - MODELS[model].n_parameters(k, 2) * np.log(len(X))
            changed += bic > best[model].get(k, -np.inf) + 0.01
            best[model][k] = max(bic, best[model].get(k, -np.inf))
        print(f"round {seed}, {monotonic() - began:.0f} s: {changed} cells better", flush=True)
        table = {model: {str(k): round(row[k], 4) for k in sorted(row)} for model, row in best.items()}
        record = {
            "data": "Old Faithful, 272 × 2; BIC = 2 log L − p log N, larger is better",
            "guard": "two rows for each number of a component's own, and 1e-3 of all rows' variance in every direction",
            "made": "python -m bench.faithful_selection",
            "rounds": seed,
            "bic": table,
        }
        RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
