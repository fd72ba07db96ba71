"""What one defection costs a planner amid mutual cooperation: as it believes, and in fact.

Cooperation lasts where a defection costs more than a planner's noise. What it costs is decided by how the co-player
answers and by what the player does then; a model can be wrong about both.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from coplayer.errors import require
from coplayer.games.matrix import COOPERATE, DEFECT, MatrixGame
from coplayer.players.match import Player
from coplayer.players.planner import PPIPlayer, estimate_q

PLAY, PLAN, CONTINUE = range(3)  # streams of random numbers


class Price(NamedTuple):
    """By episode, asked in its middle; a price is the rewards of cooperating less those of defecting, summed over so
    many rounds as the planner looks ahead, this one included.
    """

    peace: Bool[Array, " episodes"]  # whether both cooperated in the last two rounds: where the prices mean something
    believed: Float[Array, " episodes"]  # Q(cooperate) - Q(defect) of the planner, mean over its plans
    actual: Float[Array, " episodes"]  # with both players going on as they do, mean over repetitions


@eqx.filter_jit
def price_of_defection(
    player: PPIPlayer,
    other: Player,
    game: MatrixGame,
    key: PRNGKeyArray,
    *,
    episodes: int,
    plans: int = 32,
    repetitions: int = 8,
) -> Price:
    """Play `episodes` up to their middle; there ask `player`, in the first seat, for `plans` plans, and go on from
    either action `repetitions` times, with the same random numbers for both. Nothing ends at the last round.
    """
    middle = game.rounds // 2
    require(middle >= 2, f"rounds: must be at least 4, so that two come before the middle, got {game.rounds}")

    def play(states, key: PRNGKeyArray, first: Array | None, rounds: int):
        def step(states, index):
            own_state, other_state = states
            keys = jax.random.split(jax.random.fold_in(key, index))
            own, answer = player.act(own_state, keys[0]), other.act(other_state, keys[1])
            if first is not None:
                own = jnp.where(index == 0, first, own)
            joint = game.joint(own, answer)
            seen = game.swap(joint)
            own_state = player.update(own_state, joint, game.reward(joint, 0))
            return (own_state, other.update(other_state, seen, game.reward(seen, 1))), joint

        return jax.lax.scan(step, states, jnp.arange(rounds))

    start = (player.initial_state(episodes), other.initial_state(episodes))
    states, joint = play(start, jax.random.fold_in(key, PLAY), None, middle)
    together = (game.own_action(joint) == COOPERATE) & (game.other_action(joint) == COOPERATE)

    def gap(key: PRNGKeyArray) -> Float[Array, " episodes"]:
        q = estimate_q(player.model, states[0], key, player.settings)
        return q[COOPERATE] - q[DEFECT]

    def difference(key: PRNGKeyArray) -> Float[Array, " episodes"]:
        def rewards(first: Array) -> Float[Array, " episodes"]:
            return game.reward(play(states, key, first, player.settings.horizon)[1]).sum(0)

        cooperating, defecting = jax.lax.map(rewards, jnp.array([COOPERATE, DEFECT]))
        return cooperating - defecting

    def mean(function, stream: int, count: int) -> Float[Array, " episodes"]:
        return jax.lax.map(function, jax.random.split(jax.random.fold_in(key, stream), count)).mean(0)

    return Price(
        peace=together[-2:].all(0),
        believed=mean(gap, PLAN, plans),
        actual=mean(difference, CONTINUE, repetitions),
    )
