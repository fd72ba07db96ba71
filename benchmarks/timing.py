"""Timing of contestants side by side: each in a warm process of its own cores, one turn each, over and over.

A machine's speed drifts. Taking turns spreads the drift over all contestants alike; medians shrug off what is left.
"""

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Work = Callable[[], None]
Setup = Callable[[], Mapping[str, Work]]  # builds contestants by name; runs inside their process


class Timing(NamedTuple):
    """Seconds of one piece of work."""

    first: float  # the first call, compilation and all
    median: float
    low: float  # fastest and slowest turn
    high: float
    turns: int


class Process:
    """A process bound to `cores` that holds the contestants which `setup` builds, and runs one when told to."""

    def __init__(self, setup: Setup, cores: tuple[int, ...]):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, setup, cores), daemon=True)
        self._process.start()
        theirs.close()
        self._names: list[str] = []

    @property
    def names(self) -> list[str]:
        """Waits until the contestants are built."""
        self._names = self._names or self.answer()
        return self._names

    def tell(self, name: str, times: int) -> None:
        """Start work `name`, `times` times over."""
        self._pipe.send((name, times))

    def answer(self):
        """What the process says next; for work, the seconds of one time."""
        try:
            said = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a contestant's process ended before its answer") from None
        if isinstance(said, BaseException):
            raise said
        return said

    def end(self, seconds: float = 5) -> None:
        """Let the process end within so many seconds, then kill it."""
        self._pipe.close()
        self._process.join(timeout=seconds)
        self._process.kill()


def _serve(pipe, setup: Setup, cores: tuple[int, ...]) -> None:
    try:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        contestants = setup()
        pipe.send(list(contestants))
        while True:
            name, times = pipe.recv()
            begin = time.perf_counter()
            for _ in range(times):
                contestants[name]()
            pipe.send((time.perf_counter() - begin) / times)
    except EOFError:
        return
    except Exception as error:
        pipe.send(error)


class Contestant(NamedTuple):
    """Work done at once in each of `processes`; its time is that of the slowest."""

    work: str
    processes: tuple[Process, ...]

    def time(self, times: int) -> float:
        for process in self.processes:
            process.tell(self.work, times)
        return max(process.answer() for process in self.processes)


def take_turns(contestants: Mapping[str, Contestant], *, turns: int, turn_seconds: float) -> dict[str, Timing]:
    """Time all contestants, alternately in this order and the reverse; a turn lasts at least `turn_seconds`."""
    first = {name: contestant.time(1) for name, contestant in contestants.items()}
    times = {name: max(1, math.ceil(turn_seconds / contestant.time(1))) for name, contestant in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(turns):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            seconds[name].append(contestants[name].time(times[name]))
    return {
        name: Timing(first[name], float(np.median(taken)), min(taken), max(taken), turns)
        for name, taken in seconds.items()
    }
