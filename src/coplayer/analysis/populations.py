"""What becomes of a population that plays a tournament's game: the Moran process and the replicator dynamics.

All functions take a payoff matrix A `[types, types]`, such as `Tournament.rewards`. A[i, j] is what a player of type i
earns against one of type j. In a population everybody meets everybody else equally often.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
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
        key,
        intensity,
        runs,
        most_steps,
    )
    return Moran(np.asarray(fixed), np.asarray(steps))


@partial(jax.jit, static_argnames=("runs", "most_steps"))
def _moran(payoffs, counts, key, intensity, runs, most_steps):
    """All runs side by side, until the last one is done. Steps in which parent and dead are of one type change nothing.
    They are only counted: how many pass before a change is geometric. Arrays of types have the runs on the contiguous
    axis.
    """
    size = counts.sum()

    def goes_on(counts, steps):
        return (counts.max(0) < size) & (steps < most_steps)

    def change(state):
        counts, steps, done = state
        births, deaths, waiting = jax.random.uniform(jax.random.fold_in(key, done), (3, runs))
        earned = (payoffs @ counts - jnp.diagonal(payoffs)[:, None]) / (size - 1)  # against all but oneself
        best = jnp.where(counts > 0, earned, -jnp.inf).max(0)
        weights = counts * jnp.exp(intensity * jnp.minimum(earned - best, 0))
        of_another = weights * (1 - counts / size)  # the parent's type, where another type loses a player
        born = _drawn(of_another, births)
        died = _drawn(counts * (1 - born), deaths)
        stays = 1 - of_another.sum(0) / weights.sum(0)
        passed = jnp.floor(jnp.log1p(-waiting) / jnp.log(stays))
        after = jnp.minimum(steps + 1 + passed, most_steps + 1)
        going = goes_on(counts, steps)
        counts = counts + (going & (after <= most_steps)) * (born - died)
        return counts, jnp.where(going, jnp.minimum(after, most_steps), steps), done + 1

    first = jnp.broadcast_to(counts[:, None], (len(counts), runs)).astype(jnp.float32)
    start = (first, jnp.zeros(runs), 0)
    left, steps, _ = jax.lax.while_loop(lambda state: goes_on(*state[:2]).any(), change, start)
    return jnp.where(left.max(0) < size, -1, jnp.argmax(left, axis=0)), steps.astype(jnp.int32)


def _drawn(weights: Float[Array, "types runs"], uniform: Float[Array, " runs"]) -> Float[Array, "types runs"]:
    """1 at the type that is drawn in proportion to its weight, 0 elsewhere."""
    below = jnp.tril(jnp.ones((len(weights), len(weights)))) @ weights  # a cumulative sum, which is slow on a CPU
    total = below[-1]
    after = below > jnp.minimum(uniform * total, jnp.nextafter(total, 0.0))  # from the drawn type on
    return jnp.diff(after.astype(weights.dtype), axis=0, prepend=0)


def fixation_of_a_mutant(payoffs: ArrayLike, size: int, *, intensity: float = 1.0) -> float:
    """The probability that one player of type 0 takes over a population of `size` with type 1: the closed form in
    `moran`.
    """
    matrix = _payoffs(payoffs)
    require(matrix.shape == (2, 2), f"payoffs: needs two types, got {len(matrix)}")
    require(bool(np.isfinite(intensity)), f"intensity: must be finite, got {intensity}")
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
