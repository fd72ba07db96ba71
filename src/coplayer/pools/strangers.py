"""Pools of strangers: memory-1 players, players with a longer memory, finite automata, strategies of Axelrod's library.

A pool is given in words. One stranger is drawn for each episode, and each entry of the pool is equally likely. A pool
of memory-1 players alone is a `tabular.TabularPool`; any other pool is a `StrangerPool`.
"""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from coplayer.errors import CoplayerError, require
from coplayer.games.game import Game
from coplayer.games.matrix import COOPERATE, MatrixGame
from coplayer.play.trajectory import Trajectory
from coplayer.players.automaton import (
    JOINT,
    Automaton,
    Members,
    axelrod_automata,
    axelrod_parts,
    memory,
    mutated,
    named_automaton,
    of_memory1,
    random_memory,
    stacked,
    trembling,
)
from coplayer.players.memory1 import (
    PRISONERS_DILEMMA_STRATEGIES,
    TabularPlayers,
    cooperation,
)
from coplayer.pools import tabular
from coplayer.pools.tabular import TabularPool

AXELROD = "axelrod"
FRESH = ("uniform", "memory2", "automata", "mutants")
MOST_STATES = 8  # of a fresh automaton
MOST_CHANGED = 0.3  # share of a mutant's table
_MEMORY = {"uniform": 1, "memory2": 2}  # rounds that a fresh player of a memory remembers


class StrangerPool(NamedTuple):
    """Which strangers there are; every entry is equally likely. Hashable, a constant under `jit`."""

    fresh: tuple[str, ...]  # of `FRESH`, an entry each: a new random player each time
    named: tuple[tuple[str, ...], ...]  # an entry each: strategies, each of them equally likely
    noise: float  # probability that the hand of a stranger trembles


Pool = TabularPool | StrangerPool


def pool_of(entries: tuple[str, ...], game: Game, noise: float = 0.0) -> Pool:
    """A pool from words: those of `tabular.pool_of`, the names of strategies that are automata, and these:

    * "memory2": a fresh player whose probabilities after each pair of rounds are uniform.
    * "automata": a fresh finite automaton of up to 8 states.
    * "axelrod": one of the strategies of the Axelrod library that are automata and for training.
    * "mutants": such a strategy with some of its table changed at random.

    `noise`: the probability that a stranger does not do what it chose.

    Raises `CoplayerError` for unknown words, and for a game in which the words have no meaning.
    """
    longer = [entry for entry in entries if _is_longer(entry)]
    if not longer:
        return tabular.pool_of(entries, game)._replace(noise=noise)
    tabular.require_symbols(game)
    tabular.require_cooperation(longer[0], game)
    for word in (*FRESH, AXELROD):
        require(entries.count(word) <= 1, f"pool: {word} must not be named more than once")
    fresh = tuple(entry for entry in entries if entry in FRESH)
    named = tuple(_names(entry) for entry in entries if entry not in FRESH)
    return StrangerPool(fresh, named, noise)


def _is_longer(entry: object) -> bool:
    """Whether a word means no memory-1 players: those of `tabular.pool_of` do. The library's table is not read."""
    short = ("uniform", "random", *PRISONERS_DILEMMA_STRATEGIES)
    return isinstance(entry, str) and entry not in short and "," not in entry


def _for_training() -> tuple[str, ...]:
    return tuple(name for name in axelrod_parts()["training"] if name in axelrod_automata())


def _names(entry: str) -> tuple[str, ...]:
    if entry == AXELROD:
        return _for_training()
    _automaton(entry)
    return (entry,)


def _automaton(entry: str) -> Automaton:
    """The automaton of a name, or of five probabilities."""
    try:
        if "," not in entry:
            return named_automaton("Random" if entry == "random" else entry)
        return of_memory1(cooperation([float(word) for word in entry.split(",")]))
    except ValueError as error:
        names = ", ".join((*FRESH, AXELROD, *PRISONERS_DILEMMA_STRATEGIES))
        reason = f" ({error})" if "," in entry and isinstance(error, CoplayerError) else ""
        raise CoplayerError(
            f"pool: {entry!r} is not {names}, a strategy of the Axelrod library that is an automaton, nor five "
            f"probabilities{reason}"
        ) from error


@cache
def _stacked(names: tuple[str, ...]) -> Automaton:
    with jax.ensure_compile_time_eval():
        return stacked([_automaton(name) for name in names])


def _all_named(pool: StrangerPool) -> Automaton:
    """All strategies of all entries, in their order."""
    return _stacked(tuple(name for names in pool.named for name in names))


def draw(key: PRNGKeyArray, game: Game, batch: int, pool: Pool) -> TabularPlayers | Members:
    """A stranger for each of `batch` episodes."""
    if isinstance(pool, TabularPool):
        return TabularPlayers(tabular.draw_tables(key, game, batch, pool))
    choosing, within, *making = jax.random.split(key, 2 + len(pool.fresh))
    batches = [_fresh(name, make, batch) for name, make in zip(pool.fresh, making, strict=True)]
    numbers, first = [batch * i + jnp.arange(batch) for i in range(len(pool.fresh))], batch * len(pool.fresh)
    which = jax.random.uniform(within, (batch,))
    for names in pool.named:
        numbers.append(first + (which * len(names)).astype(jnp.int32))
        first += len(names)
    if pool.named:
        batches.append(_all_named(pool))
    chosen = jax.random.randint(choosing, (batch,), 0, len(numbers))
    members = jnp.stack(numbers)[chosen, jnp.arange(batch)]
    return Members(trembling(_together(batches), pool.noise), members)


def _fresh(name: str, key: PRNGKeyArray, batch: int) -> Automaton:
    if name == "automata":
        return _fresh_automata(key, batch)
    if name == "mutants":
        return _mutants(key, batch)
    return random_memory(key, batch, _MEMORY[name])


def _fresh_automata(key: PRNGKeyArray, batch: int) -> Automaton:
    """Random automata of 1 to `MOST_STATES` states, each number equally likely. Half of them are deterministic."""
    sizing, choosing, making = jax.random.split(key, 3)
    moving, acting = jax.random.split(making)
    sizes = jax.random.randint(sizing, (batch, 1, 1), 1, MOST_STATES + 1)
    following = jax.random.randint(moving, (batch, MOST_STATES, JOINT), 0, sizes)
    chance = jax.random.uniform(acting, (batch, MOST_STATES))
    sure = jax.random.bernoulli(choosing, shape=(batch, 1))
    return Automaton(following, jnp.where(sure, jnp.round(chance), chance))


def _mutants(key: PRNGKeyArray, batch: int) -> Automaton:
    """Strategies for training, each with a share of its table changed: uniform, from none to `MOST_CHANGED`."""
    choosing, sharing, changing = jax.random.split(key, 3)
    all_for_training = _stacked(_for_training())
    chosen = jax.random.randint(choosing, (batch,), 0, len(all_for_training.next))
    share = jax.random.uniform(sharing, (batch,), maxval=MOST_CHANGED)
    return mutated(changing, jax.tree.map(lambda table: table[chosen], all_for_training), share)


def _together(batches: list[Automaton]) -> Automaton:
    """Batches of automata as one batch. Those with fewer states get states that are never reached."""
    most = max(automata.states for automata in batches)

    def padded(array: Array) -> Array:
        return jnp.pad(array, [(0, most - size if axis == 1 else 0) for axis, size in enumerate(array.shape)])

    return jax.tree.map(lambda *parts: jnp.concatenate([padded(part) for part in parts]), *batches)


def play(key: PRNGKeyArray, game: Game, batch: int, pool: Pool) -> Trajectory:
    """Episodes of the pool's strangers among themselves, in a two-player game."""
    if isinstance(pool, TabularPool):
        return tabular.play(key, game, batch, pool)
    first, second = (draw(jax.random.fold_in(key, seat), game, batch, pool) for seat in range(2))
    return tabular.play_among(key, game, batch, (first, second))


def predictive(
    joint: Integer[Array, "rounds batch"], game: MatrixGame, pool: Pool
) -> Float[Array, "rounds actions batch"]:
    """P(action | rounds before) of a stranger of the pool, for an observer who knows the pool and not the stranger:
    Bayes' rule. `joint`: episodes in the view of the stranger's co-player, which the pool can have.

    Each named strategy is an automaton, whose state follows from the rounds before. A fresh player of some memory is an
    automaton too, of unknown probabilities: in each of its states Laplace's rule of succession holds. The prediction is
    the mean over all of them, weighted by the probability that each gave to the past.

    Raises `CoplayerError` for a pool with fresh automata or mutants, and for fresh players whose hands tremble: what
    these will do has no such form.
    """
    if isinstance(pool, TabularPool):
        return tabular.predictive(joint, game, pool)
    for name in ("automata", "mutants"):
        require(name not in pool.fresh, f"pool: what fresh {name} will do is not known in closed form")
    require(
        not pool.noise or not pool.fresh,
        f"pool_noise: what fresh players will do is known without noise alone, got {pool.noise}",
    )
    batch, entries = joint.shape[1], len(pool.fresh) + len(pool.named)
    fresh = [memory(jnp.full(sum(JOINT**depth for depth in range(_MEMORY[name] + 1)), 0.5)) for name in pool.fresh]
    named = [trembling(_all_named(pool), pool.noise)] if pool.named else []
    priors = [1.0] * len(fresh) + [1 / len(names) for names in pool.named for _ in names]
    begin = (
        jnp.tile(jnp.log(jnp.array(priors) / entries)[:, None], batch),
        [jnp.zeros(batch, jnp.int32) for _ in fresh],
        [jnp.ones((automaton.states, 2, batch)) for automaton in fresh],
        [jnp.zeros((len(automata.p_cooperate), batch), jnp.int32) for automata in named],
    )
    tables = jnp.arange(batch)

    def step(carry, at):
        evidence, states, counts, places = carry
        both, action = at
        seen = [count[state, :, tables].T for state, count in zip(states, counts, strict=True)]
        chance = [row[COOPERATE] / row.sum(0) for row in seen]
        members = [jnp.take_along_axis(a.p_cooperate, place, axis=1) for a, place in zip(named, places, strict=True)]
        cooperates = jnp.concatenate([jnp.reshape(row, (-1, batch)) for row in (*chance, *members)])
        predicted = (jax.nn.softmax(evidence, axis=0) * cooperates).sum(0)
        evidence = evidence + jnp.log(jnp.where(action == COOPERATE, cooperates, 1 - cooperates))
        counts = [count.at[state, action, tables].add(1.0) for state, count in zip(states, counts, strict=True)]
        states = [automaton.next[state, both] for automaton, state in zip(fresh, states, strict=True)]
        places = [a.next[jnp.arange(len(a.next))[:, None], place, both] for a, place in zip(named, places, strict=True)]
        return (evidence, states, counts, places), jnp.stack([predicted, 1 - predicted])

    joint = joint.astype(jnp.int32)
    return jax.lax.scan(step, begin, (game.swap(joint), game.other_action(joint)))[1]
