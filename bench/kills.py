"""Fits that are killed by SIGKILL, again and again, all over: each must end with the bits of one that was not.

``python -m bench.kills [KILLS]`` kills fits of each kind, says where the kills fell, and ends with an error if any bit
differs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

RUNS, ITERATIONS = 3, 60

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "squarem": {"acceleration": "squarem"},
    "anderson": {"acceleration": "anderson"},
    "stochastic": {"assignment": "stochastic"},
    "reseeded": {"on_degenerate": "reseed", "n_components": 5},
    "bayes": {"estimator": "BayesianGaussianMixture"},
    "abreast": {"from_file": True},
}

SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from bench.kills import fitted
rows, path, out, options = sys.argv[1:]
print("ready", flush=True)
fitted(rows, out, json.loads(options), checkpoint=path, checkpoint_every=0, resume=True)
"""


def fitted(rows: str, out: str, options: dict[str, Any], **saving: Any) -> None:
    """Fit the rows of a file, and write what was found to another."""
    import fastgmm
    from fastgmm.rows import limits

    options = dict(options)
    X = np.load(rows)
    source: Any = X
    if options.pop("from_file", False):  # and read in each pass, however small it is
        limits.LEAST_SPAN_BYTES, limits.SPAN_BYTES_PER_THREAD = 1, 0
        source = fastgmm.rows.npy(rows)
    estimator = getattr(fastgmm, options.pop("estimator", "GaussianMixture"))
    common = {"n_components": 3, "random_state": 4, "tol": 0.0, "n_threads": 1, "init_params": "random_from_data"}
    gm = estimator(max_iter=ITERATIONS, n_init=RUNS, **common | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gm.fit(source, **saving)
    with Path(out).open("wb") as stream:
        np.savez(stream, gm.weights_, gm.means_, gm.covariances_, gm.lower_bounds_, gm.predict(X))


def progress(path: Path) -> tuple[int, str]:
    """Return how many iterations a checkpoint has seen, and in which phase it is."""
    from fastgmm.em.checkpoint import load

    if not path.exists():
        return 0, "before the first start"
    now = load(path)  # never half-written
    if now.finished:
        return RUNS * ITERATIONS, "finished"
    ended = now.made - len(now.states)
    done = ended * ITERATIONS + sum(len(state.history) for state in now.states.values())
    names = "+".join(str(number) for number in sorted(now.states))
    return done, f"run {names}" if now.states else f"start of run {now.made}"


def killed(folder: Path, rows: str, options: dict[str, Any], kills: int, rng: np.random.Generator) -> Counter[str]:
    """Kill a fit so often, at even steps of its way and some milliseconds; return where the kills fell."""
    import json

    path, out = folder / "fit.ckpt", folder / "fit.npz"
    command = [sys.executable, "-c", SCRIPT, rows, str(path), str(out), json.dumps(options)]
    places: Counter[str] = Counter()
    for number in range(kills + 1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        target = RUNS * ITERATIONS * number // kills
        while process.poll() is None and (number == kills or progress(path)[0] < target):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.01) if number < kills else 0)
        if process.poll() is None and number < kills:
            process.kill()
            places[progress(path)[1]] += 1
        process.wait()
        process.stdout.close()
    return places


def main() -> None:
    """Kill fits of each kind."""
    kills, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 10, np.random.default_rng(0)
    total = 0
    for kind, options in KINDS.items():
        with tempfile.TemporaryDirectory() as name:
            folder, whole = Path(name) / "killed", Path(name) / "whole.npz"
            folder.mkdir()
            rows = str(Path(name) / "rows.npy")
            np.save(rows, rng.permutation(np.concatenate([rng.normal(m, 1.0, (4_000, 2)) for m in (0.0, 2.0, 5.0)])))
            fitted(rows, str(whole), options)
            places = killed(folder, rows, options, kills, rng)
            same = whole.read_bytes() == (folder / "fit.npz").read_bytes()
            left = sorted(path.name for path in folder.iterdir())
        total += places.total()
        print(f"{kind}: {dict(places)}; {'the same bits' if same else 'OTHER BITS'}; files {left}", flush=True)
        if not same or left != ["fit.ckpt", "fit.npz"]:
            raise SystemExit(1)
    print(f"{total} kills")


if __name__ == "__main__":
    main()
