"""Sampled LOLA-DiCE of recurrent agents in a matrix game (Foerster et al. 2018b; Meulemans et al. 2025, section 5).

The mathematics is that of `learning.lola`, for any players and any game; here are the game's two functions, an
`ActorCritic` on each side. All rewards are mean rewards a round.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from coplayer.learning import lola
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.layers import pick
from coplayer.players.match import play_match
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools.shaping import observations


class Lookahead(NamedTuple):
    """What an agent takes its co-player's learning for."""

    steps: int  # naive steps that it looks ahead
    rate: float  # their step size, on the co-player's reward a round
    share: float  # weight of the look-ahead's gradient; the rest is the plain gradient's
    gamma: float
    learner_gamma: float  # the co-player's
    reward_scale: float  # factor on the rewards that the networks' values are fitted to


def course(
    own: ActorCritic, other: ActorCritic, joint: Int[Array, "rounds batch"], *, reward_scale: float
) -> lola.Course:
    """What inner episodes, in one's own view, mean to both players; differentiable by both networks, twice. Each one's
    value head gives its baselines.
    """
    game = own.game
    logs, rewards, baselines = [], [], []
    for player, (network, view) in enumerate(((own, joint), (other, game.swap(joint)))):
        logits, values = network.unroll(observations(view, game.rounds))
        logs.append(pick(jax.nn.log_softmax(logits, axis=0), game.own_action(view)))
        rewards.append(game.reward(view, player) / game.rounds)
        baselines.append(values / (reward_scale * game.rounds))
    return lola.Course(*map(jnp.stack, (logs, rewards, baselines)))


def gradient(
    own: ActorCritic, others: ActorCritic, key: PRNGKeyArray, *, batch: int, lookahead: Lookahead
) -> ActorCritic:
    """The direction to climb for one's reward a round, mean over the co-players; each leaf of `others` has a leading
    axis of these. Every learning step, and the play after the last, takes `batch` new episodes of `own.game.rounds`
    rounds, which both players begin without a memory.
    """

    def sample(key: PRNGKeyArray, own: ActorCritic, other: ActorCritic) -> Int[Array, "rounds batch"]:
        played = play_match(RecurrentPlayer(own), RecurrentPlayer(other), own.game, key, episodes=batch)
        return played.astype(jnp.int32)

    def evaluate(own: ActorCritic, other: ActorCritic, joint: Int[Array, "rounds batch"]) -> lola.Course:
        return course(own, other, joint, reward_scale=lookahead.reward_scale)

    def one(other: ActorCritic, key: PRNGKeyArray) -> ActorCritic:
        ahead_key, plain_key = jax.random.split(key)
        ahead = lola.lookahead(
            sample,
            evaluate,
            ahead_key,
            own,
            other,
            steps=lookahead.steps,
            rate=lookahead.rate,
            gamma=lookahead.gamma,
            learner_gamma=lookahead.learner_gamma,
        )
        share = lookahead.share
        if share == 1:
            return ahead
        plain = jax.grad(partial(lola.sampled_objective, sample, evaluate, plain_key))(
            own, other, player=0, gamma=lookahead.gamma
        )
        return jax.tree.map(lambda ahead, plain: share * ahead + (1 - share) * plain, ahead, plain)

    keys = jax.random.split(key, jax.tree.leaves(others)[0].shape[0])
    return jax.tree.map(lambda leaf: leaf.mean(0), jax.vmap(one)(others, keys))
