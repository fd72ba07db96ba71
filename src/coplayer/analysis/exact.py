"""Exact values of memory-1 players, from the Markov chain of joint actions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from coplayer.games.matrix import MatrixGame
from coplayer.players.memory1 import Memory1


def joint_distribution(first: Memory1, second: Memory1, game: MatrixGame) -> Float[Array, "rounds joint"]:
    """Probability of each joint action in each round, in the view of `first`."""
    joints = jnp.arange(game.num_joint)
    own, other = first.probabilities, second.probabilities
    start = jnp.outer(own[0], other[0]).reshape(-1)
    # After joint action j, in first's view, the two observe 1 + j and 1 + swap(j).
    transition = (own[1 + joints][:, :, None] * other[1 + game.swap(joints)][:, None, :]).reshape(game.num_joint, -1)

    def step(distribution, _):
        return distribution @ transition, distribution

    return jax.lax.scan(step, start, length=game.rounds)[1]


def mean_reward(first: Memory1, second: Memory1, game: MatrixGame, player: int = 0) -> Float[Array, ""]:
    """Expected reward a round of `first`, who sits in seat `player`, over one episode."""
    return joint_distribution(first, second, game).mean(0) @ game.payoff_vector(player)
