"""Recurrent actor-critic (Weis et al. 2026, model-free learner): observations in, policy and value out.

One recurrent step per round, on the observation alone (see `networks.encoders`). Where the network has a context (the
ablation in which the co-player is named), a vector joins the first round's observation. In all later rounds zeros take
its place.

Observations, contexts and outputs have the batch on their last axis. There are two ways to train on an episode:

* `replay` of a `Trace`, with the weights that played it. A GRU's trace holds all that its backward pass needs, so an
  update costs one forward pass, the one that played, and one backward pass. Other cores are run again.
* `unroll`, with whatever weights: it runs the network over the observations.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray, PyTree

from coplayer.games.game import Game, Symbol, Vector
from coplayer.networks.core import OnCore, new_core
from coplayer.networks.encoders import Observations, encode
from coplayer.networks.gru import GRU, Gates
from coplayer.networks.layers import new_linear

Sequences = Integer[Array, "time batch"] | Float[Array, "time batch size"]
Outputs = tuple[Float[Array, "actions time batch"], Float[Array, "time batch"]]


class Trace(NamedTuple):
    """What the network computed in a round; with a leading axis of time, in an episode. Outputs are the logits of the
    policy and, last, the value. A GRU's state is `[hidden, batch]`.
    """

    observation: Integer[Array, "*time batch"] | Float[Array, "*time batch size"]
    state: PyTree
    gates: Gates | None  # of a GRU
    outputs: Float[Array, "*time outputs batch"]


class ActorCritic(OnCore):
    """A recurrent core with two linear heads on its features: logits of the policy, and the value."""

    head_weights: Float[Array, "outputs hidden"]
    head_bias: Float[Array, " outputs"]
    observation: Symbol | Vector = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)
    context: int = eqx.field(static=True)

    def __init__(
        self,
        game: Game,
        hidden: int,
        *,
        core: str = "gru",
        context: int = 0,
        zero_heads: bool = False,
        key: PRNGKeyArray,
    ):
        """`context`: length of the vector that the first round's input may hold beside the observation; 0: none.
        `zero_heads`: the heads' weights start at 0, so the policy is uniform and the value 0.
        """
        super().__init__(new_core(core, game.observation.size + context, hidden, jax.random.fold_in(key, 0)))
        self.observation = game.observation
        self.num_actions = game.num_actions
        self.context = context
        weights, self.head_bias = new_linear(jax.random.fold_in(key, 1), hidden, game.num_actions + 1)
        self.head_weights = jnp.zeros_like(weights) if zero_heads else weights

    def initial_state(self, batch: int) -> PyTree:
        """The recurrent state before the first observation."""
        state = self.core.initial_state(batch)
        return state.T if isinstance(self.core, GRU) else state

    def no_context(self, batch: int) -> Float[Array, "context batch"]:
        """What a learner is named by, and what every round but the first has: zeros."""
        return jnp.zeros((self.context, batch))

    def step(
        self, state: PyTree, observation: Observations, context: Float[Array, "context batch"] | None = None
    ) -> Trace:
        """One round: the state after `observation`, and the outputs there."""
        context = self.no_context(len(observation)) if context is None else context
        inputs = self._inputs(observation, context)
        if isinstance(self.core, GRU):
            state, gates = self.core.column_step(state, inputs)
            features = self.core.features(state)
        else:
            state, gates = self.core.step(state, inputs.T), None
            features = self.core.features(state).T
        return Trace(observation, state, gates, _heads(self.head_weights, self.head_bias, features))

    def unroll(self, observation: Sequences, context: Float[Array, "context batch"] | None = None) -> Outputs:
        """Logits of the policy and values V of whole episodes, from the first observation on, `context` in the first
        round. Differentiable by the network, through the whole episodes, and again by reverse mode.
        """
        context = self.no_context(observation.shape[1]) if context is None else context
        if isinstance(self.core, GRU):
            return _unroll_gru(self, context, observation)
        contexts = jnp.zeros((len(observation) - 1, *context.shape))
        inputs = jax.vmap(self._inputs)(observation, jnp.concatenate([context[None], contexts]))
        features = self.core.sequence(self.core.initial_state(observation.shape[1]), jnp.moveaxis(inputs, 1, 2))
        outputs = jnp.einsum("oh,tbh->otb", self.head_weights, features) + self.head_bias[:, None, None]
        return outputs[:-1], outputs[-1]

    def _inputs(self, observation, context):
        return jnp.concatenate([encode(self.observation, observation), context])


def replay(network: ActorCritic, context: Float[Array, "context batch"], trace: Trace) -> Outputs:
    """Logits of the policy and values V of the episodes in `trace`, which `network.step` gave with these weights, from
    the first on, `context` in the first round. Differentiable by `network` alone, once, through the whole episode.
    """
    if isinstance(network.core, GRU):
        return _replay_gru(network, context, trace)
    return network.unroll(trace.observation, context)


def _heads(weights, bias, features):
    return weights @ features + bias[:, None]


def _read(trace: Trace) -> Outputs:
    return jnp.moveaxis(trace.outputs[:, :-1], 1, 0), trace.outputs[:, -1]


@jax.custom_vjp
def _replay_gru(network, context, trace):
    return _read(trace)


def _replay_forward(network, context, trace):
    return _read(trace), (network, context, trace)


@jax.custom_vjp
def _unroll_gru(network, context, observation):
    return _unroll_forward(network, context, observation)[0]


def _unroll_forward(network, context, observation):
    def step(state, at):
        observation, first = at
        now = network.step(state, observation, jnp.where(first, context, 0.0))
        return now.state, now

    start = network.initial_state(context.shape[1])
    _, trace = jax.lax.scan(step, start, (observation, jnp.arange(len(observation)) == 0))
    return _read(trace), (network, context, trace)


def _backward(residuals, bars):
    """One scan backward in time, which adds up the weights' gradients as it goes: nothing as long as the episode is
    written, and at the widths of interest the sums stay in cache.
    """
    network, context, trace = residuals
    logits_bar, values_bar = bars
    outputs_bar = jnp.concatenate([jnp.moveaxis(logits_bar, 0, 1), values_bar[:, None]], axis=1)
    batch = context.shape[1]
    before = jnp.concatenate([network.initial_state(batch)[None], trace.state[:-1]])
    first = jnp.arange(len(before)) == 0

    def heads(weights, bias, state):
        return _heads(weights, bias, network.core.features(state))

    def step(carry, at):
        gradient, state_bar = carry
        output_bar, before, now, first = at
        _, heads_vjp = jax.vjp(heads, network.head_weights, network.head_bias, now.state)
        weights_bar, bias_bar, here_bar = heads_vjp(output_bar)
        inputs = network._inputs(now.observation, jnp.where(first, context, 0.0))
        gru_bar, before_bar = network.core.column_step_backward(state_bar + here_bar, before, inputs, now.gates)
        return (jax.tree.map(jnp.add, gradient, (gru_bar, weights_bar, bias_bar)), before_bar), None

    parts = (network.core, network.head_weights, network.head_bias)
    start = (jax.tree.map(jnp.zeros_like, parts), network.initial_state(batch))
    (gradient, _), _ = jax.lax.scan(step, start, (outputs_bar, before, trace, first), reverse=True)
    network_bar = eqx.tree_at(lambda n: (n.core, n.head_weights, n.head_bias), network, gradient)
    return network_bar, None, None


_replay_gru.defvjp(_replay_forward, _backward)
_unroll_gru.defvjp(_unroll_forward, _backward)
