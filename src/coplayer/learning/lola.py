"""LOLA-DiCE: opponent shaping by differentiating through a co-player's sampled learning steps (Foerster et al. 2018b).

Two players, one's own and the co-player's, own first. Their parameters are any pytrees of real arrays. A game is told
by two functions:

    sample(key, own, other) -> trajectories            any pytree of arrays, not differentiated
    evaluate(own, other, trajectories) -> Course       differentiated by both players' parameters

so that a table and a recurrent network that plays its observations again are used in the same way. With exact values
in place of sampled ones the same is `exact_gradients.lookahead`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from coplayer.settings import setting


@dataclass(frozen=True)
class LookaheadSettings:
    """Look-ahead"""

    lookaheads: int = setting(1)
    """Learning steps of the co-player that an agent looks ahead."""
    lookahead_rate: float = setting(1.0, at_least=0)
    """Step size, on the reward per round, that an agent assumes of its co-player's learning steps."""


class Course(NamedTuple):
    """What a batch of trajectories means to the two players, own first."""

    log_probabilities: Float[Array, "2 time batch"]  # of the actions that each took
    rewards: Float[Array, "2 time batch"]
    baselines: Float[Array, "2 time batch"]  # guesses of the return from here on, before the actions; 0 for none


Sample = Callable[[PRNGKeyArray, PyTree, PyTree], Any]
Evaluate = Callable[[PyTree, PyTree, Any], Course]


def magic_box(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x - stop(x)): 1, with the derivatives of exp(x) / exp(stop(x)) (Foerster et al. 2018b)."""
    return jnp.exp(x - jax.lax.stop_gradient(x))


def dice_objective(
    log_probabilities: Float[Array, "2 time batch"],
    rewards: Float[Array, "time batch"],
    baselines: Float[Array, "time batch"],
    *,
    gamma: float,
) -> Float[Array, ""]:
    """A number whose value is the mean discounted return of one player. Its derivatives of every order, by either
    player's parameters, estimate those of the expected return without bias. With box the magic box and s_t the sum of
    both players' log-probabilities of their actions in rounds 0 .. t:

        mean over batch of  sum_t gamma^t (box(s_t) r_t  -  (box(s_t) - box(s_{t-1})) b_t)

    The first term is DiCE (Foerster et al. 2018b). The second one is 0 in the mean at every order, for any b_t that is
    fixed before round t's actions. With the value as b_t this is the advantage form of Farquhar et al. 2019. That form
    lowers the variance of second derivatives too.
    """
    logs = log_probabilities.sum(0)
    through = jnp.cumsum(logs, axis=0)
    now, before = magic_box(through), magic_box(through - logs)
    discount = gamma ** jnp.arange(len(rewards))[:, None]
    return (discount * (now * rewards - (now - before) * jax.lax.stop_gradient(baselines))).sum(0).mean()


def sampled_objective(
    sample: Sample, evaluate: Evaluate, key: PRNGKeyArray, own: PyTree, other: PyTree, *, player: int, gamma: float
) -> Float[Array, ""]:
    """The DiCE objective of `player` (0: own, 1: the co-player) on freshly sampled trajectories."""
    trajectories = jax.lax.stop_gradient(sample(key, *jax.lax.stop_gradient((own, other))))
    course = evaluate(own, other, trajectories)
    return dice_objective(course.log_probabilities, course.rewards[player], course.baselines[player], gamma=gamma)


def naive_learning(
    sample: Sample,
    evaluate: Evaluate,
    key: PRNGKeyArray,
    own: PyTree,
    other: PyTree,
    *,
    steps: int,
    rate: float,
    gamma: float,
) -> PyTree:
    """The co-player after `steps` naive updates, each on fresh trajectories, differentiable in both players.

    other <- other + rate * d (the co-player's DiCE objective) / d other
    """

    def step(other, index):
        def learners_value(other):
            fresh = jax.random.fold_in(key, index)
            return sampled_objective(sample, evaluate, fresh, own, other, player=1, gamma=gamma)

        return jax.tree.map(lambda x, slope: x + rate * slope, other, jax.grad(learners_value)(other)), None

    return jax.lax.scan(step, other, jnp.arange(steps))[0]


def lookahead(
    sample: Sample,
    evaluate: Evaluate,
    key: PRNGKeyArray,
    own: PyTree,
    other: PyTree,
    *,
    steps: int,
    rate: float,
    gamma: float,
    learner_gamma: float,
) -> PyTree:
    """The gradient of one's own DiCE objective after `steps` naive updates of the co-player, differentiated through
    them (Foerster et al. 2018b). To be climbed; in the shape of `own`.

    The co-player discounts by `learner_gamma`. Steps follow the batch's noise, and the objective is not linear in them.
    So the bias against the exact look-ahead is of the order of rate^2 over the batch.
    """
    learning, playing = jax.random.split(key)

    def value(own):
        learned = naive_learning(sample, evaluate, learning, own, other, steps=steps, rate=rate, gamma=learner_gamma)
        return sampled_objective(sample, evaluate, playing, own, learned, player=0, gamma=gamma)

    return jax.grad(value)(own)
