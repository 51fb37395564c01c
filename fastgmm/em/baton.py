"""Batons: functions that stop in the midst of their work to ask for something, as generators do where they yield."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Ask = Callable[[Any], Any]


class Ended(Exception):
    """The function returned: `value`."""

    def __init__(self, value: Any) -> None:
        super().__init__("ended")
        self.value = value


class Left(BaseException):
    """Nobody waits for the function any more."""


class Baton:
    """A function of `ask` in a thread of its own, of which one works at a time: the caller, or the function.

    A generator would have to yield through all that lies between a loop and its sums.
    """

    def __init__(self, work: Callable[[Ask], Any]) -> None:
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._told: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._working = self.over = False
        target = contextvars.copy_context().run  # NumPy's error states, for one, belong to contexts
        self._thread = threading.Thread(target=target, args=(self._run, work), name="fastgmm-run", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[Ask], Any]) -> None:
        try:
            self._resume()
            self._told.put(("returned", work(self._ask)))
        except BaseException as error:
            self._told.put(("raised", error))

    def _ask(self, question: Any) -> Any:
        self._told.put(("asked", question))
        return self._resume()

    def _resume(self) -> Any:
        answer, error = self._answers.get()
        if error is not None:
            raise error
        return answer

    def send(self, answer: Any = None, error: BaseException | None = None) -> Any:
        """Give what was asked for, or raise an error there; return the next question.

        Raises
        ------
        Ended
            If the function returns.
        BaseException
            What the function raises.
        """
        self._answers.put((answer, error))
        self._working = True
        return self._question()

    def _question(self) -> Any:
        kind, value = self._told.get()
        self._working = False
        if kind == "asked":
            return value
        self.over = True
        self._thread.join()
        raise value if kind == "raised" else Ended(value)

    def interrupt(self, error: BaseException) -> Any:
        """Raise an error where the function asks next, or has asked; return or raise as `send` does."""
        if self._working:  # the caller was interrupted while it waited
            self._question()
        return self.send(error=error)

    def leave(self) -> None:
        """End the function, whatever it does."""
        while not self.over:
            try:
                self.interrupt(Left())
            except BaseException:
                continue
