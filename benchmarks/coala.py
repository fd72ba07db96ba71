"""COALA-PG training: meta-environment steps a second and memory, by replicas R and by length L = M T.

An iteration plays R x B meta-trajectories with naive learners, who learn within them, and makes all PPO updates. The
iteration is that of a training run, `experiments.coala_ipd.train_interval`, on one core.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp

from benchmarks.tables import Section
from benchmarks.timing import Contestant, Process, Timing, Work, take_turns
from coplayer import runtime
from coplayer.experiments import coala_ipd, mixed_pool
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.games.matrix import prisoners_dilemma
from coplayer.settings import adjust

BATCH, ROUNDS = 4, 10
SIZES = ((16, 20), (64, 20), (256, 20), (64, 5), (64, 80))  # R, M
NETWORKS = {"gru": SIZES, "hawk": ((64, 20),)}


def _settings(core: str, replicas: int, inner_episodes: int) -> CoalaIPD:
    return adjust(
        CoalaIPD(),
        game=prisoners_dilemma(ROUNDS),
        core=core,
        batch=BATCH,
        replicas=replicas,
        inner_episodes=inner_episodes,
        naive_share=1.0,
        meta_agents=1,
        iterations=1,
        phases=1,
        log_every=1,
    )


def _all_settings() -> dict[str, CoalaIPD]:
    return {
        f"{core}, R = {replicas}, L = {inner_episodes * ROUNDS}": _settings(core, replicas, inner_episodes)
        for core, sizes in NETWORKS.items()
        for replicas, inner_episodes in sizes
    }


def _mapped(settings: CoalaIPD):
    """(an agent before training, the function that trains it)."""
    run, keys = settings.run, mixed_pool.keys(settings.run, 1)
    agent = mixed_pool.mapped(run, lambda key, _: coala_ipd.new_trainee(settings, key), 1)(keys, 0)
    train = mixed_pool.mapped(run, lambda agent, start: coala_ipd.train_interval(settings, agent, start), 1)
    return agent, train


def training() -> Mapping[str, Work]:
    """Set-up of a process: one piece of work a size, from an agent's first iteration on."""
    runtime.configure(cpu_devices=1)

    def work(settings: CoalaIPD) -> Work:
        agent, train = _mapped(settings)

        def train_further() -> None:
            nonlocal agent
            agent, metrics = train(agent, 0)
            jax.block_until_ready(metrics)

        return train_further

    return {name: work(settings) for name, settings in _all_settings().items()}


def working_megabytes(settings: CoalaIPD) -> float:
    """Memory that an iteration takes beside its arguments, as the compiler plans it."""
    agent, train = _mapped(settings)
    return train.lower(agent, jnp.asarray(0)).compile().memory_analysis().temp_size_in_bytes / 1e6


def measure(*, core: int, turns: int, turn_seconds: float) -> Iterator[Section]:
    """One section, a row for each network and size."""
    memory = {name: working_megabytes(settings) for name, settings in _all_settings().items()}
    process = Process(training, (core,))
    contestants = {name: Contestant(name, (process,)) for name in process.names}
    timings = take_turns(contestants, turns=turns, turn_seconds=turn_seconds)
    process.end()
    yield _section(timings, memory)


def _section(timings: Mapping[str, Timing], memory: Mapping[str, float]) -> Section:
    rows = []
    for name, settings in _all_settings().items():
        steps = settings.shaping.replicas * BATCH * settings.shaping.inner_episodes * ROUNDS
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
    settings = _settings("gru", 1, 1)
    return Section(
        title="Training: COALA-PG",
        text=f"A meta agent against naive learners on one core, width {settings.network.hidden}, B = {BATCH}, inner "
        f"episodes of {ROUNDS} rounds: playing, the naive learners' own updates, and {settings.ppo.epochs} epochs of "
        f"{settings.ppo.minibatches} minibatches of PPO through whole meta-trajectories. A step is one round of one "
        "game.",
        rows=rows,
    )
