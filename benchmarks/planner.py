"""The planner against a plainly written one: the time of a Q estimate of equal standard error.

A policy needs the difference Q(D) - Q(C). With variance v of one estimate that takes t seconds, and a target variance
w, the time at equal error is t v / w. It is the product of two ratios: the imagined rounds needed, and the time of one.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import coplayer
from benchmarks import plain_planner
from benchmarks.tables import Section, shown, verdict
from benchmarks.timing import Contestant, Process, Work, take_turns
from coplayer import runtime
from coplayer.errors import require
from coplayer.experiments.ppi_mixed import PRESETS, tabular_episodes
from coplayer.learning import ppi
from coplayer.networks.world_model import RoundModel
from coplayer.play.rollout import play_match
from coplayer.players.planner import PlannerSettings, PPIPlayer, estimate_q
from coplayer.pools import tabular

QUICK = PRESETS["quick"]
STATES = QUICK.block.size  # as many as one learner plans for at once
OURS, PLAIN = "coplayer", "plain"
PLANNERS = {  # expected rewards, common random numbers, stratified
    OURS: (True, True, False),
    "coplayer, stratified": (True, True, True),
    "coplayer, own draws for each action": (True, False, False),
    "coplayer, sampled rewards": (False, True, False),
    "coplayer, neither": (False, False, False),
    PLAIN: None,
}
MOST_ROLLOUTS = 1024
TARGET = 10.0


class Case(NamedTuple):
    """A model and the states to plan at, as numpy arrays: they travel to another process."""

    name: str
    model: RoundModel
    states: np.ndarray


class Entry(NamedTuple):
    """A planner with the rollouts that give it about the target's error."""

    planner: str
    rollouts: int
    variance: float  # of Q(D) - Q(C), mean over states


def first_phase(updates: int) -> Case:
    """A model after `updates` updates of the quick preset's first phase, halfway through fresh tabular episodes."""
    game, fitting = QUICK.game, QUICK.fitting
    count = updates * fitting.fit_batch
    model = RoundModel(game, QUICK.network.hidden, key=jax.random.key(0))
    learner = ppi.new_state(model, QUICK.optimiser, jnp.zeros((1, game.rounds), dtype=jnp.uint8))
    at = {"available": count, "start": 0, "stop": updates, "total": updates, "key": jax.random.key(2)}
    fresh = {"fresh": partial(tabular_episodes, QUICK), "fresh_count": count}
    fit = jax.jit(lambda learner: ppi.fit(learner, fitting, QUICK.optimiser, game.payoff_vector(), **at, **fresh)[0])
    model = fit(learner).model
    return _case(f"after {updates} updates on tabular episodes", model, _tabular_episodes(model, STATES))


def last_phase(folder: Path) -> Case:
    """The first learner of a run's last phase, halfway through episodes half of them against the other learner."""
    learner, other = coplayer.load(folder)
    half = STATES // 2
    game = learner.model.game
    between = play_match((learner, other), game, jax.random.key(4), episodes=half).joint
    episodes = jnp.concatenate([between, _tabular_episodes(learner.model, STATES - half)], axis=1)
    return _case("a learner of the last phase of a run, mixed pool", learner.model, episodes)


def _tabular_episodes(model: RoundModel, count: int):
    return tabular.play(jax.random.key(3), model.game, count).joint


def _case(name: str, model: RoundModel, episodes) -> Case:
    states = PPIPlayer(model, QUICK.planner).states_along(episodes)[model.game.rounds // 2]
    return Case(name, jax.tree.map(np.asarray, model), np.asarray(states))


def estimator(planner: str, case: Case, rollouts: int) -> tuple[Callable, object]:
    """(function of model, states and key that gives Q, the model it takes)."""
    switches = PLANNERS[planner]
    if switches is None:
        estimate = partial(plain_planner.estimate_q, rollouts=rollouts, horizon=QUICK.planner.horizon)
        return estimate, plain_planner.PlainModel(case.model)
    settings = PlannerSettings(rollouts, QUICK.planner.horizon, QUICK.planner.temperature, *switches)
    return partial(estimate_q, settings=settings), case.model


def difference(planner: str, case: Case, rollouts: int, *, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of Q(D) - Q(C) at each state, from `draws` independent estimates."""
    estimate, model = estimator(planner, case, rollouts)

    @jax.jit
    def all_estimates(model, states):
        def one(key):
            q = estimate(model, states, key)
            return q[1] - q[0]

        return jax.lax.map(one, jax.random.split(jax.random.key(5), draws))

    estimates = np.asarray(all_estimates(model, case.states), dtype=np.float64)
    return estimates.mean(0), estimates.var(0, ddof=1)


def match_error(case: Case, rollouts: int, samples: int) -> list[Entry]:
    """Every planner with the rollouts that give it our variance at `rollouts`. About `samples` rollouts for each are
    spent on its variance. Refuses planners whose means differ: they would not estimate the same thing. The last entry
    is the plain planner with as many rollouts as ours.
    """
    target, reference, noise = 0.0, np.empty(0), np.empty(0)
    entries = []
    for planner in PLANNERS:
        count, tried = rollouts, []
        for _ in range(1 if planner == OURS else 3):  # the variance need not be exactly inverse to the count
            draws = max(16, samples // count)
            mean, variance = difference(planner, case, count, draws=draws)
            if planner == OURS:
                target, reference, noise = variance.mean(), mean, variance / draws
            entry = Entry(planner, count, float(variance.mean()))
            tried.append(entry)
            count = min(MOST_ROLLOUTS, max(1, round(count * entry.variance / target)))
            if count == entry.rollouts:
                break
        off = np.abs(mean - reference).mean()
        allowed = np.sqrt(noise + variance / draws).mean()
        same = off < 1.5 * allowed  # chance alone gives 0.8
        require(same, f"{planner}: its Q differs from ours by {off:.3f}, which is more than chance")
        entries.append(entry)
    return [*entries, tried[0]]


def contestants(case: Case, entries: list[Entry]) -> Mapping[str, Work]:
    """Set-up of the process that plans: one estimate for all states is one piece of work."""
    runtime.configure(cpu_devices=1)

    def work(entry: Entry) -> Work:
        estimate, model = estimator(entry.planner, case, entry.rollouts)
        compiled = jax.jit(estimate)
        states, key = jnp.asarray(case.states), jax.random.key(6)
        model = jax.tree.map(jnp.asarray, model)
        return lambda: compiled(model, states, key).block_until_ready()

    return {_label(entry): work(entry) for entry in entries}


def _label(entry: Entry) -> str:
    return f"{entry.planner}, {entry.rollouts} rollouts"


def measure(
    *, core: int, updates: int, run: Path | None, samples: int, turns: int, turn_seconds: float
) -> Iterator[Section]:
    """One section for each model and number of rollouts of the quick preset."""
    cases = [first_phase(updates)] + ([last_phase(run)] if run else [])
    counts = [QUICK.planner.in_phase(phase).rollouts for phase in (1, QUICK.run.phases)]
    for case in cases:
        for count in counts:
            entries = match_error(case, count, samples)
            yield _section(case, entries, core, turns=turns, turn_seconds=turn_seconds)


def _section(case: Case, entries: list[Entry], core: int, *, turns: int, turn_seconds: float) -> Section:
    process = Process(partial(contestants, case, entries), (core,))
    timings = take_turns(
        {name: Contestant(name, (process,)) for name in process.names}, turns=turns, turn_seconds=turn_seconds
    )
    process.end()
    ours = entries[0]

    def rate(entry: Entry, seconds: float) -> float:
        return case.model.game.num_actions * entry.rollouts * len(case.states) * QUICK.planner.horizon / seconds

    rows = []
    for entry in entries:
        timing, base = timings[_label(entry)], timings[_label(ours)]
        rounds = entry.rollouts * entry.variance / (ours.rollouts * ours.variance)
        speed = rate(ours, base.median) / rate(entry, timing.median)
        rows.append(
            {
                "planner": entry.planner,
                "rollouts": entry.rollouts,
                "standard error": entry.variance**0.5,
                "ms": 1e3 * timing.median,
                "ms, spread": f"{shown(1e3 * timing.low)} to {shown(1e3 * timing.high)}",
                "million imagined rounds / s": 1e-6 * rate(entry, timing.median),
                "ms at equal error": 1e3 * timing.median * entry.variance / ours.variance,
                "rounds needed": rounds,
                "time of a round": speed,
                "time at equal error": rounds * speed,
                "first call, s": timing.first,
            }
        )
    plain = rows[-2]
    factor = plain["time at equal error"]
    return Section(
        title=f"Planner: {case.name}, {ours.rollouts} rollouts",
        text=f"Q(D) - Q(C) at {len(case.states)} states halfway through their episodes, hidden "
        f"{case.model.core.hidden}, {QUICK.planner.horizon} imagined rounds, one core. The planners have the rollouts "
        "that give them the standard error of the first row; the last row has as many rollouts as the first. The three "
        "ratios are to the first row: time at equal error = rounds needed x time of a round.",
        rows=rows,
        verdict=verdict(
            f"a Q estimate of equal standard error at least {TARGET:g} times faster than plainly written. "
            f"The factor is {factor:.1f}, of which {plain['rounds needed']:.1f} by lower variance and "
            f"{plain['time of a round']:.1f} by faster rounds",
            factor >= TARGET,
        ),
    )
