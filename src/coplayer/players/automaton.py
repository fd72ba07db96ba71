"""Finite automata as players of matrix games, and the strategies of the Axelrod library that are such automata.

An automaton is in one of some states. In state s it cooperates with probability p_cooperate[s]. After a round it goes
to state next[s, joint], where `joint` is what was really played, own action first. State 0 is the first. A memory-1
player is an automaton with a state for START and one for each joint action.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import CoplayerError, require, require_key, require_whole
from coplayer.games.game import Game
from coplayer.games.matrix import COOPERATE, DEFECT, START
from coplayer.play.player import Player, uniform
from coplayer.players.memory1 import (
    PRISONERS_DILEMMA_STRATEGIES,
    Memory1,
    check_batch,
    fits_named_strategies,
    named_strategy,
)

JOINT = 4  # joint actions of a game of two actions


class Automaton(Player):
    """A finite automaton, or a batch of automata `[batch, ...]` with one per table. Plays matrix games of two actions,
    of which action 0 cooperates. It draws one uniform number per round and table.
    """

    next: Int[Array, "*batch states joint"]
    p_cooperate: Float[Array, "*batch states"]

    def __init__(self, next, p_cooperate):
        """`next[..., state, joint]`: the state after a joint action, CC, CD, DC or DD. `p_cooperate[..., state]`.

        Raises `CoplayerError` for states that do not exist, and for numbers that are no probabilities. Traced arrays
        are taken as they are.
        """
        if not any(isinstance(array, jax.core.Tracer) for array in (next, p_cooperate)):
            _check_tables(next, p_cooperate)
        self.next = jnp.asarray(next, jnp.int32)
        self.p_cooperate = jnp.asarray(p_cooperate, dtype=float)

    @property
    def states(self) -> int:
        """Number of states, also of those that are never reached."""
        return self.p_cooperate.shape[-1]

    @property
    def takes_uniforms(self) -> bool:
        return True

    def check(self, game: Game) -> None:
        require(
            fits_named_strategies(game),
            "player: an automaton plays matrix games of two actions, of which action 0 cooperates",
        )

    def begin(self, key, batch):
        check_batch(self.p_cooperate.shape[:-1], batch)
        return jnp.zeros(batch, jnp.int32)

    def act(self, state, observation, key):
        own_table = self.p_cooperate.shape[:-1] == state.shape
        return _act(self, jnp.arange(len(state)) if own_table else jnp.zeros_like(state), state, observation, key)


class Members(Player):
    """At each table one automaton of a batch of automata, given by its number. An automaton is kept once, at however
    many tables it plays.
    """

    automata: Automaton  # a batch
    members: Int[Array, " batch"]

    @property
    def takes_uniforms(self) -> bool:
        return True

    def check(self, game: Game) -> None:
        self.automata.check(game)

    def begin(self, key, batch):
        require(len(self.members) == batch, f"player: names {len(self.members)} automata, one per table, at {batch}")
        return jnp.zeros(batch, jnp.int32)

    def act(self, state, observation, key):
        return _act(self.automata, self.members, state, observation, key)


def _act(automata: Automaton, members: Int[Array, " batch"], state, observation, key):
    """What these members of a batch of automata do, one at each table."""
    place = members * automata.states
    following = automata.next.reshape(-1)[(place + state) * JOINT + jnp.maximum(observation - 1, 0)]
    state = jnp.where(observation == START, state, following)
    cooperates = uniform(key, state.shape) < automata.p_cooperate.reshape(-1)[place + state]
    return state, jnp.where(cooperates, COOPERATE, DEFECT), None


def _check_tables(next, p_cooperate) -> None:
    try:
        following, chance = np.asarray(next), np.asarray(p_cooperate, dtype=float)
    except (TypeError, ValueError) as error:
        raise CoplayerError("automaton: next and p_cooperate must be numbers, every row of the same length") from error
    require(
        chance.ndim >= 1 and chance.shape[-1] >= 1 and following.shape == (*chance.shape, JOINT),
        f"automaton: next must have the shape of p_cooperate and {JOINT} joint actions more, got {following.shape} and "
        f"{chance.shape}",
    )
    require(
        np.issubdtype(following.dtype, np.integer) and bool(((following >= 0) & (following < chance.shape[-1])).all()),
        f"automaton: next must hold whole numbers from 0 to {chance.shape[-1] - 1}, the last state",
    )
    require(
        bool(((chance >= 0) & (chance <= 1)).all()),
        f"automaton: p_cooperate must lie in [0, 1], got {chance.min():g} to {chance.max():g}",
    )


def of_memory1(player: Memory1) -> Automaton:
    """A memory-1 player, or a batch of such players, as automata. State 0 is START, state 1 + joint what was played."""
    chance = player.probabilities[..., COOPERATE]
    require(chance.shape[-1] == 1 + JOINT, f"player: needs a game of two actions, has {player.probabilities.shape}")
    return Automaton(jnp.broadcast_to(1 + jnp.arange(JOINT), (*chance.shape, JOINT)), chance)


def stacked(automata: Sequence[Automaton]) -> Automaton:
    """Single automata as one batch. Those with fewer states get states that are never reached."""
    require(len(automata) > 0, "automata: needs at least one")
    most = max(automaton.states for automaton in automata)
    for automaton in automata:
        require(automaton.p_cooperate.ndim == 1, f"automata: must be single ones, got {automaton.p_cooperate.shape}")
    following = [np.pad(np.asarray(a.next), ((0, most - a.states), (0, 0))) for a in automata]
    chances = [np.pad(np.asarray(a.p_cooperate), (0, most - a.states)) for a in automata]
    return Automaton(np.stack(following), np.stack(chances))


def trembling(automata: Automaton, noise: float) -> Automaton:
    """The automata with hands that tremble: with probability `noise` each does the other action than it chose. Its
    states follow what was really played.
    """
    if not noise:
        return automata
    chance = automata.p_cooperate
    return Automaton(automata.next, chance + noise * (1 - 2 * chance))


def mutated(key: PRNGKeyArray, automata: Automaton, share: Float[Array, " batch"]) -> Automaton:
    """A batch of automata, each with a share of its table changed at random. A changed entry of `next` is any state of
    the automaton; a changed probability is its opposite or, as often, any.
    """
    moving, acting, opposing, *changing = jax.random.split(key, 5)
    following, chance = automata.next, automata.p_cooperate
    moves, acts = (jax.random.uniform(one, like.shape) for one, like in zip(changing, (following, chance), strict=True))
    other = jax.random.randint(moving, following.shape, 0, following.max((1, 2), keepdims=True) + 1)
    opposite = jax.random.bernoulli(opposing, shape=chance.shape)
    different = jnp.where(opposite, 1 - chance, jax.random.uniform(acting, chance.shape))
    return Automaton(
        jnp.where(moves < share[:, None, None], other, following), jnp.where(acts < share[:, None], different, chance)
    )


def memory(p_cooperate: Float[Array, "*batch histories"] | Float[np.ndarray, "*batch histories"]) -> Automaton:
    """Players who remember the last k rounds, as automata. `p_cooperate[..., h]` is the probability of cooperation
    after a history h of at most k rounds. There are 1 + 4 + ... + 4^k such histories. Shorter histories come first.
    Histories of one length are numbers to base 4, whose digits are the joint actions; the last round is the last digit.
    """
    histories, k = p_cooperate.shape[-1], 0
    while sum(JOINT**depth for depth in range(k + 1)) < histories:
        k += 1
    starts = [sum(JOINT**depth for depth in range(shorter)) for shorter in range(k + 2)]
    require(
        starts[k + 1] == histories,
        f"p_cooperate: the last axis must have 1 + 4 + ... + 4^k entries, got {histories}",
    )
    following = np.zeros((histories, JOINT), int)
    for depth in range(k + 1):
        for h in range(JOINT**depth):
            for joint in range(JOINT):
                longer = h * JOINT + joint
                at = starts[depth + 1] + longer if depth < k else starts[k] + longer % JOINT**k
                following[starts[depth] + h, joint] = at
    return Automaton(jnp.broadcast_to(following, (*p_cooperate.shape, JOINT)), p_cooperate)


def random_memory(key: PRNGKeyArray, batch: int, rounds: int) -> Automaton:
    """Random players who remember the last `rounds` rounds: each probability is uniform in [0, 1]."""
    require_key(key)
    for name, value, least in (("batch", batch, 1), ("rounds", rounds, 0)):
        require_whole(name, value, at_least=least)
    return memory(jax.random.uniform(key, (batch, sum(JOINT**depth for depth in range(rounds + 1)))))


def random_automata(key: PRNGKeyArray, batch: int, states: int, *, deterministic: bool = True) -> Automaton:
    """Random automata: each following state is drawn uniformly. A deterministic one cooperates for sure in some states
    and defects in the others, each with probability 1/2. Without `deterministic` each probability is uniform in [0, 1].
    """
    require_key(key)
    for name, value in (("batch", batch), ("states", states)):
        require_whole(name, value, at_least=1)
    moving, acting = jax.random.split(key)
    following = jax.random.randint(moving, (batch, states, JOINT), 0, states)
    chance = jax.random.uniform(acting, (batch, states))
    return Automaton(following, jnp.round(chance) if deterministic else chance)


@functools.cache
def axelrod_automata() -> Mapping[str, Automaton]:
    """Strategies of the Axelrod library, by their names there (version 4.13): those that were found to be finite
    automata of at most 100 states.

    The tables were found by tools/axelrod_automata.py. The tests compare them with the library.
    """
    text = resources.files("coplayer.players").joinpath("data/axelrod.json").read_text(encoding="utf-8")
    with jax.ensure_compile_time_eval():
        found = json.loads(text)["automata"]
        return {name: Automaton(np.asarray(its["next"]), its["p_cooperate"]) for name, its in found.items()}


@functools.cache
def axelrod_parts() -> Mapping[str, tuple[str, ...]]:
    """All strategies of the Axelrod library (version 4.13) by name, automata or not, in two parts. "training" is what
    training may use, "held_out" is for tests of what was trained. tools/axelrod_split.py drew the parts.
    """
    text = resources.files("coplayer.players").joinpath("data/axelrod_split.json").read_text(encoding="utf-8")
    found = json.loads(text)
    return {part: tuple(found[part]) for part in ("training", "held_out")}


def named_automaton(name: str) -> Automaton:
    """A strategy by its name: one of `PRISONERS_DILEMMA_STRATEGIES`, such as "tit_for_tat", or a strategy of the
    Axelrod library, such as "Tit For Tat". Raises `CoplayerError` for another name.
    """
    if isinstance(name, str) and name in PRISONERS_DILEMMA_STRATEGIES:
        return of_memory1(named_strategy(name))
    known = axelrod_automata()
    require(
        isinstance(name, str) and name in known,
        f"strategy: {name!r} is not one of {', '.join(PRISONERS_DILEMMA_STRATEGIES)}, nor a strategy of the Axelrod "
        f"library that is a finite automaton",
    )
    return known[name]
