"""How far two memory-1 players are from an equilibrium: best responses, what they would gain, and gradients.

A `discount` below 1 means the discounted game, with values per round: (1 - discount) J. A `discount` of 1 means the
long run. The players' batch axes broadcast, as in `analysis.exact`.
"""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from optax.projections import projection_simplex

from coplayer.analysis.exact import discounted_returns, stationary_rewards
from coplayer.errors import require, require_kind
from coplayer.games.matrix import MatrixGame
from coplayer.players.memory1 import Memory1

MOST_CANDIDATES = 100_000


def rewards(first: Memory1, second: Memory1, game: MatrixGame, discount: float) -> Float[Array, "... 2"]:
    """Reward per round of both players, of the discounted game or of the long run."""
    if discount == 1:
        return stationary_rewards(first, second, game)
    return (1 - discount) * discounted_returns(first, second, game, discount)


def best_response(opponent: Memory1, game: MatrixGame, discount: float) -> tuple[Memory1, Float[Array, "..."]]:
    """A best response in seat 0 to a memory-1 player in seat 1, and its reward per round.

    Against a memory-1 player the last joint action is a Markov state. So some deterministic memory-1 player is best
    among all players, and all n^(1 + n^2) of them are tried (32 for two actions). Of players with equal rewards the
    first is taken, in the order of the actions after START, then after each joint action. Raises `CoplayerError` for a
    game of more than 3 actions.
    """
    require_kind("opponent", opponent, Memory1)
    count = game.num_actions**game.observation_space.size
    require(count <= MOST_CANDIDATES, f"game: best_response tries all {count} players; at most 3 actions are allowed")
    choices = np.array(list(itertools.product(range(game.num_actions), repeat=game.observation_space.size)))
    candidates = jnp.eye(game.num_actions)[choices]
    met = Memory1(opponent.probabilities[..., None, :, :])
    values = rewards(Memory1(candidates), met, game, discount)[..., 0]
    return Memory1(candidates[values.argmax(-1)]), values.max(-1)


def regrets(first: Memory1, second: Memory1, game: MatrixGame, discount: float) -> Float[Array, "... 2"]:
    """What each player would gain per round by turning to a best response: both 0 at Nash equilibria, only there."""
    best = jnp.stack(
        [best_response(second, game, discount)[1], best_response(first, game.seen_by(1), discount)[1]], axis=-1
    )
    return best - rewards(first, second, game, discount)


@eqx.filter_jit
def projected_gradients(
    first: Memory1, second: Memory1, game: MatrixGame, discount: float, *, step: float = 1.0
) -> Float[Array, "... 2"]:
    """Length of each player's projected gradient step, ||project(p + step grad) - p|| / step, on the probabilities.

    Both are 0 at a Nash equilibrium. The converse holds where every joint action occurs with some probability. Where
    one never occurs, its probabilities have no gradient even if they are not best (`regrets` tells the two apart).
    """

    def length(own: Array, value) -> Array:
        gradient = jax.grad(lambda table: value(Memory1(table)).sum())(own)
        rows = (own + step * gradient).reshape(-1, own.shape[-1])
        moved = jax.vmap(projection_simplex)(rows).reshape(own.shape) - own
        return jnp.sqrt((moved**2).sum((-2, -1))) / step

    tables = jnp.broadcast_arrays(first.probabilities, second.probabilities)
    first_length = length(tables[0], lambda player: rewards(player, second, game, discount)[..., 0])
    second_length = length(tables[1], lambda player: rewards(first, player, game, discount)[..., 1])
    return jnp.stack([first_length, second_length], axis=-1)
