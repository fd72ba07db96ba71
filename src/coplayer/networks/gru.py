"""Gated recurrent unit, with a backward pass through time written for speed.

Cho et al. 2014 in the form with the reset gate after the hidden product (the one of cuDNN and PyTorch):

    r = sigmoid(x_r + h W_r)      z = sigmoid(x_z + h W_z)
    n = tanh(x_n + r * (h W_n + c))
    h <- (1 - z) * n + z * h

where x = input W_x + b holds the three input products side by side.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


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

    def step(
        self, hidden: Float[Array, "batch hidden"], inputs: Float[Array, "batch inputs"]
    ) -> Float[Array, "batch hidden"]:
        """The hidden state after one more input."""
        return _cell(self, hidden, inputs)[0]

    def sequence(
        self, hidden: Float[Array, "batch hidden"], inputs: Float[Array, "time batch inputs"]
    ) -> Float[Array, "time batch hidden"]:
        """The hidden states after each input. Differentiable, by the backward pass of `_sequence_backward`."""
        return _sequence(self, hidden, inputs)


def _sigmoid(x: Array) -> Array:
    """The logistic function by tanh: the cheaper of the two in XLA on a CPU, equal to float accuracy."""
    return 0.5 * jnp.tanh(0.5 * x) + 0.5


def _cell(gru: GRU, hidden, inputs):
    """The next hidden state, and what the backward pass needs: reset, update, candidate, and h W_n + c."""
    size = gru.hidden
    given = inputs @ gru.input_weights + gru.bias
    product = hidden @ gru.hidden_weights
    reset = _sigmoid(given[..., :size] + product[..., :size])
    update = _sigmoid(given[..., size : 2 * size] + product[..., size : 2 * size])
    recurrent = product[..., 2 * size :] + gru.candidate_bias
    candidate = jnp.tanh(given[..., 2 * size :] + reset * recurrent)
    return candidate + update * (hidden - candidate), (reset, update, candidate, recurrent)


@jax.custom_vjp
def _sequence(gru, hidden, inputs):
    return _sequence_forward(gru, hidden, inputs)[0]


def _sequence_forward(gru, hidden, inputs):
    def step(hidden, inputs):
        hidden, gates = _cell(gru, hidden, inputs)
        return hidden, (hidden, gates)

    _, (states, gates) = jax.lax.scan(step, hidden, inputs)
    return states, (gru, hidden, inputs, states, gates)


def _sequence_backward(residuals, states_bar):
    """Backward in time with one product a step (the state's gradient); the weights' gradients are gathered after the
    scan, into one product over time and batch together. Plain reverse-mode through the scan would take a second,
    thin product a step and add a weight-sized array to its carry every time.
    """
    gru, initial, inputs, states, gates = residuals
    size = gru.hidden
    transposed = gru.hidden_weights.T

    def step(hidden_bar, at):
        state_bar, before, (reset, update, candidate, recurrent) = at
        total = hidden_bar + state_bar
        candidate_bar = total * (1 - update) * (1 - candidate**2)
        update_bar = total * (before - candidate) * update * (1 - update)
        reset_bar = candidate_bar * recurrent * reset * (1 - reset)
        product_bar = jnp.concatenate([reset_bar, update_bar, candidate_bar * reset], axis=-1)
        return total * update + product_bar @ transposed, (product_bar, candidate_bar)

    before = jnp.concatenate([initial[None], states[:-1]])
    initial_bar, (product_bar, candidate_bar) = jax.lax.scan(
        step, jnp.zeros_like(initial), (states_bar, before, gates), reverse=True
    )
    given_bar = jnp.concatenate([product_bar[..., : 2 * size], candidate_bar], axis=-1)

    def rows(x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    gru_bar = eqx.tree_at(
        lambda g: (g.input_weights, g.hidden_weights, g.bias, g.candidate_bias),
        gru,
        (
            rows(inputs).T @ rows(given_bar),
            rows(before).T @ rows(product_bar),
            rows(given_bar).sum(0),
            rows(product_bar)[:, 2 * size :].sum(0),
        ),
    )
    return gru_bar, initial_bar, given_bar @ gru.input_weights.T


_sequence.defvjp(_sequence_forward, _sequence_backward)
