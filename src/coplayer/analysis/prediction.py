"""How well a player that predicts knows a stranger, round by round, beside an observer who knows the whole pool.

The strangers are memory-1 players or finite automata. So what a stranger will do after the history h is known exactly:
with the probability P(a | h). The excess loss of a prediction p is KL(P(. | h) || p(. | h)), in nats. It is 0 for who
knows the stranger. The observer knows the pool, not the stranger, and infers by Bayes' rule. In the mean over the pool
nobody who has seen the same rounds predicts better.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from coplayer.analysis.predictive_equilibrium import divergence
from coplayer.errors import require_key, require_kind, require_whole
from coplayer.games.matrix import MatrixGame
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import observations
from coplayer.players.automaton import Members
from coplayer.players.memory1 import TabularPlayers, rows
from coplayer.players.planner import PPIPlayer
from coplayer.pools import strangers


class ExcessLoss(NamedTuple):
    """Mean excess prediction loss in each round, in nats."""

    player: Float[np.ndarray, " rounds"]
    observer: Float[np.ndarray, " rounds"]
    """Of an observer who knows the pool, and infers the stranger by Bayes' rule."""


def excess_loss_by_round(
    player: Player,
    game: MatrixGame,
    pool: Sequence[str],
    key: PRNGKeyArray,
    *,
    noise: float = 0.0,
    episodes: int = 1024,
) -> ExcessLoss:
    """The excess prediction loss of a player against strangers, by round (Weis et al. 2026, appendix C). The player
    sits in seat 0, and meets a fresh stranger of the pool in each of `episodes` episodes.

    `pool`: words as for `--pool`. `noise`: the probability that a stranger does not do what it chose.

    Raises `CoplayerError` for another player than a planner, and for a pool of which no exact inference is known. Such
    pools have fresh automata or mutants, or noise beside fresh or memory-1 players.
    """
    require_kind("player", player, PPIPlayer)
    require_kind("game", game, MatrixGame)
    require_key(key)
    require_whole("episodes", episodes, at_least=1)
    player.check(game)
    drawn = strangers.pool_of(tuple(pool), game, noise)
    drawing, playing = jax.random.split(key)
    met = strangers.draw(drawing, game, episodes, drawn)
    joint = play_match((player, met), game, playing, episodes=episodes).joint
    return ExcessLoss(*(np.asarray(loss, float) for loss in _losses(player, game, drawn, met, joint)))


@eqx.filter_jit
def _losses(player, game, pool, met, joint):
    truth = jnp.moveaxis(of_strangers(met, joint, game), 1, 0)
    predictions = of_player(player, joint), jnp.log(strangers.predictive(joint, game, pool))
    return [divergence(truth, jnp.moveaxis(logs, 1, 0)).mean(1) for logs in predictions]


def of_strangers(
    met: TabularPlayers | Members, joint: Integer[Array, "rounds batch"], game: MatrixGame
) -> Float[Array, "rounds actions batch"]:
    """P(action | rounds before) of the stranger at each table. `joint`: episodes in the co-player's view."""
    joint = game.swap(joint.astype(jnp.int32))
    if isinstance(met, TabularPlayers):
        return jax.vmap(rows, in_axes=(None, 0))(met.tables, observations(joint, game.rounds))
    automata, numbers = met.automata, met.members

    def step(state, both):
        chance = automata.p_cooperate[numbers, state]
        return automata.next[numbers, state, both], jnp.stack([chance, 1 - chance])

    return jax.lax.scan(step, jnp.zeros_like(numbers), joint)[1]


def of_player(player: PPIPlayer, joint: Integer[Array, "rounds batch"]) -> Float[Array, "rounds actions batch"]:
    """The logarithm of what the player's model predicts of its co-player's next action, given its own. `joint`:
    episodes in the player's view.
    """
    own = player.model.game.own_action(joint.astype(jnp.int32))
    return jax.lax.map(lambda at: player.model.reply_logs(*at), (player.states_along(joint), own))
