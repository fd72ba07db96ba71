"""How well a player that predicts knows a stranger, round by round, beside an observer who knows the whole pool.

The strangers are finite automata. So what a stranger will do is known exactly in every round: with the probability
P(a | h) after the history h. The excess loss of a prediction p is KL(P(. | h) || p(. | h)), in nats. It is 0 for who
knows the stranger. The observer knows the pool, not the stranger, and infers by Bayes' rule. In the mean over the pool
nobody who has seen the same rounds predicts better.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from coplayer.analysis.predictive_equilibrium import divergence
from coplayer.errors import require, require_key, require_kind, require_whole
from coplayer.games.matrix import MatrixGame
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import observations
from coplayer.players.automaton import Members
from coplayer.players.planner import PPIPlayer
from coplayer.pools import strangers
from coplayer.pools.strangers import Pool, StrangerPool


class ExcessLoss(NamedTuple):
    """Mean excess loss by round, in nats."""

    player: Float[np.ndarray, " rounds"]
    observer: Float[np.ndarray, " rounds"]  # who knows the pool


def of_strangers(
    members: Members, joint: Integer[Array, "rounds batch"], game: MatrixGame
) -> Float[Array, "rounds actions batch"]:
    """P(action | rounds before) of the automaton at each table. `joint`: episodes in the co-player's view."""
    automata, numbers = members.automata, members.members

    def step(state, both):
        chance = automata.p_cooperate[numbers, state]
        return automata.next[numbers, state, both], jnp.stack([chance, 1 - chance])

    return jax.lax.scan(step, jnp.zeros_like(numbers), game.swap(joint.astype(jnp.int32)))[1]


def of_player(player: PPIPlayer, joint: Integer[Array, "rounds batch"]) -> Float[Array, "rounds actions batch"]:
    """The logarithm of what the player's model predicts of its co-player's next action, given its own. `joint`:
    episodes in the player's view.
    """
    joint = joint.astype(jnp.int32)
    own = player.model.game.own_action(joint)

    def step(state, at):
        observation, action = at
        state = player.see(state, observation)
        return state, player.model.reply_logs(state, action)

    begin = player.model.initial_state(joint.shape[1])
    return jax.lax.scan(step, begin, (observations(joint, len(joint)), own))[1]


def excess_loss_by_round(
    player: Player, game: MatrixGame, pool: Pool, key: PRNGKeyArray, *, episodes: int = 1024
) -> ExcessLoss:
    """The player meets a fresh stranger of the pool in each of `episodes` matches, and sits in seat 0.

    Raises `CoplayerError` for another player than a planner, and for a pool of which no exact inference is known (see
    `pools.strangers.predictive`).
    """
    require_kind("player", player, PPIPlayer)
    require_key(key)
    require_whole("episodes", episodes, at_least=1)
    require(isinstance(pool, StrangerPool), "pool: must be a pool of automata, as pools.strangers.pool_of makes it")
    drawing, playing = jax.random.split(key)
    members = strangers.draw(drawing, game, episodes, pool)
    joint = play_match((player, members), game, playing, episodes=episodes).joint
    return ExcessLoss(*(np.asarray(loss, float) for loss in _losses(player, game, pool, members, joint)))


@eqx.filter_jit
def _losses(player, game, pool, members, joint):
    truth = jnp.moveaxis(of_strangers(members, joint, game), 1, 0)
    observed = jnp.moveaxis(strangers.predictive(joint, game, pool), 1, 0)
    predicted = jnp.moveaxis(of_player(player, joint), 1, 0)
    return [divergence(truth, logs).mean(1) for logs in (predicted, jnp.log(observed))]
