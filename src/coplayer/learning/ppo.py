"""Proximal policy optimisation (Schulman et al. 2017) of a recurrent policy, trained through whole trajectories.

    loss = c_pi policy + c_v value - c_e entropy

Several updates are made of one batch. At each the network plays the batch's observations again from the first step, so
that the gradient runs through the whole trajectory; no hidden state is stored. Advantages and targets are computed
once, before the first update, with the weights that played the batch. They are used as they are: dividing a
minibatch's advantages by their deviation would undo the 1/B of the learning-aware estimators.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import require
from coplayer.learning.a2c import Losses
from coplayer.networks.layers import pick


def losses(
    logits: Float[Array, "actions time *batch"],
    values: Float[Array, "time *batch"],
    old_log_probabilities: Float[Array, "time *batch"],
    old_values: Float[Array, "time *batch"],
    actions: Int[Array, "time *batch"],
    advantages: Float[Array, "time *batch"],
    targets: Float[Array, "time *batch"],
    *,
    clip: float,
) -> Losses:
    """The parts of the loss, means over time and batch, to be differentiated by `logits` and `values` (Schulman et al.
    2017, equation 7; the value clipped in the same way, as in their code):

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
    parts: Losses, *, policy_scale: float, value_coefficient: float, entropy_coefficient: float
) -> Float[Array, ""]:
    """What is minimised. `policy_scale` is `coala.policy_scale` where the batch is games times replicas: the policy's
    part is then a sum over the games of a replica and a mean over replicas, the other two stay means.
    """
    return policy_scale * parts.policy + value_coefficient * parts.value - entropy_coefficient * parts.entropy


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
