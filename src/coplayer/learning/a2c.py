"""Advantage actor-critic with a recurrent network, trained through whole episodes (Weis et al. 2026, A2C).

    loss = mean over rounds and episodes of   -log pi(a_t | x_t) A_t  +  c_v (V(x_t) - G_t)^2  -  c_e H(pi(. | x_t))

A_t is the generalised advantage, G_t the lambda return, both of scaled rewards and both held constant. What lies beyond
the last round is worth 0, or, with `bootstrap`, the value there. One update is made of each batch of episodes, with the
weights that played it.
"""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.games.matrix import observe
from coplayer.learning.returns import generalised_advantages, lambda_returns
from coplayer.networks.actor_critic import ActorCritic, Trace, replay
from coplayer.networks.layers import pick
from coplayer.players.match import Player

ADAM_EPSILON = 1e-5


class LearnerState(NamedTuple):
    """All that one learner carries; a pytree, so learners and seeds are further axes."""

    network: ActorCritic
    optimiser: optax.OptState
    key: PRNGKeyArray  # constant: every draw is a function of it and of the iteration
    frozen: Player | None = None  # whom it meets instead of tabular players


class Schedule(NamedTuple):
    """A number that goes from `start` to `start * end` in `iterations` from iteration `begin` on, and stays there."""

    start: float
    end: float  # as a share of `start`
    iterations: int
    shape: Literal["linear", "cosine"]
    begin: int = 0

    def at(self, iteration: Int[Array, ""]) -> Float[Array, ""]:
        progress = jnp.clip((iteration - self.begin) / self.iterations, 0.0, 1.0)
        left = 1 - progress if self.shape == "linear" else 0.5 * (1 + jnp.cos(jnp.pi * progress))
        return self.start * (self.end + (1 - self.end) * left)


def constant(value: float) -> Schedule:
    """A number that stays as it is."""
    return Schedule(value, 1.0, 1, "linear")


class Updating(NamedTuple):
    """How a batch of episodes becomes an update."""

    gamma: float
    gae_lambda: float | Float[Array, ""]  # of the advantages
    td_lambda: float | Float[Array, ""]  # of the value's targets
    reward_scale: float  # of the rewards in the losses only
    centred: bool  # advantages, separately by the kind of co-player
    value_coefficient: float
    entropy: Schedule
    learning_rate: Schedule
    max_gradient_norm: float
    bootstrap: bool = False  # an episode is part of an endless game: beyond its last round lies the value there
    lambda_gap: Schedule = constant(1.0)  # factor on what both lambdas lack of 1
    normalised: bool = False  # advantages in units of their deviation, separately by the kind of co-player

    def at(self, iteration: Int[Array, ""]) -> "Updating":
        """The same with the two lambdas of an iteration."""
        if self.lambda_gap.end == 1.0:
            return self
        gap = self.lambda_gap.at(iteration)
        return self._replace(gae_lambda=1 - gap * (1 - self.gae_lambda), td_lambda=1 - gap * (1 - self.td_lambda))


class Losses(NamedTuple):
    """Means over rounds and episodes of the loss's three parts, before their coefficients."""

    policy: Float[Array, ""]
    value: Float[Array, ""]  # squared error, in scaled rewards
    entropy: Float[Array, ""]  # nats


class Batch(NamedTuple):
    """Episodes just played, in the learner's own view; the first `split` ones (static) are against the learner."""

    joint: Int[Array, "rounds batch"]
    rewards: Float[Array, "rounds batch"]  # the game's own
    context: Float[Array, "context batch"]
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
    """Those of the episodes against the learner and of the others, where there are any."""
    return [group for group in (advantages[:, :split], advantages[:, split:]) if group.size]


def losses(
    logits: Float[Array, "actions rounds batch"],
    values: Float[Array, "rounds batch"],
    actions: Int[Array, "rounds batch"],
    rewards: Float[Array, "rounds batch"],
    end: Float[Array, " batch"],
    split: int,
    updating: Updating,
) -> Losses:
    """The parts of the loss, to be differentiated by `logits` and `values`. `rewards` are the game's, unscaled; `end`
    is what lies beyond the last round, in scaled rewards.
    """
    rewards, fixed = updating.reward_scale * rewards, jax.lax.stop_gradient(values)
    advantages = generalised_advantages(rewards, fixed, end, gamma=updating.gamma, lambda_=updating.gae_lambda)
    targets = lambda_returns(rewards, fixed, end, gamma=updating.gamma, lambda_=updating.td_lambda)
    if updating.centred:
        advantages = centre(advantages, split)
    if updating.normalised:
        advantages = normalise(advantages, split, updating.reward_scale)
    logs = jax.nn.log_softmax(logits, axis=0)
    return Losses(
        policy=-(pick(logs, actions) * advantages).mean(),
        value=((values - targets) ** 2).mean(),
        entropy=-(jnp.exp(logs) * logs).sum(0).mean(),
    )


def value_beyond(network: ActorCritic, batch: Batch) -> Float[Array, " batch"]:
    """The value after the last round, with its outcome observed."""
    last = jax.tree.map(lambda leaf: leaf[-1], batch.trace.state)
    return network.step(last, observe(batch.joint[-1])).outputs[-1]


def optimiser(max_gradient_norm: float) -> optax.GradientTransformation:
    """Adam behind a bound on the gradient's norm, for a unit learning rate (see `descend`)."""
    return optax.chain(optax.clip_by_global_norm(max_gradient_norm), optax.scale_by_adam(eps=ADAM_EPSILON))


def descend(network: ActorCritic, steps: ActorCritic, learning_rate: float | Float[Array, ""]) -> ActorCritic:
    """The network after the optimiser's steps against the gradient."""
    return eqx.apply_updates(network, jax.tree.map(lambda step: -learning_rate * step, steps))


def gradient(
    network: ActorCritic, batch: Batch, split: int, updating: Updating, entropy_coefficient: Float[Array, ""]
) -> tuple[ActorCritic, Losses]:
    """Gradient of the loss by the network's weights, through whole episodes; and the loss's parts."""
    end = value_beyond(network, batch) if updating.bootstrap else jnp.zeros(batch.rewards.shape[1:])

    def loss_of(network: ActorCritic):
        logits, values = replay(network, batch.context, batch.trace)
        parts = losses(logits, values, network.game.own_action(batch.joint), batch.rewards, end, split, updating)
        total = parts.policy + updating.value_coefficient * parts.value - entropy_coefficient * parts.entropy
        return total, parts

    return jax.grad(loss_of, has_aux=True)(network)


def update(
    learner: LearnerState, batch: Batch, split: int, updating: Updating, iteration: Int[Array, ""]
) -> tuple[LearnerState, Losses, Float[Array, ""]]:
    """The learner after one update, the loss's parts, and the gradient's norm before its bound."""
    slope, parts = gradient(learner.network, batch, split, updating.at(iteration), updating.entropy.at(iteration))
    steps, state = optimiser(updating.max_gradient_norm).update(slope, learner.optimiser, learner.network)
    network = descend(learner.network, steps, updating.learning_rate.at(iteration))
    return learner._replace(network=network, optimiser=state), parts, optax.tree.norm(slope)
