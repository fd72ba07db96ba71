"""Signals that ask a training to stop. They wait until the running chunk is done and its state is saved."""

import signal
import threading
from pathlib import Path
from typing import Any

STATUS = 75
"""Exit status of a process that SIGTERM stopped after all was saved: EX_TEMPFAIL of sysexits.h, "try again later".
Another status than 143, which a process has that SIGTERM killed at once, so that a scheduler can tell the two apart.
"""
HELD = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR2") if hasattr(signal, name)]
"""SIGTERM; and the others where the process has a handler of its own for them, as a scheduler's library sets one."""


class Stopped(BaseException):
    """SIGTERM came, and what was done in `folder` is saved. No error: `except Exception` lets it through."""

    def __init__(self, folder: Path):
        super().__init__(f"{folder}: stopped by SIGTERM; all is saved")
        self.folder = folder


class HeldSignals:
    """Holds signals back. Use as a context manager, which delivers what is still held at its end.

    Python hears signals in the main thread alone; in others, nothing is held.
    """

    def __init__(self, folder: Path):
        self.came: int | None = None
        self._folder = folder
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "HeldSignals":
        if threading.current_thread() is threading.main_thread():
            for number in filter(_is_asked, HELD):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type | None, *exception: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.deliver()

    def deliver(self) -> None:
        """Do what the signal that came asks for: what the process would have done, had the signal not been held, or
        for SIGTERM without a handler raise `Stopped`.
        """
        number, self.came = self.came, None
        if number is not None and callable(self._before[number]):
            self._before[number](number, None)
        elif number is not None:
            raise Stopped(self._folder)

    def _note(self, number: int, frame: Any) -> None:
        self.came = number


def _is_asked(number: int) -> bool:
    """Whether a signal asks for a stop in this process."""
    handler = signal.getsignal(number)
    own = callable(handler) and handler is not signal.default_int_handler
    return own or (handler is signal.SIG_DFL and number == signal.SIGTERM)
