"""The parent's side of one `runner` process: start it, ask it, give it up when it fails or takes too long."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from bench import peers
from bench.process import ROOT, variables


class PeerError(Exception):
    """A peer that is missing, failed or ran out of time; the message is the reason."""


class Worker:
    """One peer on one case in a process of its own.

    Parameters
    ----------
    name : str
        A key of `peers.MODULES`.
    rows, start : Path
        The .npy of the rows and the .npz of the start.
    threads : int
        The number of threads, for all peers the same.
    timeout : float
        Seconds that the peer may work in all; waiting for its turn does not count.
    """

    def __init__(self, name: str, rows: Path, start: Path, threads: int, timeout: float) -> None:
        self.name = name
        self.left = timeout
        self.timeout = timeout
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.runner", name, str(rows), str(start)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=environment(name, threads),
        )
        self._replies: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        """Return the worker, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, also after an error."""
        self.close()

    def hello(self) -> dict[str, Any]:
        """Wait until the peer is imported and the rows are loaded."""
        return self._wait()

    def run(self, iterations: int) -> float:
        """Fit; return the seconds that it took."""
        return float(self._ask(f"run {iterations}")["seconds"])

    def whole(self, repeats: int) -> list[float]:
        """Run whole default fits; return the seconds of each."""
        seconds: list[float] = self._ask(f"whole {repeats}")["seconds"]
        return seconds

    def finish(self) -> dict[str, Any]:
        """Return log-likelihood and memory; the process ends."""
        return self._ask("finish")

    @property
    def spent(self) -> float:
        """Seconds that the peer has worked."""
        return self.timeout - self.left

    def close(self) -> None:
        """End the process, whatever it is doing, and release what it held."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._errors):
            if stream is not None:
                stream.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._replies.put(line)
        self._replies.put("")

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except OSError:
            raise PeerError(self._last_words()) from None
        return self._wait()

    def _wait(self) -> dict[str, Any]:
        began = time.monotonic()
        try:
            line = self._replies.get(timeout=max(self.left, 0.0))
        except queue.Empty:
            raise PeerError(f"took more than {self.timeout:g} s") from None
        self.left -= time.monotonic() - began
        if not line:
            raise PeerError(self._last_words())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise PeerError(" ".join(str(reply["error"]).split()))
        return reply

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f"ended with code {code}" + (f": {lines[-1]}" if lines else "")


def environment(name: str, threads: int) -> dict[str, str]:
    """Return the variables of a peer's process: this one's, less what slows peers down, with the number of threads."""
    return variables(threads) | peers.load(name).threads(threads)
