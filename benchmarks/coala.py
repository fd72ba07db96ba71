"""COALA-PG training: meta-environment steps a second and memory, by replicas R and by length L = M T.

An iteration plays R x B meta-trajectories with naive learners, who learn within them, and makes all PPO updates, as
in a training run: `experiments.coala_ipd.train_interval`, on one core.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp

from benchmarks.tables import Section
from benchmarks.timing import Contestant, Process, Timing, Work, take_turns
from coplayer import runtime
from coplayer.experiments import coala_ipd, mixed_pool
from coplayer.experiments.coala_ipd import CoalaIPD

BATCH, ROUNDS = 4, 10
SIZES = ((16, 20), (64, 20), (256, 20), (64, 5), (64, 80))  # R, M
NETWORKS = {"gru": SIZES, "hawk": ((64, 20),)}


def _config(core: str, replicas: int, inner_episodes: int) -> CoalaIPD:
    return CoalaIPD(
        core=core,
        batch=BATCH,
        rounds=ROUNDS,
        replicas=replicas,
        inner_episodes=inner_episodes,
        naive_share=1.0,
        meta_agents=1,
        iterations=1,
        phases=1,
        log_every=1,
    )


def _configs() -> dict[str, CoalaIPD]:
    return {
        f"{core}, R = {replicas}, L = {inner_episodes * ROUNDS}": _config(core, replicas, inner_episodes)
        for core, sizes in NETWORKS.items()
        for replicas, inner_episodes in sizes
    }


def _mapped(config: CoalaIPD):
    """(an agent before training, the function that trains it)."""
    setting = coala_ipd.make_setting(config)
    keys = mixed_pool.keys(config, 1)
    agent = mixed_pool.mapped(config, lambda key, _: coala_ipd.new_learner(setting, key), 1)(keys, 0)
    train = mixed_pool.mapped(config, lambda agent, start: coala_ipd.train_interval(setting, agent, start), 1)
    return agent, train


def training() -> Mapping[str, Work]:
    """Set-up of a process: one piece of work a size, from an agent's first iteration on."""
    runtime.configure(cpu_devices=1)

    def work(config: CoalaIPD) -> Work:
        agent, train = _mapped(config)

        def train_further() -> None:
            nonlocal agent
            agent, metrics = train(agent, 0)
            jax.block_until_ready(metrics)

        return train_further

    return {name: work(config) for name, config in _configs().items()}


def working_megabytes(config: CoalaIPD) -> float:
    """Memory that an iteration takes beside its arguments, as the compiler plans it."""
    agent, train = _mapped(config)
    return train.lower(agent, jnp.asarray(0)).compile().memory_analysis().temp_size_in_bytes / 1e6


def measure(*, core: int, turns: int, turn_seconds: float) -> Iterator[Section]:
    """One section, a row for each network and size."""
    memory = {name: working_megabytes(config) for name, config in _configs().items()}
    process = Process(training, (core,))
    contestants = {name: Contestant(name, (process,)) for name in process.names}
    timings = take_turns(contestants, turns=turns, turn_seconds=turn_seconds)
    process.end()
    yield _section(timings, memory)


def _section(timings: Mapping[str, Timing], memory: Mapping[str, float]) -> Section:
    rows = []
    for name, config in _configs().items():
        steps = config.replicas * config.batch * config.inner_episodes * config.rounds
        timing = timings[name]
        rows.append(
            {
                "contestant": name,
                "meta-environment steps / s": steps / timing.median,
                "spread": f"{steps / timing.high:,.0f} to {steps / timing.low:,.0f}",
                "seconds an iteration": timing.median,
                "first call, s": timing.first,
                "working memory, MB": memory[name],
            }
        )
    config = _config("gru", 1, 1)
    return Section(
        title="Training: COALA-PG",
        text=f"A meta agent against naive learners on one core, width {config.hidden}, B = {BATCH}, inner "
        f"episodes of {ROUNDS} rounds: playing, the naive learners' own updates, and {config.epochs} epochs of "
        f"{config.minibatches} minibatches of PPO through whole meta-trajectories. A step is one round of one game.",
        rows=rows,
    )
