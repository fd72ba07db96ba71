"""One run over devices and processes: agent steps a second of A2C learners, who exchange an action in every round.

All contestants have the same two cores, or the first of them. Two runs apart, of half the seeds each, exchange nothing:
no run over two devices can be faster.

Beside it, what a run of a thousand devices sends and saves, from the shapes of its arrays.
"""

import math
import socket
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.tables import Section
from benchmarks.timing import Contestant, Process, Setup, Timing, Work, take_turns
from coplayer import runtime
from coplayer.experiments import ppi_mixed
from coplayer.experiments.a2c_mixed import PRESETS, Trainer, new_network
from coplayer.learning.optimisation import new_state
from coplayer.runs import checkpoint, hosts, packing
from coplayer.settings import adjust

SEEDS, WORK = 4, "interval"
MANY, SAMPLE = 1000, 8 * 10**6  # learners; bytes that are compressed
ACTION = 4  # bytes of an action
SETTINGS = adjust(PRESETS["quick"], seeds=SEEDS, tabular_iterations=0, log_every=2)
ALONE, APART = "1 device, 1 core", "2 runs apart, a core each"


def ours(*, devices: int, seeds: int = SEEDS, **joined: int | str) -> Mapping[str, Work]:
    """Set-up of a process with so many devices, alone or joined to others (see `hosts.connect`)."""
    runtime.configure(cpu_devices=devices)
    if joined:
        hosts.connect(**joined)
    trainer = Trainer(adjust(SETTINGS, seeds=seeds))
    state = trainer.initial_state()

    def work() -> None:
        nonlocal state
        state = trainer.advance(state).state._replace(iteration=0)

    return {WORK: work}


def _joined(devices: int, *cores: tuple[int, ...]) -> list[tuple[Setup, tuple[int, ...]]]:
    """Processes that train one run, each on its own cores."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    how = {"devices": devices, "coordinator": address, "processes": len(cores)}
    return [(partial(ours, process=number, **how), of_one) for number, of_one in enumerate(cores)]


def measure(*, cores: tuple[int, ...], turns: int, turn_seconds: float) -> Iterator[Section]:
    """Sizes, then speeds. The speeds need two cores."""
    yield _sizes()
    first, both = cores[:1], cores[:2]
    setups: dict[str, list[tuple[Setup, tuple[int, ...]]]] = {
        ALONE: [(partial(ours, devices=1), first)],
        APART: [(partial(ours, devices=1, seeds=SEEDS // 2), (core,)) for core in both],
        "1 process of 2 devices, 2 cores": [(partial(ours, devices=2), both)],
        "2 processes of 1 device, a core each": _joined(1, *[(core,) for core in both]),
        "1 process of 4 devices, 2 cores": [(partial(ours, devices=4), both)],
        "2 processes of 2 devices, 2 cores": _joined(2, both, both),
    }
    contestants = {name: Contestant(WORK, tuple(Process(*setup) for setup in group)) for name, group in setups.items()}
    for contestant in contestants.values():  # all are built before the first is timed
        for process in contestant.processes:
            process.names  # noqa: B018
    yield _section(take_turns(contestants, turns=turns, turn_seconds=turn_seconds))
    for contestant in contestants.values():
        for process in reversed(contestant.processes):  # the first would wait for the others, and they for it
            process.end(seconds=0)


def _bytes(tree: Any) -> int:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if not hosts.is_key(leaf)]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def _sizes() -> Section:
    """Bytes of each of a thousand learners, a device each, and seconds of process 0 for a checkpoint of all."""
    data = np.random.default_rng(0).integers(256, size=SAMPLE, dtype=np.uint8)
    begin = time.process_time()
    checkpoint.dump({"episodes": data}, {})
    per_byte = (time.process_time() - begin) / SAMPLE
    rows = []
    for name in ("quick", "paper"):
        ppi, a2c = ppi_mixed.PRESETS[name], PRESETS[name]
        key = jax.random.key(0)
        learner = jax.eval_shape(partial(ppi_mixed.new_trainee, ppi, ppi_mixed.DataSet.of(ppi)), key)
        state = jax.eval_shape(lambda key, a2c=a2c: new_state(new_network(a2c, key), a2c.optimiser), key)
        played = ppi.run.phases * ppi.data.episodes * ppi.game.rounds
        of_ppi = ppi.block, _bytes(ppi_mixed.without_data(learner)), played
        for recipe, (split, weights, rounds) in {
            "ppi-mixed": of_ppi,
            "a2c-mixed": (a2c.split, _bytes(state), 0),
        }.items():
            saved = weights + rounds * packing.bits_per_round(ppi.game.num_joint) // 8
            rows.append(
                {
                    "preset": f"{recipe}, {name}",
                    "sent in a round, bytes": ACTION * split.against_learners,
                    "weights and optimiser, bytes": weights,
                    "saved at the end, bytes": saved,
                    f"saved of {MANY:,} learners, GB": MANY * saved / 1e9,
                    "gathered for it, GB": MANY * (weights + rounds) / 1e9,
                    "to compress it, s": MANY * saved * per_byte,
                }
            )
    return Section(
        title=f"A run of {MANY:,} learners, a device each",
        text="By shapes, of each learner unless said. Sent: its actions, to the other learner of its seed. Saved: the "
        "last checkpoint before compression, with two bits for each round played. Gathered: what every process then "
        f"has in memory. Compressing: {1e-6 / per_byte:.0f} MB of random bytes per second of one core, measured.",
        rows=rows,
    )


def _section(timings: Mapping[str, Timing]) -> Section:
    learners, run, game = SETTINGS.co_players.learners, SETTINGS.run, SETTINGS.game
    steps = learners * run.seeds * run.log_every * SETTINGS.data.episodes * game.rounds
    rows = [
        {
            "contestant": name,
            "agent steps / s": steps / timing.median,
            "spread": f"{steps / timing.high:,.0f} to {steps / timing.low:,.0f}",
            "1 core = 1": timings[ALONE].median / timing.median,
            "runs apart = 1": timings[APART].median / timing.median,
            "first call, s": timing.first,
        }
        for name, timing in timings.items()
    ]
    return Section(
        title="One run over devices and processes",
        text=f"A2C, quick preset, {learners} learners and {SEEDS} seeds, from the first iteration on with each other; "
        f"{SETTINGS.data.episodes} episodes of {game.rounds} rounds. Of two processes, each has one learner of every "
        "seed with 1 device, and both learners of half the seeds with 2 devices. Four devices on two cores cannot be "
        "faster than two: they show what dividing costs.",
        rows=rows,
        verdict="",
    )
