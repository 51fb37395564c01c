"""What a fit shows while it runs: scikit-learn's verbose lines, and a bar for the terminal."""

from __future__ import annotations

import shutil
import sys
from time import perf_counter
from typing import TextIO

from fastgmm.em.callbacks import Callback, Iteration
from fastgmm.em.convergence import Status
from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.run import RunResult, Start

WAIT = 0.5
"""Seconds before a bar appears: short fits stay silent."""

WIDTH = 24


class VerboseLines:
    """Print what scikit-learn prints for ``verbose=1`` (steps) and ``verbose=2`` (their times and changes)."""

    def __init__(self, verbose: int, interval: int) -> None:
        self._verbose, self._interval = verbose, interval
        self._restart = -1
        self._began = self._last = perf_counter()

    def begin(self, restart: int) -> None:
        """Announce a start, once."""
        if restart != self._restart:
            self._restart = restart
            self._began = self._last = perf_counter()
            print(f"Initialization {restart}")

    def start(self, restart: int, made: Start) -> None:
        """Report what had to be done for a start."""
        self.begin(restart)
        self._collapses(0, made.degenerate)

    def iteration(self, done: Iteration) -> None:
        """Report every `interval`-th iteration, and every collapse."""
        self.begin(done.restart)
        self._collapses(done.number, done.degenerate)
        if done.number % self._interval == 0:
            if self._verbose == 1:
                print(f"  Iteration {done.number}")
            else:
                now = perf_counter()
                lapse, self._last = now - self._last, now
                print(f"  Iteration {done.number}\t time lapse {lapse:.5f}s\t ll change {done.change:.5f}")

    @staticmethod
    def _collapses(number: int, degenerate: tuple[Degeneracy, ...]) -> None:
        for collapse in degenerate:
            print(f"  Iteration {number}\t component {collapse.component} collapsed: {collapse.action}")

    def end(self, restart: int, result: RunResult) -> None:
        """Report how a start ended."""
        self.begin(restart)
        message = "converged" if result.status is Status.CONVERGED else "did not converge"
        if self._verbose == 1:
            print(f"Initialization {message}.")
        else:
            lapse = perf_counter() - self._began
            print(f"Initialization {message}. time lapse {lapse:.5f}s\t lower bound {result.lower_bound:.5f}.")


class Bar:
    """A line on a terminal that shows iterations, likelihood and the time left at most."""

    def __init__(self, max_iter: int, n_init: int, stream: TextIO | None = None) -> None:
        self._max_iter, self._n_init = max_iter, n_init
        self._stream = stream or sys.stderr
        self._began = perf_counter()
        self._shown = False

    def message(self, text: str) -> None:
        """Show what is going on before the first iteration."""
        self._write(text)

    def __call__(self, done: Iteration) -> None:
        """Redraw after an iteration."""
        if perf_counter() - self._began < WAIT:
            return
        share = done.number / self._max_iter
        filled = int(share * WIDTH)
        start = f"start {done.restart + 1}/{self._n_init}  " if self._n_init > 1 else ""
        change = "" if done.number == 1 else f"  change {done.change:+.1e}"
        self._write(
            f"{start}[{'=' * filled}{' ' * (WIDTH - filled)}] iteration {done.number}/{self._max_iter}  "
            f"log-likelihood {done.log_likelihood:.6g} a row{change}  {done.seconds:.1f} s"
        )

    def _write(self, text: str) -> None:
        self._shown = True
        width = shutil.get_terminal_size().columns - 1  # a longer line would wrap, and could not be cleared
        self._stream.write(f"\r\x1b[2K{text[:width]}")
        self._stream.flush()

    def close(self) -> None:
        """Clear the line."""
        if self._shown:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


def together(*callbacks: Callback | None) -> Callback | None:
    """Return one callback that calls all, and stops the fit if any of them asks for it."""
    present = [callback for callback in callbacks if callback is not None]
    if not present:
        return None

    def call(done: Iteration) -> bool:
        answers = [callback(done) for callback in present]
        return any(answer is True for answer in answers)

    return call
