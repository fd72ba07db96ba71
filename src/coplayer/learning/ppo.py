"""Proximal policy optimisation (Schulman et al. 2017) of a recurrent policy, trained through whole trajectories.

    loss = c_pi policy + c_v value - c_e entropy

Several updates are made of one batch. At each the network plays the batch's observations again from the first step, so
that the gradient runs through the whole trajectory. No hidden state is stored. Advantages and targets are computed
once, before the first update, with the weights that played the batch. They are used as they are: dividing a minibatch's
advantages by their deviation would undo the 1/B of the learning-aware estimators.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray

from coplayer.errors import require
from coplayer.learning.a2c import Losses
from coplayer.learning.optimisation import OptimiserSettings, bounded, descend
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.layers import pick
from coplayer.settings import setting


@dataclass(frozen=True)
class PPOSettings:
    """PPO"""

    epochs: int = setting(4)
    """PPO's passes over the meta-trajectories of an iteration. With 1 epoch of 1 minibatch the update is A2C's."""
    minibatches: int = setting(2)
    """Minibatches of each PPO pass; each is made of whole replicas."""
    clip: float = setting(0.2)
    """PPO's bound on the ratio of probabilities, and on the change of a value."""
    segment: int = setting(0, at_least=0)
    """Rounds of a segment, a divisor of the rounds of a meta-trajectory. Backpropagation keeps the state at the start
    of each segment alone, and plays the segments again: less memory, more time. 0: it keeps all rounds."""


class Experience(NamedTuple):
    """Whole trajectories just played, and what is to be learned from them."""

    observations: Integer[Array, "time replicas batch"] | Float[Array, "time replicas batch size"]
    actions: Integer[Array, "time replicas batch"]
    log_probabilities: Float[Array, "time replicas batch"]  # of the actions, when they were taken
    values: Float[Array, "time replicas batch"]
    advantages: Float[Array, "time replicas batch"]  # scaled so that the policy's loss is a mean over all
    targets: Float[Array, "time replicas batch"]


def losses(
    logits: Float[Array, "actions time *batch"],
    values: Float[Array, "time *batch"],
    old_log_probabilities: Float[Array, "time *batch"],
    old_values: Float[Array, "time *batch"],
    actions: Integer[Array, "time *batch"],
    advantages: Float[Array, "time *batch"],
    targets: Float[Array, "time *batch"],
    *,
    clip: float,
) -> Losses:
    """The parts of the loss, means over time and batch, to be differentiated by `logits` and `values`. They follow
    Schulman et al. 2017, equation 7, with the value clipped in the same way, as in their code:

        policy  = -min(rho A, clip(rho, 1 - clip, 1 + clip) A),      rho = pi(a | h) / pi_old(a | h)
        value   = max((V - G)^2, (V_old + clip(V - V_old, -clip, clip) - G)^2)
        entropy = H(pi(. | h)) in nats

    `old_log_probabilities` are those of `actions`, under the policy that took them. With the weights that played the
    batch the gradient of `policy` is that of A2C.
    """
    logs = jax.nn.log_softmax(logits, axis=0)
    ratio = jnp.exp(pick(logs, actions) - old_log_probabilities)
    surrogate = jnp.minimum(ratio * advantages, jnp.clip(ratio, 1 - clip, 1 + clip) * advantages)
    near = old_values + jnp.clip(values - old_values, -clip, clip)
    return Losses(
        policy=-surrogate.mean(),
        value=jnp.maximum((values - targets) ** 2, (near - targets) ** 2).mean(),
        entropy=-(jnp.exp(logs) * logs).sum(0).mean(),
    )


def total_loss(
    parts: Losses, *, value_coefficient: float, entropy_coefficient: float | Float[Array, ""]
) -> Float[Array, ""]:
    """What is minimised. Where the policy's loss should be a sum over the games of a replica, the advantages have the
    factor B already (see `coala.policy_scale`). The other two parts stay means.
    """
    return parts.policy + value_coefficient * parts.value - entropy_coefficient * parts.entropy


def minibatches(
    key: PRNGKeyArray, replicas: int, *, minibatches: int, epochs: int
) -> Int[Array, "epochs minibatches size"]:
    """Which replicas each update takes: every one once in each epoch, in an order of its own. The games of a replica
    stay together, since their advantages belong together.
    """
    require(
        minibatches >= 1 and replicas % minibatches == 0,
        f"minibatches: must divide the {replicas} replicas, got {minibatches}",
    )
    order = jax.vmap(lambda epoch: jax.random.permutation(jax.random.fold_in(key, epoch), replicas))
    return order(jnp.arange(epochs)).reshape(epochs, minibatches, -1)


def improve(
    network: ActorCritic,
    state: optax.OptState,
    experience: Experience,
    settings: PPOSettings,
    key: PRNGKeyArray,
    *,
    value_coefficient: float,
    optimiser: OptimiserSettings,
    entropy_coefficient: float | Float[Array, ""],
    learning_rate: float | Float[Array, ""],
) -> tuple[ActorCritic, optax.OptState, Losses, Float[Array, ""]]:
    """The network and the optimiser's state after all updates on one batch. Then means over the updates: of the loss's
    parts, and of the gradient's norm before its bound.
    """
    transform = bounded(optimiser)

    def update(carry, replicas: Int[Array, " size"]):
        network, state = carry

        def in_a_row(leaf: Array) -> Array:  # [time, replicas, batch, ...] -> [time, tables, ...]
            return leaf[:, replicas].reshape(len(leaf), -1, *leaf.shape[3:])

        part = jax.tree.map(in_a_row, experience)

        def loss_of(network: ActorCritic):
            parts = losses(
                *network.unroll(part.observations, segment=settings.segment),
                part.log_probabilities,
                part.values,
                part.actions,
                part.advantages,
                part.targets,
                clip=settings.clip,
            )
            total = total_loss(
                parts,
                value_coefficient=value_coefficient,
                entropy_coefficient=entropy_coefficient,
            )
            return total, parts

        slope, parts = jax.grad(loss_of, has_aux=True)(network)
        steps, state = transform.update(slope, state, network)
        return (descend(network, steps, learning_rate), state), (parts, optax.tree.norm(slope))

    order = minibatches(
        key, experience.actions.shape[1], minibatches=settings.minibatches, epochs=settings.epochs
    ).reshape(settings.epochs * settings.minibatches, -1)
    (network, state), measured = jax.lax.scan(update, (network, state), order)
    parts, norm = jax.tree.map(jnp.mean, measured)
    return network, state, parts, norm
