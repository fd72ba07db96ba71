"""Small parts that the networks share."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


def new_linear(key: PRNGKeyArray, inputs: int, outputs: int) -> tuple[Array, Array]:
    """Weights `[outputs, inputs]`, uniform in +-1/sqrt(inputs), and a bias of zeros."""
    bound = inputs**-0.5
    weights = jax.random.uniform(jax.random.fold_in(key, 0), (outputs, inputs), minval=-bound, maxval=bound)
    return weights, jnp.zeros((outputs,))


def pick(values: Float[Array, "choices ..."], choice: Int[Array, "..."]) -> Float[Array, "..."]:
    """`values[choice]`, column by column, as a sum of selects: a gather would not vectorise. The shape of `choice` is
    that of the last axes of `values`.
    """
    return sum(jnp.where(choice == c, values[c], 0.0) for c in range(values.shape[0]))


def affine(
    rows: Float[Array, "*batch inputs"], weights: Float[Array, "inputs outputs"], bias: Float[Array, " outputs"]
) -> Float[Array, "*batch outputs"]:
    """Rows times weights, plus bias. As one product of two matrices, whose gradient is then too: on a CPU twice as fast
    as over two axes, time and batch.
    """
    flat = rows.reshape(-1, rows.shape[-1]) @ weights + bias
    return flat.reshape(*rows.shape[:-1], -1)


def sample(probabilities: Float[Array, "choices ..."], uniform: Float[Array, "..."]) -> Int[Array, "..."]:
    """Draw a choice by inverting the cumulative distribution at `uniform` in [0, 1). The choices lie on the first
    axis, so the long axis stays the contiguous one; the probabilities may be unnormalised by rounding.
    """
    index = jnp.zeros(uniform.shape, dtype=jnp.int32)
    total = jnp.zeros_like(uniform)
    for choice in range(probabilities.shape[0] - 1):
        total = total + probabilities[choice]
        index = index + (uniform >= total)
    return index
