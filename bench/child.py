"""A function in a process of its own: crashes, memory and threads of a measurement stay with it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bench.plan import Plan
from bench.process import ROOT, private_stdout, variables

Result = TypeVar("Result")


class ChildError(Exception):
    """A process that failed or ran out of time; the message is the reason."""


def call(
    function: Callable[..., Result], *arguments: Any, plan: Plan, extra: Mapping[str, str] | None = None
) -> Result:
    """Return what a function at the top of a module returns in a new process, with `extra` environment variables."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.child"],
            input=pickle.dumps((function, arguments)),
            capture_output=True,
            cwd=ROOT,
            env=variables(plan.threads) | dict(extra or {}),
            timeout=plan.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChildError(f"took more than {plan.timeout:g} s") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise ChildError(words[-1] if words else f"ended with code {done.returncode}")
    result: Result = pickle.loads(done.stdout)
    return result


def main() -> int:
    """Call what stdin names, and write what it returns."""
    replies = private_stdout()
    function, arguments = pickle.load(sys.stdin.buffer)
    replies.write(pickle.dumps(function(*arguments)))
    replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
