"""How observations become the inputs of a recurrent core: one column per table, `[inputs, batch]`."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from coplayer.games.game import Observations, Symbol, Vector


def encode(kind: Symbol | Vector, observation: Observations) -> Float[Array, "inputs batch"]:
    """Symbols one-hot, vectors as they are. `kind`: the game's kind of observation."""
    if isinstance(kind, Vector):
        return observation.T
    return (observation == jnp.arange(kind.size)[:, None]).astype(jnp.float32)
