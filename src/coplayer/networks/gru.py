"""Gated recurrent unit, with a backward pass through time written for speed; a recurrent core (`networks.core.Core`).

Cho et al. 2014 in the form with the reset gate after the hidden product (the one of cuDNN and PyTorch):

    r = sigmoid(x_r + h W_r)      z = sigmoid(x_z + h W_z)
    n = tanh(x_n + r * (h W_n + c))
    h <- (1 - z) * n + z * h

where x = input W_x + b holds the three input products side by side.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class Gates(NamedTuple):
    """What a step computes on its way and the backward pass needs."""

    reset: Float[Array, "..."]
    update: Float[Array, "..."]
    candidate: Float[Array, "..."]
    recurrent: Float[Array, "..."]  # h W_n + c


class GRU(eqx.Module):
    """Weights of one layer; gates in the order reset, update, candidate."""

    input_weights: Float[Array, "inputs three_hidden"]
    hidden_weights: Float[Array, "hidden three_hidden"]
    bias: Float[Array, " three_hidden"]
    candidate_bias: Float[Array, " hidden"]

    def __init__(self, num_inputs: int, hidden: int, *, key: PRNGKeyArray):
        """Uniform in +-1/sqrt(hidden), the usual choice for this cell."""
        bound = hidden**-0.5

        def uniform(name: int, shape: tuple[int, ...]) -> Array:
            return jax.random.uniform(jax.random.fold_in(key, name), shape, minval=-bound, maxval=bound)

        self.input_weights = uniform(0, (num_inputs, 3 * hidden))
        self.hidden_weights = uniform(1, (hidden, 3 * hidden))
        self.bias = uniform(2, (3 * hidden,))
        self.candidate_bias = uniform(3, (hidden,))

    @property
    def hidden(self) -> int:
        return self.hidden_weights.shape[0]

    @property
    def width(self) -> int:
        return self.hidden

    def initial_state(self, batch: int) -> Float[Array, "batch hidden"]:
        """The hidden state before the first input."""
        return jnp.zeros((batch, self.hidden))

    def features(self, hidden: Float[Array, "*batch hidden"]) -> Float[Array, "*batch hidden"]:
        """What read-outs are applied to: the swished state."""
        return jax.nn.silu(hidden)

    def step(
        self, hidden: Float[Array, "batch hidden"], inputs: Float[Array, "batch inputs"]
    ) -> Float[Array, "batch hidden"]:
        """The hidden state after one more input."""
        return self.gated_step(hidden, inputs)[0]

    def gated_step(
        self, hidden: Float[Array, "batch hidden"], inputs: Float[Array, "batch inputs"]
    ) -> tuple[Float[Array, "batch hidden"], Gates]:
        """The hidden state after one more input, and the gates."""
        given = inputs @ self.input_weights + self.bias
        product = hidden @ self.hidden_weights
        return _combine(jnp.split(given, 3, -1), jnp.split(product, 3, -1), self.candidate_bias, hidden)

    def states(
        self, hidden: Float[Array, "batch hidden"], inputs: Float[Array, "time batch inputs"]
    ) -> Float[Array, "time batch hidden"]:
        """The hidden states after each input. Differentiable, by the backward pass of `sequence_backward`."""
        return _sequence(self, hidden, inputs)

    def sequence(
        self, hidden: Float[Array, "batch hidden"], inputs: Float[Array, "time batch inputs"]
    ) -> Float[Array, "time batch hidden"]:
        """The features after each input."""
        return self.features(self.states(hidden, inputs))

    def column_step(
        self, hidden: Float[Array, "hidden batch"], inputs: Float[Array, "inputs batch"]
    ) -> tuple[Float[Array, "hidden batch"], Gates]:
        """`gated_step` with the batch on the last axis. On a CPU this is faster for a large batch and narrow layers,
        since the gates are then whole rows.
        """
        given = self.input_weights.T @ inputs + self.bias[:, None]
        product = self.hidden_weights.T @ hidden
        return _combine(jnp.split(given, 3), jnp.split(product, 3), self.candidate_bias[:, None], hidden)

    def column_step_backward(
        self,
        state_bar: Float[Array, "hidden batch"],
        hidden: Float[Array, "hidden batch"],
        inputs: Float[Array, "inputs batch"],
        gates: Gates,
    ) -> tuple["GRU", Float[Array, "hidden batch"]]:
        """Gradients by the weights and by `hidden` of what `column_step(hidden, inputs)` gave, with these `gates`, from
        the gradient by the state it gave.
        """
        reset_bar, update_bar, candidate_bar = _gates_backward(state_bar, hidden, gates)
        given_bar = jnp.concatenate([reset_bar, update_bar, candidate_bar])
        product_bar = jnp.concatenate([reset_bar, update_bar, candidate_bar * gates.reset])
        gradient = _with_weights(
            self,
            inputs @ given_bar.T,
            hidden @ product_bar.T,
            given_bar.sum(-1),
            product_bar[2 * self.hidden :].sum(-1),
        )
        return gradient, state_bar * gates.update + self.hidden_weights @ product_bar


def _with_weights(gru: GRU, *weights: Array) -> GRU:
    """A GRU with these input weights, hidden weights, bias and candidate bias."""
    return eqx.tree_at(lambda g: (g.input_weights, g.hidden_weights, g.bias, g.candidate_bias), gru, weights)


def _sigmoid(x: Array) -> Array:
    """The logistic function by tanh: the cheaper of the two in XLA on a CPU, equal to float accuracy."""
    return 0.5 * jnp.tanh(0.5 * x) + 0.5


def _combine(given, product, candidate_bias, hidden):
    """The next hidden state and the gates, from x_r, x_z, x_n and the three products with h."""
    reset = _sigmoid(given[0] + product[0])
    update = _sigmoid(given[1] + product[1])
    recurrent = product[2] + candidate_bias
    candidate = jnp.tanh(given[2] + reset * recurrent)
    return candidate + update * (hidden - candidate), Gates(reset, update, candidate, recurrent)


def _gates_backward(state_bar, hidden, gates: Gates):
    """Gradients by the arguments of the two logistic functions and of tanh."""
    reset, update, candidate, recurrent = gates
    candidate_bar = state_bar * (1 - update) * (1 - candidate**2)
    update_bar = state_bar * (hidden - candidate) * update * (1 - update)
    reset_bar = candidate_bar * recurrent * reset * (1 - reset)
    return reset_bar, update_bar, candidate_bar


@jax.custom_vjp
def _sequence(gru, hidden, inputs):
    return _sequence_forward(gru, hidden, inputs)[0]


def _sequence_forward(gru, hidden, inputs):
    def step(hidden, inputs):
        hidden, gates = gru.gated_step(hidden, inputs)
        return hidden, (hidden, gates)

    _, (states, gates) = jax.lax.scan(step, hidden, inputs)
    return states, (gru, hidden, inputs, states, gates)


def sequence_backward(residuals, states_bar):
    """Gradients by weights, first hidden state and inputs, from the one by the states of a sequence. `residuals`: these
    three, the states and the gates.

    Backward in time with one product a step (the state's gradient). The weights' gradients are gathered after the scan,
    into one product over time and batch together. Plain reverse-mode through the scan would take a second, thin product
    a step and add a weight-sized array to its carry every time.
    """
    gru, initial, inputs, states, gates = residuals
    size = gru.hidden
    transposed = gru.hidden_weights.T

    def step(hidden_bar, at):
        state_bar, before, gates = at
        total = hidden_bar + state_bar
        reset_bar, update_bar, candidate_bar = _gates_backward(total, before, gates)
        product_bar = jnp.concatenate([reset_bar, update_bar, candidate_bar * gates.reset], axis=-1)
        return total * gates.update + product_bar @ transposed, (product_bar, candidate_bar)

    before = jnp.concatenate([initial[None], states[:-1]])
    initial_bar, (product_bar, candidate_bar) = jax.lax.scan(
        step, jnp.zeros_like(initial), (states_bar, before, gates), reverse=True
    )
    given_bar = jnp.concatenate([product_bar[..., : 2 * size], candidate_bar], axis=-1)

    def rows(x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    gru_bar = _with_weights(
        gru,
        rows(inputs).T @ rows(given_bar),
        rows(before).T @ rows(product_bar),
        rows(given_bar).sum(0),
        rows(product_bar)[:, 2 * size :].sum(0),
    )
    return gru_bar, initial_bar, given_bar @ gru.input_weights.T


_sequence.defvjp(_sequence_forward, sequence_backward)
