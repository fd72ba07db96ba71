"""How much of a policy gradient comes from future inner episodes (Meulemans et al. 2025, figure 12).

A naive learner averages over its B games. So what one game does to the learner's next update shrinks as 1 / B. The
current inner episode's part has to shrink with it. Otherwise the current part drowns what shaping is about. Here both
parts are measured for the three estimators of the figure, with one agent against naive learners.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from coplayer.errors import require
from coplayer.experiments import coala_ipd
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.learning import coala
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.layers import pick
from coplayer.play.trajectory import Episode
from coplayer.settings import adjust

SWITCHES = {"coala": coala.COALA, "m_fos": coala.M_FOS, "batch_unaware": coala.BATCH_UNAWARE}
"""The estimators of figure 12, not all that are registered."""


class Parts(NamedTuple):
    """Policy gradients, by leaf of the network, of the two parts of the advantages."""

    current: ActorCritic
    future: ActorCritic


def advantage_parts(
    settings: CoalaIPD, rewards: Float[Array, "time replicas batch"], method: str
) -> coala.AdvantageParts:
    """Both parts of the method's advantages, without a value, of every replica by itself; for a loss that is a mean
    over all.
    """
    switches, batch, loss = SWITCHES[method], rewards.shape[-1], settings.loss
    of_replica = partial(
        coala.advantage_parts,
        episode_length=settings.game.rounds,
        gamma=loss.gamma,
        gae_lambda=loss.gae_lambda,
        switches=switches,
    )
    in_axes = (1, 1, None)
    parts = jax.vmap(of_replica, in_axes, out_axes=1)(rewards, jnp.zeros_like(rewards), jnp.zeros(batch))
    return jax.tree.map(lambda part: coala.policy_scale(switches, batch) * part, parts)


def part_gradients(settings: CoalaIPD, network: ActorCritic, own: Episode, method: str) -> Parts:
    """Gradients of J, as the method estimates them, from the current and from future inner episodes; without a value,
    from rewards per round. Means over replicas. `own`: the agent's view of meta-trajectories, `[M * T, R, B]`.
    """
    steps = own.rewards.shape[0]
    observed = own.observations.reshape(steps, -1, *own.observations.shape[3:])

    def objective(network: ActorCritic, weights: Float[Array, "time replicas batch"]) -> Array:
        logits, _ = network.unroll(observed)
        logs = pick(jax.nn.log_softmax(logits, axis=0), own.actions.reshape(steps, -1))
        weights = weights - weights.mean((1, 2), keepdims=True)  # by time alone: a baseline, for less variance
        return (logs * weights.reshape(logs.shape)).mean()

    parts = advantage_parts(settings, own.rewards, method)
    return Parts(*(jax.grad(objective)(network, weights) for weights in parts))


def products(gradients: PyTree) -> Float[np.ndarray, "n n"]:
    """Inner products of independent estimates of a gradient (leading axis, n) with each other; 0 with themselves."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(gradients)]
    flat = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    return flat @ flat.T * (1 - np.eye(len(flat)))


def squared_norm(products: Float[np.ndarray, "n n"]) -> float:
    """Squared norm of the expected gradient, without bias: the mean product of two different estimates."""
    count = len(products)
    return float(products.sum()) / (count * (count - 1))


def squared_norms_without_one(products: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
    """The same without each one of the estimates (n >= 3)."""
    count = len(products)
    return (products.sum() - 2 * products.sum(0)) / ((count - 1) * (count - 2))


class Ratio(NamedTuple):
    """A ratio of two norms. NaN where one of them is lost in the noise."""

    value: float
    error: float  # standard error, by the jackknife


def ratio_of_norms(over: PyTree, under: PyTree) -> Ratio:
    """The norm of one expected gradient over that of another, from independent estimates of both (leading axis)."""
    both = [products(gradients) for gradients in (over, under)]
    squares = np.array([[squared_norm(one), *squared_norms_without_one(one)] for one in both])
    above, below = np.where((squares <= 0).any(0), np.nan, squares)
    whole, *without = np.sqrt(above / below)
    return Ratio(float(whole), float(np.sqrt((len(without) - 1) * np.var(without))))


@partial(jax.jit, static_argnums=0)
def _block(settings: CoalaIPD, population: ActorCritic, network: ActorCritic, key: PRNGKeyArray) -> dict[str, Parts]:
    """The parts by method, from R replicas' meta-trajectories. Compiled once for all agents of the same settings."""
    own = coala_ipd.play(settings, population, network, key).own
    return {method: part_gradients(settings, network, own, method) for method in SWITCHES}


def balance(settings: CoalaIPD, network: ActorCritic, key: PRNGKeyArray, *, blocks: int) -> dict[str, Ratio]:
    """Norm of the future part's gradient over that of the current part's, by method, for the B of the settings.

    The games are played in `blocks` (3 or more) blocks of R replicas each. A ratio is NaN where a norm is lost in the
    noise of so few games. An untrained agent hardly shapes its co-players, so its future part is lost.

    M-FOS has the same gradients on the same games, the future part divided by B: so its ratio is COALA-PG's over B.
    """
    require(blocks >= 3, f"blocks: must be at least 3, got {blocks}")
    settings = adjust(settings, naive_share=1.0)
    population = coala_ipd.naive_population(settings, jax.random.fold_in(key, 1))

    games = jax.random.fold_in(key, 2)
    gradients = [_block(settings, population, network, jax.random.fold_in(games, index)) for index in range(blocks)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *gradients)
    return {method: ratio_of_norms(parts.future, parts.current) for method, parts in stacked.items()}
