"""Exact values of memory-1 players, from the Markov chain of joint actions.

Each function takes two players, or two batches of players (`Memory1.probabilities[..., observation, action]`) whose
batch axes broadcast. Each function gives both players' values. `[..., 0]` is the value of the first player, in the
game's seat 0, and `[..., 1]` that of the second. All functions are differentiable to any order. They compute in float64
where JAX is told so (`jax.enable_x64`), in float32 otherwise.

The chain itself has the batch on the *last* axes. The small axes then never reach the inner loop, and a batch of chains
runs at the width of the vector unit.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from coplayer.errors import require, require_kind
from coplayer.games.matrix import MatrixGame
from coplayer.play.rollout import naming
from coplayer.players.memory1 import Memory1

Table = Float[Array, "observations actions ..."]  # the batch axes of two players broadcast
DOUBLINGS = 40  # the long run is taken as 2^40 rounds


def discounted_returns(first: Memory1, second: Memory1, game: MatrixGame, discount: float) -> Float[Array, "... 2"]:
    """Expected discounted return of each player: the sum over t = 0, 1, .. of discount^t r_t.

    With s_0 the probabilities of the first round's joint actions, the return is

        J = r . (I - discount P)^-1 s_0

    (Meulemans et al. 2025, section 4). P[k, j] is the probability of joint action k after j. The return times
    (1 - discount) is a reward per round. `game.rounds` plays no part. Raises `CoplayerError` unless 0 <= discount < 1.
    """
    return _batched(discounted_values, first, second, game, discount=discount)


def stationary_rewards(first: Memory1, second: Memory1, game: MatrixGame) -> Float[Array, "... 2"]:
    """Expected reward per round of each player in the long run: the limit of the mean over T rounds as T grows.

    The limit exists for every pair of players. Where the chain is periodic or reducible, it depends on the first round.
    """
    return _batched(_stationary_values, first, second, game)


def mean_rewards(first: Memory1, second: Memory1, game: MatrixGame) -> Float[Array, "... 2"]:
    """Expected reward per round of each player over one episode of `game.rounds` rounds."""
    return _batched(_finite_values, first, second, game)


def joint_distribution(first: Memory1, second: Memory1, game: MatrixGame) -> Float[Array, "rounds ... joint"]:
    """Probability of each joint action in each round, in the view of `first`."""
    return jnp.moveaxis(_compiled(_distributions, *_batch_last(first, second, game), game=game), 1, -1)


def discounted_values(first: Table, second: Table, *, game: MatrixGame, discount: float) -> Float[Array, "2 ..."]:
    """`discounted_returns` of tables with the batch on the last axes, as `learning.exact_gradients` takes values."""
    require(0 <= discount < 1, f"discount: must lie in [0, 1), got {discount:g}")
    start, transition = _markov_chain(first, second, game)
    identity = jnp.eye(game.num_joint).reshape(transition.shape[:2] + (1,) * (transition.ndim - 2))
    return _rewards(solve_dominant(identity - discount * transition.swapaxes(0, 1), start), game)


def solve_dominant(
    matrix: Float[Array, "size size *batch"], right: Float[Array, "size *batch"]
) -> Float[Array, "size *batch"]:
    """The x of matrix x = right, for matrices whose diagonal dominates their rows or their columns.

    Elimination without pivoting is stable for such matrices, and takes all batch elements side by side. The derivative
    is implicit: one more solve, instead of the derivative of the elimination.
    """

    def times(x):
        return (matrix * x).sum(1)

    return jax.lax.custom_linear_solve(
        times,
        right,
        solve=lambda _, b: _eliminate(matrix, b),
        transpose_solve=lambda _, b: _eliminate(matrix.swapaxes(0, 1), b),
    )


def _eliminate(matrix, right):
    """Eliminate the last unknown, solve for the others, and put them back."""
    if len(right) == 1:
        return right / matrix[0]
    share = matrix[:-1, -1] / matrix[-1, -1]
    others = _eliminate(matrix[:-1, :-1] - share[:, None] * matrix[-1, :-1], right[:-1] - share * right[-1])
    last = (right[-1] - (matrix[-1, :-1] * others).sum(0)) / matrix[-1, -1]
    return jnp.concatenate([others, last[None]])


def _markov_chain(first: Table, second: Table, game: MatrixGame):
    """Probabilities of joint actions, in the first player's view: `start[joint, ...]` in the first round, and
    `transition[before, after, ...]` from one round to the next.
    """
    for table in (first, second):
        require(
            table.shape[1] == game.num_actions,
            f"players: made for {table.shape[1]} actions, this game has {game.num_actions}",
        )
    joints = jnp.arange(game.num_joint)
    # After joint action j, in the first player's view, the players observe 1 + j and 1 + swap(j).
    start = first[0][:, None] * second[0][None]
    transition = first[1 + joints][:, :, None] * second[1 + game.swap(joints)][:, None]
    batch = start.shape[2:]
    return start.reshape(-1, *batch), transition.reshape(len(joints), -1, *batch)


def payoffs_by_joint(game: MatrixGame) -> Float[np.ndarray, "2 joint"]:
    """Both players' rewards by joint action in the first player's view."""
    own, other = game.tables
    return np.stack([own.ravel(), other.T.ravel()])


def _rewards(distribution: Float[Array, "joint ..."], game: MatrixGame) -> Float[Array, "2 ..."]:
    """Both players' expected rewards under weights on the joint actions in the first player's view."""
    payoffs = payoffs_by_joint(game).astype(distribution.dtype).reshape(2, -1, *[1] * (distribution.ndim - 1))
    return (payoffs * distribution).sum(1)


def _distributions(first: Table, second: Table, *, game: MatrixGame) -> Float[Array, "rounds joint ..."]:
    start, transition = _markov_chain(first, second, game)

    def step(distribution, _):
        return (distribution[:, None] * transition).sum(0), distribution

    return jax.lax.scan(step, start, length=game.rounds)[1]


def _finite_values(first: Table, second: Table, *, game: MatrixGame) -> Float[Array, "2 ..."]:
    return _rewards(_distributions(first, second, game=game).mean(0), game)


def _stationary_values(first: Table, second: Table, *, game: MatrixGame) -> Float[Array, "2 ..."]:
    """The mean A_n of the powers P^0 .. P^(n-1) by doubling: A_2n = (A_n + P^n A_n) / 2."""
    start, transition = _markov_chain(first, second, game)

    def product(a, b):
        return (a[:, :, None] * b[None]).sum(1)

    def double(carry, _):
        power, mean = carry
        mean = (mean + product(power, mean)) / 2
        power = product(power, power)
        return (power / power.sum(1, keepdims=True), mean / mean.sum(1, keepdims=True)), None

    identity = jnp.eye(game.num_joint, dtype=transition.dtype)
    identity = jnp.broadcast_to(identity.reshape(identity.shape + (1,) * (transition.ndim - 2)), transition.shape)
    (_, mean), _ = jax.lax.scan(double, (transition, identity), length=DOUBLINGS)
    return _rewards((start[:, None] * mean).sum(0), game)


def _batched(values, first: Memory1, second: Memory1, game: MatrixGame, **settings: float) -> Float[Array, "... 2"]:
    return jnp.moveaxis(_compiled(values, *_batch_last(first, second, game), game=game, **settings), 0, -1)


@eqx.filter_jit
def _compiled(function, first: Table, second: Table, **settings: MatrixGame | float) -> Array:
    """Compiled once for a game, a discount and a shape of tables."""
    return function(first, second, **settings)


def _batch_last(first: Memory1, second: Memory1, game: MatrixGame) -> tuple[Table, Table]:
    """Both players' tables, with the batch axes last and equally many of them. Refuses what cannot play the game."""
    require_kind("game", game, MatrixGame)
    for number, player in enumerate((first, second)):
        require_kind(f"player {number + 1}", player, Memory1)
        with naming(number):
            player.check(game)
    tables = (first.probabilities, second.probabilities)
    batch = jnp.broadcast_shapes(*(table.shape[:-2] for table in tables))
    return tuple(
        jnp.moveaxis(table.reshape((1,) * (len(batch) + 2 - table.ndim) + table.shape), (-2, -1), (0, 1))
        for table in tables
    )
