"""What one defection costs a planner amid mutual cooperation: as it believes, and in fact.

Cooperation lasts where a defection costs more than a planner's noise. What it costs is decided by how the co-player
answers and by what the player does then; a model can be wrong about both.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from coplayer.errors import require
from coplayer.games.matrix import COOPERATE, DEFECT, MatrixGame
from coplayer.players.match import Player, play_rounds
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

    start = (player.initial_state(episodes), other.initial_state(episodes))
    states, joint = play_rounds(player, other, game, start, jax.random.fold_in(key, PLAY), jnp.arange(middle))
    together = (game.own_action(joint) == COOPERATE) & (game.other_action(joint) == COOPERATE)

    def gap(key: PRNGKeyArray) -> Float[Array, " episodes"]:
        q = estimate_q(player.model, states[0], key, player.settings)
        return q[COOPERATE] - q[DEFECT]

    def difference(key: PRNGKeyArray) -> Float[Array, " episodes"]:
        def rewards(opening: Int[Array, ""]) -> Float[Array, " episodes"]:
            rounds = jnp.arange(player.settings.horizon)
            return game.reward(play_rounds(player, other, game, states, key, rounds, opening)[1]).sum(0)

        cooperating, defecting = jax.lax.map(rewards, jnp.array([COOPERATE, DEFECT]))
        return cooperating - defecting

    def mean(function, stream: int, count: int) -> Float[Array, " episodes"]:
        return jax.lax.map(function, jax.random.split(jax.random.fold_in(key, stream), count)).mean(0)

    return Price(
        peace=together[-2:].all(0),
        believed=mean(gap, PLAN, plans),
        actual=mean(difference, CONTINUE, repetitions),
    )
