"""Memory-1 players: an action distribution for each observation, and the named strategies as rows of one table."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import CoplayerError, require
from coplayer.games.matrix import START, observe

# P(cooperate) after START, CC, CD, DC, DD (own action first).
PRISONERS_DILEMMA_STRATEGIES: Mapping[str, tuple[float, ...]] = {
    "always_cooperate": (1, 1, 1, 1, 1),
    "always_defect": (0, 0, 0, 0, 0),
    "tit_for_tat": (1, 1, 0, 1, 0),
    "win_stay_lose_shift": (1, 1, 0, 0, 1),
    "generous_tit_for_tat": (1, 1, 1 / 3, 1, 1 / 3),
    "grim_trigger": (1, 1, 0, 0, 0),
    "random": (0.5, 0.5, 0.5, 0.5, 0.5),
}


class Memory1(eqx.Module):
    """One memory-1 player, or a batch of them: `probabilities[..., observation, action]`."""

    probabilities: Float[Array, "*batch observations actions"]

    def __init__(self, probabilities):
        """Last axis: action distribution; last but one: observation, START first. Checked when given as numbers."""
        if not isinstance(probabilities, jax.core.Tracer):
            table = _numbers(probabilities)
            require(
                table.size > 0 and table.ndim >= 2 and table.shape[-2] == 1 + table.shape[-1] ** 2,
                f"probabilities: shape must be (..., 1 + n * n, n), got {table.shape}",
            )
            require(
                bool(((table >= 0) & (table <= 1)).all()),
                f"probabilities: every entry must lie in [0, 1], got {table.min():g} to {table.max():g}",
            )
            require(bool(np.allclose(table.sum(-1), 1, atol=1e-5)), "probabilities: every row must sum to 1")
        self.probabilities = jnp.asarray(probabilities, dtype=float)  # float64 where JAX has it enabled

    @property
    def num_actions(self) -> int:
        return self.probabilities.shape[-1]

    def initial_state(self, batch: int) -> Int[Array, " batch"]:
        """The state is the last observation."""
        return jnp.full((batch,), START)

    def act(self, state: Int[Array, " batch"], key: PRNGKeyArray) -> Int[Array, " batch"]:
        table = jnp.broadcast_to(self.probabilities, (*state.shape, *self.probabilities.shape[-2:]))
        rows = jnp.take_along_axis(table, state[:, None, None], axis=1)[:, 0]
        return sample(jnp.moveaxis(rows, -1, 0), jax.random.uniform(key, state.shape))

    def update(self, state, joint: Int[Array, " batch"], reward: Float[Array, " batch"]) -> Int[Array, " batch"]:
        return observe(joint)


def _numbers(probabilities) -> np.ndarray:
    try:
        return np.asarray(probabilities, dtype=float)
    except (TypeError, ValueError) as error:
        raise CoplayerError("probabilities: must be numbers, every row of the same length") from error


def cooperation(probabilities) -> Memory1:
    """A player of a two-action game from P(action 0) for START, CC, CD, DC, DD; shape (..., 5)."""
    cooperate = _numbers(probabilities)
    require(cooperate.shape[-1:] == (5,), f"probabilities: the last axis must have 5 entries, got {cooperate.shape}")
    return Memory1(np.stack([cooperate, 1 - cooperate], axis=-1))


def named_strategy(name: str) -> Memory1:
    """A strategy of the prisoner's dilemma by its name, for example "tit_for_tat"."""
    require(
        name in PRISONERS_DILEMMA_STRATEGIES,
        f"strategy: {name!r} is not one of {', '.join(PRISONERS_DILEMMA_STRATEGIES)}",
    )
    return cooperation(PRISONERS_DILEMMA_STRATEGIES[name])


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
