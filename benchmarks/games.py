"""Steps per second of the grid games, beside JaxMARL's coin game, on all cores."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp

from benchmarks.tables import Section, verdict
from benchmarks.timing import Contestant, Process, Timing, Work, take_turns
from coplayer import runtime
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.coin import CoinGame

TABLES, ROUNDS = 4096, 100
TARGET = 20e6  # steps a second of a game alone
OURS = {"CleanUp-lite": CleanUpLite(ROUNDS), "coin game": CoinGame(rounds=ROUNDS)}
THEIRS = "JaxMARL's coin game"
RANDOM = "random numbers for CleanUp-lite alone"
ALONE, SEEN = "", ", with both observations"
Step = Callable[[object, jax.Array, jax.Array], tuple[object, jax.Array]]


def ours(name: str, seen: bool) -> tuple[Callable, Step, int]:
    """Of one table: the first state by key, a step, and the number of actions. The step gives a number that depends on
    rewards and, if `seen`, on what both players see.
    """
    game = OURS[name]

    def step(state, actions, key):
        state, rewards = game.step(state, actions, key)
        told = sum(game.observe(state, player).sum() for player in range(2)) if seen else 0
        return state, rewards.sum() + told

    return game.reset, step, game.num_actions


def theirs(seen: bool) -> tuple[Callable, Step, int]:
    from jaxmarl.environments.coin_game import CoinGame

    game = CoinGame(num_inner_steps=ROUNDS, num_outer_steps=1)

    def step(state, actions, key):
        told, state, rewards, *_ = game.step_env(key, state, {"0": actions[0], "1": actions[1]})
        return state, sum(rewards.values()) + (sum(one.sum() for one in told.values()) if seen else 0)

    return lambda key: game.reset(key)[1], step, 5


def numbers() -> tuple[Callable, Step, int]:
    """What the key of a table and round costs, without any rules."""

    def step(state, actions, key):
        return state + jax.random.uniform(key, (6,)).sum(), 0.0

    return lambda key: 0.0, step, 6


def played(of_table: tuple[Callable, Step, int]) -> Callable[[jax.Array], jax.Array]:
    """The sum of a step's numbers over all tables and rounds, with random actions."""
    reset, step, actions = of_table

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, TABLES)

        def one_round(carry, at):
            states, total = carry
            of_round = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, at)
            chosen = jax.random.bits(jax.random.fold_in(key, at), (TABLES, 2), jnp.uint8) % actions
            states, gained = jax.vmap(step)(states, chosen.astype(jnp.int32), of_round)
            return (states, total + gained.sum()), None

        return jax.lax.scan(one_round, (jax.vmap(reset)(keys), 0.0), jnp.arange(ROUNDS))[0]

    return run


def works() -> Mapping[str, Work]:
    """Set-up of the process."""
    runtime.configure(cpu_devices=1)
    tables = {name + what: ours(name, what == SEEN) for what in (ALONE, SEEN) for name in OURS}
    if importlib.util.find_spec("jaxmarl"):
        tables |= {THEIRS + what: theirs(what == SEEN) for what in (ALONE, SEEN)}
    tables[RANDOM] = numbers()
    key = jax.random.key(0)
    return {name: _work(played(each), key) for name, each in tables.items()}


def _work(run: Callable, key: jax.Array) -> Work:
    return lambda: jax.block_until_ready(run(key))


def measure(*, cores: tuple[int, ...], turns: int, turn_seconds: float) -> Iterator[Section]:
    process = Process(works, cores)
    contestants = {name: Contestant(name, (process,)) for name in process.names}
    timings = take_turns(contestants, turns=turns, turn_seconds=turn_seconds)
    process.end()
    rate = TABLES * ROUNDS / timings["CleanUp-lite"].median
    yield Section(
        title="Grid games",
        text=f"{TABLES} tables of {ROUNDS} rounds with random actions, on {len(cores)} cores. Every table has a key of "
        "its own in every round. JaxMARL's coin game has two coins on the board at once, and keeps statistics.",
        rows=[_row(name, timing) for name, timing in timings.items()],
        verdict=verdict(f"CleanUp-lite makes at least {TARGET / 1e6:g} million steps a second", rate >= TARGET),
    )


def _row(name: str, timing: Timing) -> dict:
    steps = TABLES * ROUNDS
    return {
        "contestant": name,
        "million steps / s": steps / timing.median / 1e6,
        "spread": f"{steps / timing.high / 1e6:.2f} to {steps / timing.low / 1e6:.2f}",
        "first call, s": timing.first,
    }
