"""Recurrent actor-critic (Weis et al. 2026, model-free learner): observations in, policy and value out.

One recurrent step per round, on the observation alone (see `networks.encoders`). In the ablation with opponent
identity the network also takes an *identity*: a vector that names the co-player. The vector joins the first round's
observation. In all later rounds zeros take the vector's place.

Observations, identities and outputs have the batch on their last axis. There are two ways to train on an episode:

* `replay` of a `Trace`, with the weights that played it. A GRU's trace holds all that its backward pass needs, so an
  update costs one forward pass, the one that played, and one backward pass. Other cores are run again.
* `unroll`, with whatever weights: it runs the network over the observations.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray, PyTree

from coplayer.errors import require, require_key, require_whole
from coplayer.games.game import Game, Observations, Symbol, Vector, require_game
from coplayer.networks.core import OnCore, new_core
from coplayer.networks.encoders import encode
from coplayer.networks.gru import GRU, Gates, sequence_backward
from coplayer.networks.layers import new_linear

Sequences = Integer[Array, "time batch"] | Float[Array, "time batch size"]
Outputs = tuple[Float[Array, "actions time batch"], Float[Array, "time batch"]]
LARGE = 64  # episodes from which on a GRU on a CPU is faster in columns (measured: forward and backward, width 32)


class Trace(NamedTuple):
    """What the network computed in a round; with a leading axis of time, in an episode. Outputs are the logits of the
    policy and, last, the value. The state and the gates of a GRU are `[hidden, batch]` in a large batch, of `LARGE`
    episodes or more, otherwise `[batch, hidden]`.
    """

    observation: Integer[Array, "*time batch"] | Float[Array, "*time batch size"]
    state: PyTree
    gates: Gates | None  # of a GRU
    outputs: Float[Array, "*time outputs batch"]


class ActorCritic(OnCore):
    """A recurrent core with two linear heads on its features: logits of the policy, and the value."""

    head_weights: Float[Array, "outputs hidden"]
    head_bias: Float[Array, " outputs"]
    observation_space: Symbol | Vector = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)
    identity_size: int = eqx.field(static=True)

    def __init__(
        self,
        game: Game,
        hidden: int,
        *,
        core: str = "gru",
        identity_size: int = 0,
        zero_heads: bool = False,
        key: PRNGKeyArray,
    ):
        """`identity_size`: length of the vector that the first round's input may hold beside the observation; 0: none.
        `zero_heads`: the heads' weights start at 0, so the policy is uniform and the value 0.
        """
        require_game(game)
        require_key(key)
        require_whole("identity_size", identity_size, at_least=0)
        super().__init__(
            new_core(core, game.observation_space.size + identity_size, hidden, jax.random.fold_in(key, 0))
        )
        self.observation_space = game.observation_space
        self.num_actions = game.num_actions
        self.identity_size = identity_size
        weights, self.head_bias = new_linear(jax.random.fold_in(key, 1), hidden, game.num_actions + 1)
        self.head_weights = jnp.zeros_like(weights) if zero_heads else weights

    def initial_state(self, batch: int) -> PyTree:
        """The recurrent state before the first observation."""
        state = self.core.initial_state(batch)
        return state.T if self._by_columns(batch) else state

    def no_identity(self, batch: int) -> Float[Array, "identity batch"]:
        """The identity of a learner, and the place of an identity in every round but the first: zeros."""
        return jnp.zeros((self.identity_size, batch))

    def step(
        self, state: PyTree, observation: Observations, identity: Float[Array, "identity batch"] | None = None
    ) -> Trace:
        """One round: the state after `observation`, and the outputs there."""
        identity = self.no_identity(len(observation)) if identity is None else identity
        inputs = self._inputs(observation, identity)
        if self._by_columns(len(observation)):
            state, gates = self.core.column_step(state, inputs)
            outputs = _heads(self.head_weights, self.head_bias, self.core.features(state))
        else:
            if isinstance(self.core, GRU):
                state, gates = self.core.gated_step(state, inputs.T)
            else:
                state, gates = self.core.step(state, inputs.T), None
            outputs = (self.core.features(state) @ self.head_weights.T + self.head_bias).T
        return Trace(observation, state, gates, outputs)

    def unroll(
        self, observation: Sequences, identity: Float[Array, "identity batch"] | None = None, *, segment: int = 0
    ) -> Outputs:
        """Logits of the policy and values V of whole episodes, from the first observation on, `identity` in the first
        round. Differentiable by the network, through the whole episodes, and again by reverse mode.

        `segment`: rounds, a divisor of those of the episodes. The gradient then keeps the recurrent state at the start
        of each segment alone, and plays one segment after the other again (rematerialisation). This takes less memory
        and more time. 0: what every round needs is kept.
        """
        identity = self.no_identity(observation.shape[1]) if identity is None else identity
        if segment:
            return self._unroll_in_segments(observation, identity, segment)
        if self._by_columns(observation.shape[1]):
            return _unroll_by_columns(self, identity, observation)
        inputs = self._all_inputs(observation, identity)
        features = self.core.sequence(self.core.initial_state(observation.shape[1]), inputs)
        outputs = _heads_by_rows(self.head_weights, self.head_bias, features)
        return outputs[:-1], outputs[-1]

    def _unroll_in_segments(self, observation, identity, segment):
        rounds = len(observation)
        require(rounds % segment == 0, f"segment: must divide the {rounds} rounds, got {segment}")
        first = jnp.arange(rounds) == 0
        segments = jax.tree.map(lambda rows: rows.reshape(-1, segment, *rows.shape[1:]), (observation, first))

        def one_round(state, at):
            now = self.step(state, at[0], jnp.where(at[1], identity, 0.0))
            return now.state, now.outputs

        @jax.checkpoint
        def one_segment(state, at):
            return jax.lax.scan(one_round, state, at)

        outputs = jax.lax.scan(one_segment, self.initial_state(observation.shape[1]), segments)[1]
        outputs = jnp.moveaxis(outputs.reshape(rounds, *outputs.shape[2:]), 1, 0)
        return outputs[:-1], outputs[-1]

    def _by_columns(self, batch: int) -> bool:
        """Whether the batch comes last in the state, in the gates and in all that is computed from them."""
        return isinstance(self.core, GRU) and batch >= LARGE

    def _all_inputs(self, observation, identity):
        """The inputs of whole episodes, `[time, batch, inputs]`."""
        later = jnp.zeros((len(observation) - 1, *identity.shape))
        inputs = jax.vmap(self._inputs)(observation, jnp.concatenate([identity[None], later]))
        return jnp.moveaxis(inputs, 1, 2)

    def _inputs(self, observation, identity):
        return jnp.concatenate([encode(self.observation_space, observation), identity])


def replay(network: ActorCritic, identity: Float[Array, "identity batch"], trace: Trace) -> Outputs:
    """Logits of the policy and values V of the episodes in `trace`, from the first round on. `network.step` gave
    `trace` with these weights, and was given `identity` in the first round. Differentiable by `network` alone, once,
    through the whole episode.
    """
    if isinstance(network.core, GRU):
        return _replay_gru(network, identity, trace)
    return network.unroll(trace.observation, identity)


def _heads(weights, bias, features):
    return weights @ features + bias[:, None]


def _heads_by_rows(weights, bias, features):
    """The outputs `[output, time, batch]` from features `[time, batch, hidden]`."""
    return jnp.einsum("oh,tbh->otb", weights, features) + bias[:, None, None]


def _read(trace: Trace) -> Outputs:
    return jnp.moveaxis(trace.outputs[:, :-1], 1, 0), trace.outputs[:, -1]


@jax.custom_vjp
def _replay_gru(network, identity, trace):
    return _read(trace)


def _replay_forward(network, identity, trace):
    return _read(trace), (network, identity, trace)


@jax.custom_vjp
def _unroll_by_columns(network, identity, observation):
    return _unroll_forward(network, identity, observation)[0]


def _unroll_forward(network, identity, observation):
    def step(state, at):
        observation, first = at
        now = network.step(state, observation, jnp.where(first, identity, 0.0))
        return now.state, now

    start = network.initial_state(identity.shape[1])
    _, trace = jax.lax.scan(step, start, (observation, jnp.arange(len(observation)) == 0))
    return _read(trace), (network, identity, trace)


def _replay_backward(residuals, bars):
    network, identity, _ = residuals
    return (_backward_by_columns if network._by_columns(identity.shape[1]) else _backward_by_rows)(residuals, bars)


def _backward_by_rows(residuals, bars):
    """The weights' gradients after the scan backward in time (see `sequence_backward`). Where every network of many has
    few episodes of its own, adding up as many gradients in each round would cost more than the rounds.
    """
    network, identity, trace = residuals
    logits_bar, values_bar = bars
    outputs_bar = jnp.concatenate([logits_bar, values_bar[None]])

    def heads(weights, bias, states):
        return _heads_by_rows(weights, bias, network.core.features(states))

    _, heads_vjp = jax.vjp(heads, network.head_weights, network.head_bias, trace.state)
    weights_bar, bias_bar, states_bar = heads_vjp(outputs_bar)
    start = network.core.initial_state(identity.shape[1])
    inputs = network._all_inputs(trace.observation, identity)
    gru_bar, *_ = sequence_backward((network.core, start, inputs, trace.state, trace.gates), states_bar)
    return _with_parts(network, gru_bar, weights_bar, bias_bar), None, None


def _with_parts(network: ActorCritic, *parts: PyTree) -> ActorCritic:
    """The network with this core, these head weights and this head bias."""
    return eqx.tree_at(lambda n: (n.core, n.head_weights, n.head_bias), network, parts)


def _backward_by_columns(residuals, bars):
    """One scan backward in time, which adds up the weights' gradients as it goes. Nothing as long as the episode is
    written, and at the widths of interest the sums stay in cache.
    """
    network, identity, trace = residuals
    logits_bar, values_bar = bars
    outputs_bar = jnp.concatenate([jnp.moveaxis(logits_bar, 0, 1), values_bar[:, None]], axis=1)
    batch = identity.shape[1]
    before = jnp.concatenate([network.initial_state(batch)[None], trace.state[:-1]])
    first = jnp.arange(len(before)) == 0

    def heads(weights, bias, state):
        return _heads(weights, bias, network.core.features(state))

    def step(carry, at):
        gradient, state_bar = carry
        output_bar, before, now, first = at
        _, heads_vjp = jax.vjp(heads, network.head_weights, network.head_bias, now.state)
        weights_bar, bias_bar, here_bar = heads_vjp(output_bar)
        inputs = network._inputs(now.observation, jnp.where(first, identity, 0.0))
        gru_bar, before_bar = network.core.column_step_backward(state_bar + here_bar, before, inputs, now.gates)
        return (jax.tree.map(jnp.add, gradient, (gru_bar, weights_bar, bias_bar)), before_bar), None

    parts = (network.core, network.head_weights, network.head_bias)
    start = (jax.tree.map(jnp.zeros_like, parts), network.initial_state(batch))
    (gradient, _), _ = jax.lax.scan(step, start, (outputs_bar, before, trace, first), reverse=True)
    return _with_parts(network, *gradient), None, None


_replay_gru.defvjp(_replay_forward, _replay_backward)
_unroll_by_columns.defvjp(_unroll_forward, _backward_by_columns)
