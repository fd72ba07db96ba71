"""Advantage actor-critic with a recurrent network, trained through whole episodes (Weis et al. 2026, A2C).

    loss = mean over rounds and episodes of   -log pi(a_t | x_t) A_t  +  c_v (V(x_t) - G_t)^2  -  c_e H(pi(. | x_t))

A_t is the generalised advantage, G_t the lambda return, both of scaled rewards and both held constant. What lies beyond
the last round is worth 0, or, with `bootstrap`, the value there. One update is made of each batch of episodes, with the
weights that played it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Integer

from coplayer.learning.optimisation import (
    LossSettings,
    OptimiserSettings,
    TrainState,
    bounded,
    descend,
    entropy_coefficient,
    lambdas,
    learning_rate,
)
from coplayer.learning.returns import Number, generalised_advantages, lambda_returns
from coplayer.networks.actor_critic import ActorCritic, Trace, replay
from coplayer.networks.layers import pick
from coplayer.settings import setting


@dataclass(frozen=True)
class A2CSettings(LossSettings):
    """Returns and loss"""

    normalised: bool = setting(False)
    """Divide the advantages by their standard deviation, separately for each kind of co-player. A standard
    deviation below 1, in unscaled reward, counts as 1."""
    bootstrap: bool = setting(False)
    """Treat an episode as part of an endless game, as PPI's planner does. The time after the last round is worth the
    network's value there, instead of 0."""


class Updating(NamedTuple):
    """How a batch of episodes becomes an update."""

    loss: A2CSettings
    optimiser: OptimiserSettings
    iterations: int  # of the whole training, over which the rate and the coefficients fall by default


class Losses(NamedTuple):
    """Means over rounds and episodes of the loss's three parts, before their coefficients."""

    policy: Float[Array, ""]
    value: Float[Array, ""]  # squared error, in scaled rewards
    entropy: Float[Array, ""]  # nats


class Batch(NamedTuple):
    """Episodes just played, in the learner's own view; the first `split` of them (static) are against learners."""

    actions: Integer[Array, "rounds batch"]
    rewards: Float[Array, "rounds batch"]  # the game's own
    beyond: Integer[Array, " batch"] | Float[Array, "batch size"]  # what is observed after the last round
    identity: Float[Array, "identity batch"]
    trace: Trace


def centre(advantages: Float[Array, "rounds batch"], split: int) -> Float[Array, "rounds batch"]:
    """Advantages less their mean, separately for the first `split` episodes and for the others. Without it the kind of
    co-player that pays more would raise the probability of whatever was done against it.
    """
    return jnp.concatenate([group - group.mean() for group in _kinds(advantages, split)], axis=1)


def normalise(advantages: Float[Array, "rounds batch"], split: int, least: float) -> Float[Array, "rounds batch"]:
    """Advantages in units of their standard deviation, or of `least` where that is more, separately likewise. A bonus
    on the entropy then weighs less, in rewards, the less outcomes differ.
    """
    return jnp.concatenate([group / jnp.maximum(group.std(), least) for group in _kinds(advantages, split)], axis=1)


def _kinds(advantages: Float[Array, "rounds batch"], split: int) -> list[Float[Array, "rounds group"]]:
    """The advantages against learners, and those against other co-players. A group of no episodes is left out."""
    return [group for group in (advantages[:, :split], advantages[:, split:]) if group.size]


def losses(
    logits: Float[Array, "actions rounds batch"],
    values: Float[Array, "rounds batch"],
    actions: Integer[Array, "rounds batch"],
    rewards: Float[Array, "rounds batch"],
    end: Float[Array, " batch"],
    split: int,
    loss: A2CSettings,
    *,
    gae_lambda: Number,
    td_lambda: Number,
) -> Losses:
    """The parts of the loss, to be differentiated by `logits` and `values`. `rewards` are the game's, unscaled; `end`
    is what lies beyond the last round, in scaled rewards. The two lambdas take the place of those of `loss`.
    """
    rewards, fixed = loss.reward_scale * rewards, jax.lax.stop_gradient(values)
    advantages = generalised_advantages(rewards, fixed, end, gamma=loss.gamma, lambda_=gae_lambda)
    targets = lambda_returns(rewards, fixed, end, gamma=loss.gamma, lambda_=td_lambda)
    if loss.centred:
        advantages = centre(advantages, split)
    if loss.normalised:
        advantages = normalise(advantages, split, loss.reward_scale)
    logs = jax.nn.log_softmax(logits, axis=0)
    return Losses(
        policy=-(pick(logs, actions) * advantages).mean(),
        value=((values - targets) ** 2).mean(),
        entropy=-(jnp.exp(logs) * logs).sum(0).mean(),
    )


def value_beyond(network: ActorCritic, batch: Batch) -> Float[Array, " batch"]:
    """The value after the last round, with its outcome observed."""
    last = jax.tree.map(lambda leaf: leaf[-1], batch.trace.state)
    return network.step(last, batch.beyond).outputs[-1]


def gradient(
    network: ActorCritic, batch: Batch, split: int, updating: Updating, iteration: Int[Array, ""]
) -> tuple[ActorCritic, Losses]:
    """Gradient of the loss by the network's weights, through whole episodes; and the loss's parts."""
    loss = updating.loss
    end = value_beyond(network, batch) if loss.bootstrap else jnp.zeros(batch.rewards.shape[1:])
    gae_lambda, td_lambda = lambdas(updating.loss, updating.optimiser.annealing, iteration)
    bonus = entropy_coefficient(loss, updating.optimiser.annealing, updating.iterations)(iteration)

    def loss_of(network: ActorCritic):
        logits, values = replay(network, batch.identity, batch.trace)
        parts = losses(
            logits,
            values,
            batch.actions,
            batch.rewards,
            end,
            split,
            loss,
            gae_lambda=gae_lambda,
            td_lambda=td_lambda,
        )
        return parts.policy + loss.value_coefficient * parts.value - bonus * parts.entropy, parts

    return jax.grad(loss_of, has_aux=True)(network)


def update(
    learner: TrainState, batch: Batch, split: int, updating: Updating, iteration: Int[Array, ""]
) -> tuple[TrainState, Losses, Float[Array, ""]]:
    """The learner after one update, the loss's parts, and the gradient's norm before its bound."""
    slope, parts = gradient(learner.network, batch, split, updating, iteration)
    steps, state = bounded(updating.optimiser).update(slope, learner.optimiser, learner.network)
    rate = learning_rate(updating.optimiser, updating.iterations)(iteration)
    return TrainState(descend(learner.network, steps, rate), state), parts, optax.tree.norm(slope)
