"""Gradients of two differentiable players' values, exact and through the co-player's learning.

A *method* is a function of three arguments that gives the direction in which a player moves its parameters:

    method(values, own, other) -> direction [params, ...]

    values(own, other) -> [2, ...]      one's own value and the co-player's value, each to be made large
    own, other: [params, ...]           parameters; every element of the batch axes is a game of its own

Parameters lie on the first axis and batches on the last ones, where the arithmetic is vectorised. The games of a batch
are independent, so the gradient of the sum of their values holds the gradient of each value. The two players move by
`method(values, first, second)` and `method(swapped(values), second, first)`. To add a method, write such a function;
settings are keywords, bound with `functools.partial`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Params = Float[Array, "params ..."]
Values = Callable[[Params, Params], Float[Array, "2 ..."]]
Method = Callable[[Values, Params, Params], Params]


def swapped(values: Values) -> Values:
    """The same game from the other seat."""
    return lambda own, other: values(other, own)[::-1]


def naive(values: Values, own: Params, other: Params) -> Params:
    """The gradient of one's own value, as if the co-player stood still."""
    return jax.grad(lambda own: values(own, other)[0].sum())(own)


def naive_learning(
    values: Values, own: Params, learner: Params, *, steps: int, rate: float
) -> tuple[Float[Array, "steps 2 ..."], Params]:
    """A co-player that climbs the exact gradient of its own value while `own` stands still:

        learner <- learner + rate * d V_learner(own, learner) / d learner,      `steps` times.

    Returns both players' values before each step (own first), and the learner's parameters after the last step. All of
    that is differentiable in `own` and in `learner`.
    """

    def step(learner, _):
        def learners_value(learner):
            both = values(own, learner)
            return both[1].sum(), both

        gradient, both = jax.grad(learners_value, has_aux=True)(learner)
        return learner + rate * gradient, both

    learner, history = jax.lax.scan(step, learner, length=steps)
    return history, learner


def shaping(values: Values, own: Params, learner: Params, *, steps: int, rate: float) -> Params:
    """The gradient of one's mean value over M = `steps` episodes, with a naive step of the co-player after each.

    This is the gradient by `own` of (1 / M) sum over m < M of V_own(own, learner after m naive steps), through these
    steps. The source is Meulemans et al. 2025, section 4 and appendix C.
    """

    def value(own):
        return naive_learning(values, own, learner, steps=steps, rate=rate)[0][:, 0].mean(0).sum()

    return jax.grad(value)(own)


def lookahead(values: Values, own: Params, other: Params, *, steps: int, rate: float) -> Params:
    """The gradient of one's value after `steps` naive steps of the co-player, taken through these steps.

    This is LOLA in the form of LOLA-DiCE (Foerster et al. 2018b), with exact values: the gradient by `own` of
    V_own(own, other after `steps` steps).
    """

    def value(own):
        _, learned = naive_learning(values, own, other, steps=steps, rate=rate)
        return values(own, learned)[0].sum()

    return jax.grad(value)(own)


def lola(values: Values, own: Params, other: Params, *, rate: float) -> Params:
    """LOLA in its first form (Foerster et al. 2018a). To the gradient comes the effect of one's own parameters on the
    co-player's next step:

        d V_own / d own + rate * (d^2 V_other / d own d other) (d V_own / d other)
    """
    return naive(values, own, other) + rate * _shaping_term(values, own, other)


def sos(values: Values, own: Params, other: Params, *, rate: float, safety: float = 0.5, radius: float = 0.1) -> Params:
    """Stable opponent shaping (Letcher et al. 2019): look-ahead plus p times LOLA's shaping term.

    Let xi be both players' gradients, xi_0 = xi + rate H_offdiagonal xi their look-ahead, and chi their shaping terms.

        p_1 = 1 if <rate chi, xi_0> >= 0, else min(1, -safety |xi_0|^2 / <rate chi, xi_0>)
        p_2 = |xi|^2 if |xi| < radius, else 1
        direction = own part of xi_0 + min(p_1, p_2) rate chi

    By p_1, shaping never turns a player against the look-ahead; by p_2, shaping fades near fixed points.
    """
    sides = ((values, own, other), (swapped(values), other, own))
    plain = jnp.concatenate([naive(*side) for side in sides])
    ahead = plain + rate * jnp.concatenate([_lookahead_term(*side) for side in sides])
    shaped = rate * jnp.concatenate([_shaping_term(*side) for side in sides])
    along = (shaped * ahead).sum(0)
    against = along < 0
    first = jnp.where(against, jnp.minimum(1, -safety * (ahead**2).sum(0) / jnp.where(against, along, -1)), 1)
    squared = (plain**2).sum(0)
    second = jnp.where(squared < radius**2, squared, 1)
    return (ahead + jnp.minimum(first, second) * shaped)[: len(own)]


def mixture(*weighted: tuple[float, Method]) -> Method:
    """The weighted sum of methods: `mixture((0.4, lookahead_20), (0.6, naive))`."""
    return lambda values, own, other: sum(weight * method(values, own, other) for weight, method in weighted)


def rescaled(method: Method, factor: float) -> Method:
    """The method on values `factor` times as large, for methods whose settings are stated in other units."""
    return lambda values, own, other: method(lambda one, two: factor * values(one, two), own, other)


def _shaping_term(values: Values, own: Params, other: Params) -> Params:
    """(d^2 V_other / d own d other) (d V_own / d other): how one's own parameters turn the co-player's step."""
    worth = naive(lambda other, own: values(own, other), other, own)  # d V_own / d other
    return jax.grad(lambda own: (naive(swapped(values), other, own) * worth).sum())(own)


def _lookahead_term(values: Values, own: Params, other: Params) -> Params:
    """(d^2 V_own / d own d other) (d V_other / d other): how one's own gradient changes with the co-player's step."""
    step = naive(swapped(values), other, own)
    return jax.grad(lambda own: (naive(lambda other, own: values(own, other), other, own) * step).sum())(own)
