"""What one defection costs a planner amid mutual cooperation: as it believes, and in fact.

Cooperation lasts where a defection costs more than a planner's noise. The cost depends on how the co-player answers,
and on what the player does then. A model can be wrong about both.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from coplayer.errors import require, require_key, require_kind, require_whole
from coplayer.games.matrix import COOPERATE, DEFECT, MatrixGame
from coplayer.play.player import Player
from coplayer.play.rollout import begin, check_players, keys_of_rounds, play_rounds
from coplayer.play.seating import Opening
from coplayer.play.tables import table_keys, tables_of
from coplayer.players.memory1 import fits_named_strategies
from coplayer.players.planner import PPIPlayer, estimate_q

PLAY, PLAN, CONTINUE = range(3)  # streams of random numbers


class Price(NamedTuple):
    """By episode, asked in its middle. A price is the rewards of cooperating less those of defecting, summed over so
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
    """Play `episodes` up to their middle. There ask `player`, in the first seat, for `plans` plans, and go on from
    either action `repetitions` times, with the same random numbers for both. Nothing ends at the last round.

    Raises `CoplayerError` where the players do not fit the game, or where the game is too short. The game must have two
    actions, of which action 0 cooperates.
    """
    require_kind("player", player, PPIPlayer)
    for name, count in (("episodes", episodes), ("plans", plans), ("repetitions", repetitions)):
        require_whole(name, count, at_least=1)
    players, tables, middle = (player, other), tables_of(game), game.rounds // 2
    require(middle >= 2, f"rounds: must be at least 4, so that two come before the middle, got {game.rounds}")
    check_players(players, game)
    require_key(key)
    require(
        fits_named_strategies(game),
        "game: the price of a defection needs a matrix game of two actions, of which action 0 cooperates",
    )

    world = tables.open(table_keys(key, episodes))
    chance = keys_of_rounds(jax.random.fold_in(key, PLAY), jnp.arange(middle), len(players))
    played = play_rounds(tables, players, world, begin(players, key, episodes), chance)
    joint = played.records.astype(jnp.int32)
    together = (game.own_action(joint) == COOPERATE) & (game.other_action(joint) == COOPERATE)
    deciding = player.see(played.states[0], tables.observe(played.world, 0))

    def gap(key: PRNGKeyArray) -> Float[Array, " episodes"]:
        q = estimate_q(player.model, deciding, key, player.settings)
        return q[COOPERATE] - q[DEFECT]

    def difference(key: PRNGKeyArray) -> Float[Array, " episodes"]:
        chance = keys_of_rounds(key, jnp.arange(player.settings.horizon), len(players))

        def rewards(action: Int[Array, ""]) -> Float[Array, " episodes"]:
            forced = Opening(player, action)
            states = (forced.with_state(played.states[0]), played.states[1])
            on = play_rounds(tables, (forced, other), played.world, states, chance)
            return on.trajectory(tables).view(0).rewards.sum(0)

        cooperating, defecting = jax.lax.map(rewards, jnp.array([COOPERATE, DEFECT]))
        return cooperating - defecting

    def mean(function, stream: int, count: int) -> Float[Array, " episodes"]:
        return jax.lax.map(function, jax.random.split(jax.random.fold_in(key, stream), count)).mean(0)

    return Price(
        peace=together[-2:].all(0),
        believed=mean(gap, PLAN, plans),
        actual=mean(difference, CONTINUE, repetitions),
    )
