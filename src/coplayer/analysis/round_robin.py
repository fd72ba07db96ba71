"""Matches of finite automata with each other, many thousand a second: only their means are kept.

A pair without chance plays one match, and all its matches are that one. Noise is folded into the automata. A player
chooses to cooperate with probability p, and its move is changed with probability e. The player then cooperates with
probability p (1 - e) + (1 - p) e.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray

from coplayer.games.matrix import MatrixGame
from coplayer.players.automaton import JOINT, Automaton

BLOCK = 1024  # matches side by side, whose state fits a core's cache
BITS = 15  # of chance in a decision
ONE = 2**BITS
MOST_PLACES = 2 ** (32 - BITS - 1)


class Means(NamedTuple):
    """Means over the rounds of each match, of the player of the row and of the player of the column."""

    rewards: Float[np.ndarray, "2 pairs matches"]
    cooperation: Float[np.ndarray, "2 pairs matches"]


def play_pairs(
    automata: Automaton,
    rows: Int[np.ndarray, " pairs"],
    columns: Int[np.ndarray, " pairs"],
    game: MatrixGame,
    key: PRNGKeyArray,
    *,
    matches: int,
    inner_episodes: int = 1,
    noise: float = 0.0,
) -> Means:
    """Play `matches` matches of each pair of members of a batch of automata, in a game of two actions, of which action
    0 cooperates. The first of a pair sits in seat 0. Probabilities are rounded to multiples of 2^-15. The pairs are
    shared by the devices, each with random numbers of its own.
    """
    chance = np.asarray(automata.p_cooperate, float)
    chance = chance * (1 - noise) + (1 - chance) * noise
    sure = ((chance == 0) | (chance == 1)).all(-1)
    once = sure[rows] & sure[columns]
    pair = np.repeat(np.arange(len(rows)), np.where(once, 1, matches))
    devices = jax.local_devices()
    size = BLOCK * len(devices)
    padded = np.resize(pair, -(-len(pair) // size) * size).reshape(len(devices), -1, BLOCK)
    table, begin = _packed(np.asarray(automata.next), chance)
    first = np.stack([begin[rows[padded]], begin[columns[padded]]], axis=2)
    parts = [
        _totals(*jax.device_put((table, first[i], jax.random.fold_in(key, i)), device), game, inner_episodes)
        for i, device in enumerate(devices)
    ]  # dispatched, not waited for
    totals = np.concatenate([np.asarray(part) for part in parts])
    means = np.moveaxis(totals, 0, 2).reshape(2, 2, -1)[..., : len(pair)] / (game.rounds * inner_episodes)
    found = np.zeros((2, 2, len(rows), matches), np.float32)
    found[:, :, once] = means[:, :, once[pair], None]
    found[:, :, ~once] = means[:, :, ~once[pair]].reshape(2, 2, -1, matches)
    return Means(*found)


def fit(automata: Automaton) -> bool:
    """Whether a batch of automata is small enough to be packed."""
    return automata.p_cooperate.size <= MOST_PLACES


def _packed(
    following: Int[np.ndarray, "members states joint"], chance: Float[np.ndarray, "members states"]
) -> tuple[np.ndarray, np.ndarray]:
    """All automata as integers that hold a place, member * states + state, and the chance of cooperation there. The
    first array, `[places * joint]`, says where an automaton is next, by place and joint action. The second,
    `[members]`, says where each automaton begins.
    """
    members, states = chance.shape
    threshold = np.rint(chance * ONE).astype(np.int64).reshape(-1)
    packed = (np.arange(members * states) << (BITS + 1)) | threshold
    places = np.arange(members)[:, None, None] * states + following
    return packed[places.reshape(-1)].astype(np.uint32), packed[::states].astype(np.uint32)


@partial(jax.jit, static_argnames=("game", "inner_episodes"))
def _totals(
    table: Integer[Array, " entries"],
    first: Integer[Array, "blocks 2 match"],
    key: PRNGKeyArray,
    game: MatrixGame,
    inner_episodes: int,
) -> Float[Array, "blocks measure 2 match"]:
    """Sums over the rounds of the rewards, and of cooperation."""
    payoffs = jnp.stack([game.payoff_vector(seat) for seat in range(2)])

    def block(at):
        index, begin = at
        own_key = jax.random.fold_in(key, index)

        def play_round(carry, t):
            entries, rewards, cooperation = carry
            entries = jnp.where(t % game.rounds == 0, begin, entries)
            bits = jax.random.bits(jax.random.fold_in(own_key, t), begin.shape[1:], jnp.uint32)
            draws = jnp.stack([bits % ONE, bits >> (32 - BITS)])
            defects = (draws >= entries % (2 * ONE)).astype(jnp.int32)
            joint = JOINT // 2 * defects + defects[::-1]
            rewards += sum(jnp.where(joint == j, payoffs[:, j, None], 0.0) for j in range(JOINT))
            place = (entries >> (BITS + 1)).astype(jnp.int32)
            return (table[place * JOINT + joint], rewards, cooperation + (1 - defects)), None

        start = (begin, jnp.zeros(begin.shape), jnp.zeros(begin.shape, jnp.int32))
        (_, rewards, cooperation), _ = jax.lax.scan(play_round, start, jnp.arange(game.rounds * inner_episodes))
        return jnp.stack([rewards, cooperation.astype(jnp.float32)])

    return jax.lax.map(block, (jnp.arange(len(first)), first))
