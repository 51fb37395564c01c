"""Bad rows deep in a large file: `python -m bench.bad_rows FOLDER` makes 1 GB there, spoils it, and fits it.

What is asked: each fit ends with an error that names the place, and a checkpoint is left that a fit goes on from.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.rows import mixture
from bench.start import make_start

ROWS, PART = 130_000_000, 1_000_000
BAD = 123_456_789
HEADER = 128
INTERRUPTED, HARMED, ITERATIONS = 3, 5, 8


def main() -> int:
    """Run all cases; fail if one does not end as it should."""
    part = mixture(PART, 2, 2, seed=1).astype(np.float32)
    failed = False
    with tempfile.TemporaryDirectory(prefix="fastgmm-bench-", dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        for case in CASES:
            good, report = case.run(Path(folder), part)
            failed |= not good
            print(f"{case.name}: {'as asked' if good else 'NOT AS ASKED'}\n  {report}\n", flush=True)
    return int(failed)


@dataclass(frozen=True)
class Case:
    """A way to spoil a file, and what the error must say."""

    name: str
    harm: Callable[[Path], None]
    within: bool
    """Whether it happens within the fit, after an iteration, and not before it."""
    words: str

    def run(self, folder: Path, part: NDArray[np.float32]) -> tuple[bool, str]:
        """Fit, interrupt, spoil, go on; return whether all was as asked, and what was seen."""
        path, checkpoint = folder / "rows.npy", folder / "fit.gmm"
        checkpoint.unlink(missing_ok=True)
        write(path, part)
        fit(path, part, checkpoint, {INTERRUPTED: interrupt})
        whole = checkpoint.read_bytes()
        if not self.within:
            self.harm(path)
        seconds, error = fit(path, part, checkpoint, {HARMED: lambda: self.harm(path)} if self.within else {})
        at = iterations(checkpoint)
        kept = at == HARMED if self.within else checkpoint.read_bytes() == whole and at == INTERRUPTED
        report = f"after {seconds:.2f} s; checkpoint of iteration {at}; {type(error).__name__}: {error}"
        return kept and self.words in str(error), report


def write(path: Path, part: NDArray[np.float32]) -> None:
    """Write the part again and again, as one array."""
    facts = {"descr": "<f4", "fortran_order": False, "shape": (ROWS, part.shape[1])}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, facts)
        for _ in range(ROWS // PART):
            file.write(part.data)


def fit(
    path: Path, part: NDArray[np.float32], checkpoint: Path, after: dict[int, Callable[[], None]]
) -> tuple[float, BaseException | None]:
    """Fit the file, or go on with that, doing something after some iterations; return the seconds and the error."""
    from fastgmm import GaussianMixture, rows
    from fastgmm.errors import DataError

    start = make_start(part.astype(np.float64), 2, 1)
    model = GaussianMixture(
        2, max_iter=ITERATIONS, tol=0.0, weights_init=start.weights, means_init=start.means,
        precisions_init=start.precisions, callback=lambda step: after.get(step.number, lambda: None)(),
    )  # fmt: skip
    began = perf_counter()
    try:
        model.fit(rows.npy(path), checkpoint=checkpoint, checkpoint_every=0, resume=checkpoint.exists())
    except (DataError, KeyboardInterrupt) as error:
        return perf_counter() - began, error
    return perf_counter() - began, None


def iterations(checkpoint: Path) -> int:
    """Return after how many iterations a checkpoint was written; an error if it is not whole."""
    from fastgmm.em.checkpoint import load

    state: Any = load(checkpoint).state
    return len(state.history)


def interrupt() -> None:
    """Stop a fit as Ctrl-C does."""
    raise KeyboardInterrupt


def spoil(path: Path) -> None:
    """Write NaN into one value."""
    with path.open("r+b") as file:
        file.seek(HEADER + (BAD * 2 + 1) * 4)
        file.write(np.float32(np.nan).tobytes())


def shorten(path: Path) -> None:
    """Cut the file off in the row."""
    os.truncate(path, HEADER + BAD * 8 + 3)


def shorten_soon(path: Path) -> None:
    """Cut the file off in the next pass, which takes some tenths of a second."""
    Timer(0.05, shorten, [path]).start()


CASES = (
    Case("NaN before a fit goes on", spoil, False, f"NaN, the first at row {BAD}, column 1"),
    Case("the file is cut off before a fit goes on", shorten, False, "cut off"),
    Case("NaN is written between two passes", spoil, True, "changed while it was being read"),
    Case("the file shrinks between two passes", shorten, True, "shrank"),
    Case("the file shrinks during a pass", shorten_soon, True, f"ends in row {BAD}"),
    Case("the file vanishes between two passes", os.unlink, True, "vanished"),
)


if __name__ == "__main__":
    sys.exit(main())
