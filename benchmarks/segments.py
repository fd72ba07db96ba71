"""Backpropagation through long meta-trajectories: memory and time, whole and in segments that are played again."""

from collections.abc import Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.tables import Section, verdict
from benchmarks.timing import Contestant, Process, Timing, Work, take_turns
from coplayer import runtime
from coplayer.games.cleanup import CleanUpLite
from coplayer.networks.actor_critic import ActorCritic

ROUNDS, TABLES = 6400, 16  # M = 100 inner episodes of T = 64 rounds, as published for CleanUp-lite
NETWORKS = {"gru": 16, "hawk": 32}  # width by core: those of the quick and the paper preset
SEGMENTS = (0, 16, 64, 640)
GAME = CleanUpLite()


@partial(jax.jit, static_argnums=2)
def slope(network: ActorCritic, observations: jax.Array, segment: int) -> ActorCritic:
    """Gradient of a loss on all outputs, by all weights."""

    def loss(network: ActorCritic) -> jax.Array:
        logits, values = network.unroll(observations, segment=segment)
        return jnp.mean(logits**2) + jnp.mean(values**2)

    return jax.grad(loss)(network)


def arguments(core: str, segment: int) -> tuple:
    network = ActorCritic(GAME, NETWORKS[core], core=core, key=jax.random.key(0))
    rows = np.random.default_rng(1).random((ROUNDS, TABLES, GAME.observation_space.size)) < 0.3
    return network, jnp.asarray(rows, jnp.float32), segment


def name_of(core: str, segment: int) -> str:
    return f"{core}, width {NETWORKS[core]}, " + (f"segments of {segment}" if segment else "whole")


def works() -> Mapping[str, Work]:
    """Set-up of the process."""
    runtime.configure(cpu_devices=1)

    def work(given: tuple) -> Work:
        return lambda: jax.block_until_ready(slope(*given))

    return {name_of(*case): work(arguments(*case)) for case in cases()}


def cases() -> list[tuple[str, int]]:
    return [(core, segment) for core in NETWORKS for segment in SEGMENTS]


def measure(*, core: int, turns: int, turn_seconds: float) -> Iterator[Section]:
    process = Process(works, (core,))
    contestants = {name: Contestant(name, (process,)) for name in process.names}
    timings = take_turns(contestants, turns=turns, turn_seconds=turn_seconds)
    process.end()
    rows = [_row(kind, segment, timings) for kind, segment in cases()]
    yield Section(
        title="Backpropagation through 6400 rounds, whole and in segments",
        text=f"Gradient of an actor-critic in CleanUp-lite, {TABLES} tables, on one core. Memory is what the compiled "
        "program needs beside its arguments. Time and memory are also given as ratios to the whole.",
        rows=rows,
        verdict=verdict(
            "segments of 64 rounds take less than a fifth of the memory, in at most 1.6 times the time",
            all(
                row["memory, ratio"] < 0.2 and row["time, ratio"] < 1.6
                for row in rows
                if row["contestant"].endswith("of 64")
            ),
        ),
    )


def _row(core: str, segment: int, timings: Mapping[str, Timing]) -> dict:
    def mebibytes(segment: int) -> float:
        compiled = slope.lower(*arguments(core, segment)).compile()
        return compiled.memory_analysis().temp_size_in_bytes / 2**20

    timing, whole = timings[name_of(core, segment)], timings[name_of(core, 0)]
    return {
        "contestant": name_of(core, segment),
        "memory, MiB": mebibytes(segment),
        "memory, ratio": mebibytes(segment) / mebibytes(0),
        "ms": 1e3 * timing.median,
        "time, ratio": timing.median / whole.median,
        "spread, ms": f"{1e3 * timing.low:,.0f} to {1e3 * timing.high:,.0f}",
    }
