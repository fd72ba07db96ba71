"""What becomes of a population that plays a tournament's game: the Moran process and the replicator dynamics.

All functions take a payoff matrix A `[types, types]`: A[i, j] is what a player of type i earns against one of type j,
such as `Tournament.rewards`. In a population everybody meets everybody else equally often.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from coplayer.errors import CoplayerError, require, require_key, require_whole

MOST_STEPS = 100_000


class Moran(NamedTuple):
    """Independent runs of a Moran process."""

    fixed: Int[np.ndarray, " runs"]
    """The type that took over; -1 where none had after the last step."""
    steps: Int[np.ndarray, " runs"]
    """Births until then."""

    def fixation(self, types: int) -> Float[np.ndarray, " types"]:
        """How often each type took over, as a share of all runs."""
        return np.array([(self.fixed == i).mean() for i in range(types)])


def moran(
    payoffs: ArrayLike,
    counts: ArrayLike,
    key: PRNGKeyArray,
    *,
    runs: int = 1000,
    intensity: float = 1.0,
    most_steps: int = MOST_STEPS,
) -> Moran:
    """Runs of the Moran process (Moran 1958) until one type has taken over.

    In each step one player is born and one dies. Who gives birth is drawn in proportion to fitness, which is
    exp(intensity * payoff), the payoff being the mean against all other players. Who dies is drawn uniformly among all,
    the parent included. `counts [types]`: players of each type at first. With two types, one mutant of type 0 among N
    players takes over with probability (Nowak 2006, equation 6.13)

        1 / (1 + sum over k = 1 .. N - 1 of product over i = 1 .. k of g_i / f_i),

    where f_i and g_i are the fitness of a type 0 and of a type 1 while there are i of type 0.
    """
    matrix, first = _payoffs(payoffs), np.asarray(counts)
    require_key(key)
    for name, value in (("runs", runs), ("most_steps", most_steps)):
        require_whole(name, value, at_least=1)
    require(
        first.shape == matrix.shape[:1] and np.issubdtype(first.dtype, np.integer) and bool((first >= 0).all()),
        f"counts: needs {len(matrix)} whole numbers, at least 0, got {counts!r}",
    )
    require(int(first.sum()) >= 2, f"counts: needs at least two players, got {first.sum()}")
    require(bool(np.isfinite(intensity)) and intensity >= 0, f"intensity: must be at least 0, got {intensity}")
    fixed, steps = _moran(
        jnp.asarray(matrix, jnp.float32),
        jnp.asarray(first, jnp.int32),
        jax.random.split(key, runs),
        intensity,
        most_steps,
    )
    return Moran(np.asarray(fixed), np.asarray(steps))


@partial(jax.jit, static_argnames="most_steps")
def _moran(payoffs, counts, keys, intensity, most_steps):
    size = counts.sum()

    def unfinished(state):
        counts, step, _ = state
        return (counts.max() < size) & (step < most_steps)

    def step(state):
        counts, done, key = state
        key, birth, death = jax.random.split(key, 3)
        earned = (payoffs @ counts - jnp.diagonal(payoffs)) / (size - 1)  # against all but oneself
        weights = jnp.log(counts) + intensity * earned
        born = jax.random.categorical(birth, weights)
        died = jax.random.categorical(death, jnp.log(counts))
        return counts.at[born].add(1).at[died].add(-1), done + 1, key

    def run(key):
        left, steps, _ = jax.lax.while_loop(unfinished, step, (counts, jnp.zeros((), jnp.int32), key))
        return jnp.where(left.max() == size, jnp.argmax(left), -1), steps

    return jax.lax.map(run, keys, batch_size=256)


def fixation_of_a_mutant(payoffs: ArrayLike, size: int, *, intensity: float = 1.0) -> float:
    """The probability that one player of type 0 takes over a population of `size` with type 1: the closed form in
    `moran`.
    """
    matrix = _payoffs(payoffs)
    require(matrix.shape == (2, 2), f"payoffs: needs two types, got {len(matrix)}")
    require_whole("size", size, at_least=2)
    i = np.arange(1, size)
    ours = (matrix[0, 0] * (i - 1) + matrix[0, 1] * (size - i)) / (size - 1)
    theirs = (matrix[1, 0] * i + matrix[1, 1] * (size - i - 1)) / (size - 1)
    return float(1 / (1 + np.exp(np.cumsum(intensity * (theirs - ours))).sum()))


def replicator(
    payoffs: ArrayLike,
    shares: ArrayLike,
    *,
    time: float,
    points: int = 200,
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "points types"]]:
    """The replicator dynamics (Taylor and Jonker 1978) of an endless population, from `shares [types]` on:

        dx_i / dt = x_i ((A x)_i - x . A x).

    Returns the times and the shares of all types there.
    """
    from scipy.integrate import solve_ivp  # takes a third of a second to import

    matrix, first = _payoffs(payoffs), np.asarray(shares, dtype=float)
    require_whole("points", points, at_least=2)
    require(bool(np.isfinite(time)) and time > 0, f"time: must be above 0, got {time}")
    require(
        first.shape == matrix.shape[:1] and bool((first >= 0).all()) and bool(abs(first.sum() - 1) < 1e-6),
        f"shares: needs {len(matrix)} numbers, at least 0, whose sum is 1, got {shares!r}",
    )

    def slope(_: float, x: np.ndarray) -> np.ndarray:
        earned = matrix @ x
        return x * (earned - x @ earned)

    times = np.linspace(0, time, points)
    found = solve_ivp(slope, (0, time), first, t_eval=times, rtol=1e-8, atol=1e-10)
    if not found.success:
        raise CoplayerError(f"replicator: cannot be integrated ({found.message})")
    return times, found.y.T


def _payoffs(payoffs) -> Float[np.ndarray, "types types"]:
    matrix = np.asarray(payoffs, dtype=float)
    require(
        matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] >= 1 and bool(np.isfinite(matrix).all()),
        f"payoffs: must be a square table of finite numbers, got shape {matrix.shape}",
    )
    return matrix
