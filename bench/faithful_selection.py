"""Search long for the best BIC of every model and number of components on Old Faithful; keep what is best so far.

``python -m bench.faithful_selection [minutes]`` goes on from bench/results/faithful-bic.json. Every round goes up and
down all numbers of components with other seeds, and from each best mixture through all those that merge two components
and split another. Optima that `selection.Guard` does not admit do not count.
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
from fastgmm.selection.starts import merges, splits

RESULTS = Path(__file__).parent / "results" / "faithful-bic.json"
NUMBERS = list(range(1, 10))
LONG = Effort(seeds=60, kept=6, short=4, survivors=20, long=25)
FINAL = 300
"""Rounds of SQUAREM for what is kept at last."""


class LongSearch(Search):
    """Also exchanges components: two merged, another split."""

    def exchange_components(self) -> None:
        """Try all exchanges for the best of every cell."""
        for model, k in list(self.found):
            if k > 1:
                self._climb(k, {model: [splits(merges(self.found[model, k].moments[:1]))]})


def main(minutes: float) -> None:
    """Search, and write after every round."""
    X = load_faithful()
    unit = 8.0
    data = Monomials.of((X - X.mean(axis=0)) / unit)
    guard = Guard(min_rows=4, min_variance=1e-3)
    began, seed = monotonic(), 0
    best: dict[str, dict[int, float]] = {model: {} for model in MODELS}
    if RESULTS.exists():
        kept = json.loads(RESULTS.read_text())
        seed = kept["rounds"]
        best = {model: {int(k): value for k, value in row.items()} for model, row in kept["bic"].items()}
    search = LongSearch(data, len(X), list(MODELS), guard, LONG, np.random.RandomState(seed))
    while monotonic() - began < 60 * minutes:
        if seed % 3 == 2:  # what is handed on also narrows the search
            search = LongSearch(data, len(X), list(MODELS), guard, LONG, np.random.RandomState(seed))
        search.run(NUMBERS)
        search.exchange_components()
        seed += 1
        changed = 0
        for (model, k), found in search.found.items():
            batch = Batch.start(data, {model: found.moments[:2]})
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
        record = {
            "data": "Old Faithful, 272 × 2; BIC = 2 log L − p log N, larger is better",
            "guard": "every component holds 4 rows or more, and 1e-3 of all rows' variance or more in every direction",
            "rounds": seed,
            "bic": {model: {str(k): round(row[k], 4) for k in sorted(row)} for model, row in best.items()},
        }
        RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
