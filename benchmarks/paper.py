"""The `paper` presets on the device at hand: seconds of an iteration, hours of a whole run, memory.

The trainer that `coplayer train` uses trains each recipe for a few chunks. Each recipe has a process of its own, so
that the device's peak memory is the recipe's alone.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

import coplayer
from benchmarks.tables import Cell, Section
from coplayer import runtime
from coplayer.experiments.ppi_mixed import Trainer as PPITrainer
from coplayer.experiments.registry import trainer_of
from coplayer.settings import adjust

A2C, COALA, PPI = ("a2c-step1", "a2c-mixed"), ("coala-shaping", "coala-ipd", "lola-ipd"), ("ppi-step1", "ppi-mixed")
RECIPES = (*A2C, *COALA, *PPI)
ITERATIONS = dict.fromkeys(A2C, 20) | dict.fromkeys(COALA, 1)  # of one measurement
UPDATES = 32  # of PPI, in one measurement


class Timed(NamedTuple):
    """A kind of work in a training."""

    work: str
    first: float  # seconds of the first time, compilation and all
    median: float  # seconds afterwards
    hours: float  # of a whole run


def measure(*, recipes: tuple[str, ...], seeds: tuple[int, ...], turns: int) -> Iterator[Section]:
    """One section for each recipe, a row for each number of seeds and kind of work."""
    for recipe in recipes:
        rows: list[dict[str, Cell]] = []
        for count in seeds:
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawn) as process:
                device, measured = process.submit(train_some, recipe, count, turns).result()
            rows += measured
        yield Section(
            title=f"Paper preset: {recipe}",
            text=f"On {device}. The hours of a whole run are the median seconds times the work of the published "
            "setting; evaluation is not counted. Seeds are trained side by side. The memory is the most that JAX has "
            "held on the device.",
            rows=rows,
        )


def train_some(recipe: str, seeds: int, turns: int) -> tuple[str, list[dict[str, Cell]]]:
    """(the device, a row for each kind of work in the recipe's training)."""
    runtime.configure(compilation_cache=False)
    settings = adjust(coplayer.preset(recipe, "paper"), seeds=seeds)
    timed = (_phases if recipe in PPI else _iterations)(recipe, settings, turns)
    device = jax.local_devices()[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
    rows: list[dict[str, Cell]] = [
        {
            "recipe": recipe,
            "seeds": seeds,
            "work": one.work,
            "seconds": one.median,
            "first call, s": one.first,
            "whole run, hours": one.hours,
            "peak memory, GB": None if peak is None else peak / 1e9,
        }
        for one in timed
    ]
    return device.device_kind, rows


def _timed(advance: Callable[[], Any], turns: int) -> tuple[float, float]:
    """Seconds of the first time, and the median of those after it."""
    seconds = []
    for _ in range(turns + 1):
        begin = time.perf_counter()
        advance()
        seconds.append(time.perf_counter() - begin)
    return seconds[0], float(np.median(seconds[1:]))


def _iterations(recipe: str, settings: Any, turns: int) -> list[Timed]:
    """An iteration: play and updates of all learners."""
    each, total = ITERATIONS[recipe], settings.run.iterations
    trainer = trainer_of(adjust(settings, log_every=each, phases=1, iterations=each * (turns + 1)))
    state = trainer.initial_state()

    def advance() -> None:
        nonlocal state
        state = jax.block_until_ready(trainer.advance(state).state)

    first, median = _timed(advance, turns)
    return [Timed("iteration", first, median / each, total * median / each / 3600)]


def _phases(recipe: str, settings: Any, turns: int) -> list[Timed]:
    """PPI's updates, and the play of a phase."""
    whole = PPITrainer(settings)
    phases = range(1, settings.run.phases + 1)
    trainer = PPITrainer(adjust(settings, updates=UPDATES, first_updates=UPDATES))
    state = trainer.initial_state()

    def fit() -> None:
        nonlocal state
        state = jax.block_until_ready(trainer.advance(state._replace(update=0)).state)

    def play() -> None:
        nonlocal state
        state = jax.block_until_ready(trainer.advance(state).state)._replace(phase=1, update=UPDATES)

    timed = []
    first, median = _timed(fit, turns)
    hours = sum(map(whole.updates, phases)) * median / UPDATES / 3600
    timed.append(Timed("update", first, median / UPDATES, hours))
    first, median = _timed(play, 1)
    timed.append(Timed("phase of play", first, median, len(phases) * median / 3600))
    return timed
