"""A2C training: agent steps a second, environment steps times learners, updates included and compilation apart.

An iteration plays a batch of episodes of two learners in the mixed pool and updates each once, as in a training run
(`experiments.a2c_mixed.train_interval`). Each learner has one of two cores, or both share one core.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import jax

from benchmarks.tables import Section
from benchmarks.timing import Contestant, Process, Timing, Work, take_turns
from coplayer import runtime
from coplayer.experiments import a2c_mixed, mixed_pool
from coplayer.settings import adjust

HIDDEN = (16, 32, 128)
EPISODES = 512
ITERATIONS = 2  # in one piece of work
ONE, TWO = "both learners on 1 core", "2 learners, a core each"


def _settings(hidden: int) -> a2c_mixed.A2CMixed:
    size = {"iterations": ITERATIONS, "phases": 1, "log_every": ITERATIONS}
    return adjust(a2c_mixed.PRESETS["paper"], hidden=hidden, episodes=EPISODES, **size)


def training(*, devices: int) -> Mapping[str, Work]:
    """Set-up of a process: one piece of work a width, from a learner's first iteration on."""
    runtime.configure(cpu_devices=devices)

    def work(hidden: int) -> Work:
        settings = _settings(hidden)
        part, count = a2c_mixed.main_part(settings), settings.co_players.learners
        mapped = partial(mixed_pool.mapped, settings.run, num_learners=count)
        keys = mixed_pool.keys(settings.run, count)
        learners = mapped(lambda key, _: a2c_mixed.new_trainee(settings, key))(keys, 0)
        train = mapped(lambda seat, start: a2c_mixed.train_interval(settings, part, seat, start))

        def train_further() -> None:
            nonlocal learners
            learners, metrics = train(learners, 0)
            jax.block_until_ready(metrics)

        return train_further

    return {f"hidden {hidden}": work(hidden) for hidden in HIDDEN}


def measure(*, cores: tuple[int, ...], turns: int, turn_seconds: float) -> Iterator[Section]:
    """One section, a row for each width and placement."""
    processes = {ONE: Process(partial(training, devices=1), cores[:1])}
    if len(cores) >= 2:
        processes[TWO] = Process(partial(training, devices=2), cores[:2])
    names = {place: process.names for place, process in processes.items()}  # all are built before the first is timed
    contestants = {
        f"{name}, {place}": Contestant(name, (processes[place],)) for name in names[ONE] for place in processes
    }
    timings = take_turns(contestants, turns=turns, turn_seconds=turn_seconds)
    yield _section(timings)
    for process in processes.values():
        process.end()


def _section(timings: Mapping[str, Timing]) -> Section:
    settings = _settings(HIDDEN[0])
    rounds = settings.game.rounds
    steps = settings.co_players.learners * ITERATIONS * EPISODES * rounds
    rows = [
        {
            "contestant": name,
            "agent steps / s": steps / timing.median,
            "spread": f"{steps / timing.high:,.0f} to {steps / timing.low:,.0f}",
            "iterations / s": ITERATIONS / timing.median,
            "first call, s": timing.first,
        }
        for name, timing in timings.items()
    ]
    return Section(
        title="Training: A2C",
        text=f"Two learners in the mixed pool, {EPISODES} episodes of {rounds} rounds each an iteration: playing, and "
        "one update with backpropagation through whole episodes. An agent step is one learner's action in one round.",
        rows=rows,
    )
