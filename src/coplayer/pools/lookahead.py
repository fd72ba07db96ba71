"""Sampled LOLA-DiCE of recurrent agents (Foerster et al. 2018b; Meulemans et al. 2025, section 5), in any two-player
game.

The mathematics is that of `learning.lola`, for any players and any game; here are the game's two functions, with an
`ActorCritic` on each side. All rewards are mean rewards per round.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from coplayer.games.game import Game
from coplayer.learning import lola
from coplayer.learning.lola import LookaheadSettings
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.layers import pick
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import Trajectory
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.settings import setting


@dataclass(frozen=True)
class DiceSettings(LookaheadSettings):
    """Look-ahead: for lola_dice. Each step is on new inner episodes. A Hawk needs a small step size."""

    lookahead_share: float = setting(1.0, at_least=0, at_most=1)
    """Weight of the look-ahead's gradient in lola_dice; the rest is the plain gradient's."""


def course(
    game: Game, own: ActorCritic, other: ActorCritic, trajectory: Trajectory, *, reward_scale: float
) -> lola.Course:
    """What inner episodes mean to both players; differentiable by both networks, twice. Each one's value head, fitted
    to rewards times `reward_scale`, gives its baselines.
    """
    logs, rewards, baselines = [], [], []
    for player, network in enumerate((own, other)):
        view = trajectory.view(player)
        logits, values = network.unroll(view.observations)
        logs.append(pick(jax.nn.log_softmax(logits, axis=0), view.actions))
        rewards.append(view.rewards / game.rounds)
        baselines.append(values / (reward_scale * game.rounds))
    return lola.Course(*map(jnp.stack, (logs, rewards, baselines)))


def gradient(
    game: Game,
    own: ActorCritic,
    others: ActorCritic,
    key: PRNGKeyArray,
    *,
    batch: int,
    lookahead: DiceSettings,
    gamma: float,
    learner_gamma: float,
    reward_scale: float,
) -> ActorCritic:
    """The direction to climb for the own reward per round, mean over the co-players; each leaf of `others` has a
    leading axis of these. Every learning step, and the play after the last, takes `batch` new episodes, which both
    players begin without a memory. `learner_gamma`: the co-player's discount.
    """

    def sample(key: PRNGKeyArray, own: ActorCritic, other: ActorCritic) -> Trajectory:
        return play_match((RecurrentPlayer(own), RecurrentPlayer(other)), game, key, episodes=batch)

    def evaluate(own: ActorCritic, other: ActorCritic, trajectory: Trajectory) -> lola.Course:
        return course(game, own, other, trajectory, reward_scale=reward_scale)

    def one(other: ActorCritic, key: PRNGKeyArray) -> ActorCritic:
        ahead_key, plain_key = jax.random.split(key)
        ahead = lola.lookahead(
            sample,
            evaluate,
            ahead_key,
            own,
            other,
            steps=lookahead.lookaheads,
            rate=lookahead.lookahead_rate,
            gamma=gamma,
            learner_gamma=learner_gamma,
        )
        share = lookahead.lookahead_share
        if share == 1:
            return ahead
        plain = jax.grad(partial(lola.sampled_objective, sample, evaluate, plain_key))(
            own, other, player=0, gamma=gamma
        )
        return jax.tree.map(lambda ahead, plain: share * ahead + (1 - share) * plain, ahead, plain)

    keys = jax.random.split(key, jax.tree.leaves(others)[0].shape[0])
    return jax.tree.map(lambda leaf: leaf.mean(0), jax.vmap(one)(others, keys))
