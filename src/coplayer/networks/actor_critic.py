"""Recurrent actor-critic (Weis et al. 2026, model-free learner): observations in, policy and value out.

One recurrent step a round, on the one-hot observation alone. Where the network has a context (the ablation in which the
co-player is named), a vector joins the first round's observation; in all later rounds its place holds zeros.

Every array has the batch on its last axis. Playing keeps what the network computed, as a `Trace`; `replay` gives it
back as a differentiable function of the weights. So an update costs one forward pass, the one that played, and one
backward pass.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.games.matrix import MatrixGame
from coplayer.networks.gru import GRU, Gates
from coplayer.networks.layers import new_linear


class Trace(NamedTuple):
    """What the network computed in a round; with a leading axis of time, in an episode. Outputs are the logits of the
    policy and, last, the value.
    """

    observation: Int[Array, "*time batch"]
    state: Float[Array, "*time hidden batch"]
    gates: Gates
    outputs: Float[Array, "*time outputs batch"]


class ActorCritic(eqx.Module):
    """A GRU with two linear heads on its swished state: logits of the policy, and the value of the state."""

    gru: GRU
    head_weights: Float[Array, "outputs hidden"]
    head_bias: Float[Array, " outputs"]
    game: MatrixGame = eqx.field(static=True)
    context: int = eqx.field(static=True)

    def __init__(self, game: MatrixGame, hidden: int, *, context: int = 0, key: PRNGKeyArray):
        """`context`: length of the vector that the first round's input may hold beside the observation; 0: none."""
        self.game = game
        self.context = context
        self.gru = GRU(game.num_observations + context, hidden, key=jax.random.fold_in(key, 0))
        self.head_weights, self.head_bias = new_linear(jax.random.fold_in(key, 1), hidden, game.num_actions + 1)

    def initial_state(self, batch: int) -> Float[Array, "hidden batch"]:
        """The recurrent state before the first observation."""
        return jnp.zeros((self.gru.hidden, batch))

    def no_context(self, batch: int) -> Float[Array, "context batch"]:
        """What a learner is named by, and what every round but the first has: zeros."""
        return jnp.zeros((self.context, batch))

    def step(
        self,
        state: Float[Array, "hidden batch"],
        observation: Int[Array, " batch"],
        context: Float[Array, "context batch"],
    ) -> Trace:
        """One round: the state after `observation`, and the outputs there."""
        state, gates = self.gru.column_step(state, self._inputs(observation, context))
        return Trace(observation, state, gates, _heads(self.head_weights, self.head_bias, state))

    def _inputs(self, observation, context):
        choices = jnp.arange(self.game.num_observations)
        return jnp.concatenate([(observation == choices[:, None]).astype(jnp.float32), context])


def _heads(weights, bias, state):
    return weights @ jax.nn.silu(state) + bias[:, None]


@jax.custom_vjp
def replay(
    network: ActorCritic, context: Float[Array, "context batch"], trace: Trace
) -> tuple[Float[Array, "actions time batch"], Float[Array, "time batch"]]:
    """Logits of the policy and values V of the episodes in `trace`, which `network.step` gave with these weights, from
    START on, `context` in the first round. Differentiable by `network` alone, through the whole episode.
    """
    return jnp.moveaxis(trace.outputs[:, :-1], 1, 0), trace.outputs[:, -1]


def _replay_forward(network, context, trace):
    return replay(network, context, trace), (network, context, trace)


def _replay_backward(residuals, bars):
    """One scan backward in time, which adds up the weights' gradients as it goes: nothing as long as the episode is
    written, and at the widths of interest the sums stay in cache.
    """
    network, context, trace = residuals
    logits_bar, values_bar = bars
    outputs_bar = jnp.concatenate([jnp.moveaxis(logits_bar, 0, 1), values_bar[:, None]], axis=1)
    batch = context.shape[1]
    before = jnp.concatenate([network.initial_state(batch)[None], trace.state[:-1]])
    first = jnp.arange(len(before)) == 0

    def step(carry, at):
        gradient, state_bar = carry
        output_bar, before, now, first = at
        _, heads_vjp = jax.vjp(_heads, network.head_weights, network.head_bias, now.state)
        weights_bar, bias_bar, here_bar = heads_vjp(output_bar)
        inputs = network._inputs(now.observation, jnp.where(first, context, 0.0))
        gru_bar, before_bar = network.gru.column_step_backward(state_bar + here_bar, before, inputs, now.gates)
        return (jax.tree.map(jnp.add, gradient, (gru_bar, weights_bar, bias_bar)), before_bar), None

    parts = (network.gru, network.head_weights, network.head_bias)
    start = (jax.tree.map(jnp.zeros_like, parts), network.initial_state(batch))
    (gradient, _), _ = jax.lax.scan(step, start, (outputs_bar, before, trace, first), reverse=True)
    network_bar = eqx.tree_at(lambda n: (n.gru, n.head_weights, n.head_bias), network, gradient)
    return network_bar, None, None


replay.defvjp(_replay_forward, _replay_backward)
