"""Signals that ask a training to stop. They wait until the running chunk is done and its state is saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STATUS = 75
"""Exit status of a process that SIGTERM stopped with all saved: EX_TEMPFAIL of sysexits.h, "try again later".
Another status than 143, which a process has that SIGTERM killed at once, so that a scheduler can tell the two apart.
"""
HELD = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR2") if hasattr(signal, name)]
"""SIGTERM; and the others where the process has a handler of its own for them, as a scheduler's library sets one."""


class Stopped(BaseException):
    """SIGTERM came, and what was done in `folder` is saved; None: no training was under way. No error: `except
    Exception` lets it through."""

    def __init__(self, folder: Path | None):
        super().__init__(f"{folder or 'coplayer'}: stopped by SIGTERM; all is saved")
        self.folder = folder


class Leave:
    """A handler of signals that raises `Stopped`."""

    def __init__(self, folder: Path | None = None):
        self._folder = folder

    def __call__(self, number: int, frame: Any) -> None:
        raise Stopped(self._folder)


@contextlib.contextmanager
def leaving_at_sigterm() -> Iterator[None]:
    """Within, SIGTERM raises `Stopped`, also where no training holds it. For the main thread of a program."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, Leave())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class HeldSignals:
    """Holds signals back. Use as a context manager, which delivers what is still held at its end.

    Python hears signals in the main thread alone; in others, nothing is held.
    """

    def __init__(self, folder: Path):
        self.came: list[int] = []  # each once, in order
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
        """Do what the signals that came ask for: call the process's own handlers, in order. Then, for SIGTERM without
        such a handler, raise `Stopped`.
        """
        came, self.came = self.came, []
        for number in filter(self._has_own, came):
            self._before[number](number, None)
        if not all(map(self._has_own, came)):
            raise Stopped(self._folder)

    def _has_own(self, number: int) -> bool:
        return callable(self._before[number]) and not isinstance(self._before[number], Leave)

    def _note(self, number: int, frame: Any) -> None:
        if number not in self.came:
            self.came.append(number)


def _is_asked(number: int) -> bool:
    """Whether a signal asks for a stop in this process."""
    handler = signal.getsignal(number)
    own = callable(handler) and handler is not signal.default_int_handler
    return own or (handler is signal.SIG_DFL and number == signal.SIGTERM)
