"""The tabular pool: memory-1 players whose action distributions are drawn uniformly from the simplex."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.players.memory1 import sample


def draw_tables(key: PRNGKeyArray, game: MatrixGame, batch: int) -> Float[Array, "observations actions batch"]:
    """Fresh memory-1 players, one an episode. With two actions: five cooperation probabilities, uniform in [0, 1]
    (Weis et al. 2026, the tabular agents); with more, uniform on the simplex. Batch last, for speed.
    """
    shape = (game.num_observations, game.num_actions, batch)
    if game.num_actions == 2:
        cooperate = jax.random.uniform(key, (game.num_observations, batch))
        return jnp.stack([cooperate, 1 - cooperate], axis=1)
    weights = jax.random.exponential(key, shape)
    return weights / weights.sum(1, keepdims=True)


def act(
    tables: Float[Array, "observations actions batch"],
    observation: Int[Array, " batch"],
    uniform: Float[Array, " batch"],
) -> Int[Array, " batch"]:
    """Each player's action after its own `observation`."""
    rows = sum(jnp.where(observation == o, tables[o], 0.0) for o in range(tables.shape[0]))
    return sample(rows, uniform)


def play(key: PRNGKeyArray, game: MatrixGame, batch: int) -> Int[Array, "rounds batch"]:
    """Episodes of fresh tabular players against fresh tabular players: joint actions in the first one's view."""
    own = draw_tables(jax.random.fold_in(key, 0), game, batch)
    other = draw_tables(jax.random.fold_in(key, 1), game, batch)
    uniforms = jax.random.uniform(jax.random.fold_in(key, 2), (game.rounds, 2, batch))

    def step(observations, uniforms):
        own_observation, other_observation = observations
        joint = game.joint(act(own, own_observation, uniforms[0]), act(other, other_observation, uniforms[1]))
        return (observe(joint), observe(game.swap(joint))), joint

    start = jnp.full((batch,), START)
    return jax.lax.scan(step, (start, start), uniforms)[1]
