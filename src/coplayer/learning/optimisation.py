"""What all gradient learners share: the optimiser, its settings, and those of the loss."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from coplayer.learning.returns import Number
from coplayer.settings import setting

ADAM_EPSILON = 1e-5
UPDATE_RULES: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": partial(optax.scale_by_adam, eps=ADAM_EPSILON),
    "sgd": optax.identity,
}
"""How a bounded gradient becomes a step for a unit learning rate, by the names that `--update-rule` takes."""


@dataclass(frozen=True)
class RateSettings:
    """Optimiser"""

    learning_rate: float = setting(1e-3)
    """Learning rate of the optimiser."""


@dataclass(frozen=True)
class AdamWSettings(RateSettings):
    """Optimiser: AdamW"""

    weight_decay: float = setting(1e-2, at_least=0)
    """AdamW's weight decay."""


@dataclass(frozen=True)
class BoundedSettings(RateSettings):
    """Optimiser: behind a bound on the gradient's norm"""

    learning_rate_end: float = setting(1.0, at_least=0, at_most=1)
    """Share of the learning rate that is left after it has fallen; 1: it stays as it is."""
    max_gradient_norm: float = setting(1.0)
    """Bound on the gradient's norm."""


@dataclass(frozen=True)
class BoundedAdamWSettings(BoundedSettings, AdamWSettings):
    """Optimiser: AdamW behind a bound on the gradient's norm; with --learning-rate-end below 1 the learning rate falls
    by a cosine within each phase"""

    beta1: float = setting(0.9, at_least=0, below=1)
    """AdamW's decay of the gradient's running mean."""
    beta2: float = setting(0.98, at_least=0, below=1)
    """AdamW's decay of the gradient's running square."""


@dataclass(frozen=True)
class OptimiserSettings(BoundedSettings):
    """Optimiser: behind a bound on the gradient's norm"""

    update_rule: str = setting("adam", among=UPDATE_RULES)
    """How the gradient becomes a step: by Adam, or by plain stochastic gradient descent."""
    learning_rate_from: int = setting(0, at_least=0)
    """Iteration from which the learning rate falls; first iterations among strangers alone do not count."""
    learning_rate_iterations: int = setting(0, at_least=0)
    """Iterations in which the learning rate falls; 0: all that are left."""
    annealing: str = setting("linear", among=("linear", "cosine"))
    """Shape in which the learning rate and the entropy coefficient fall, and in which the lambdas rise."""


@dataclass(frozen=True)
class DiscountSettings:
    """Returns"""

    gamma: float = setting(0.99, at_least=0, at_most=1)
    """Discount per round."""


@dataclass(frozen=True)
class LossSettings(DiscountSettings):
    """Returns and loss"""

    gae_lambda: float = setting(1.0, at_least=0, at_most=1)
    """Lambda of the generalised advantage estimates."""
    td_lambda: float = setting(1.0, at_least=0, at_most=1)
    """Lambda of the returns that the value is fitted to."""
    lambda_from: int = setting(0, at_least=0)
    """Iteration from which --gae-lambda and --td-lambda rise; first iterations among strangers alone do not count."""
    lambda_iterations: int = setting(0, at_least=0)
    """Iterations in which --gae-lambda and --td-lambda rise to 1; 0: both stay as they are."""
    reward_scale: float = setting(1.0)
    """Factor on the rewards in the loss; what is reported is unscaled."""
    centred: bool = setting(True)
    """Subtract the mean from the advantages, separately for each kind of co-player."""
    value_coefficient: float = setting(0.5, at_least=0)
    """Weight of the value's squared error in the loss."""
    entropy_coefficient: float = setting(0.0, at_least=0)
    """Weight of the policy's entropy in the loss."""
    entropy_end: float = setting(1.0, at_least=0, at_most=1)
    """Share of the entropy coefficient that is left after it has fallen; 1: it stays as it is."""
    entropy_from: int = setting(0, at_least=0)
    """Iteration from which the entropy coefficient falls; first iterations among strangers alone do not count."""
    entropy_iterations: int = setting(0, at_least=0)
    """Iterations in which the entropy coefficient falls; 0: all that are left."""


def falling(start: float, end: float, iterations: int, shape: str, begin: int = 0) -> optax.Schedule:
    """A number that goes from `start` to `start * end` in `iterations` from iteration `begin` on, and stays there."""
    if shape == "linear":
        return optax.linear_schedule(start, start * end, iterations, transition_begin=begin)
    cosine = optax.cosine_decay_schedule(start, iterations, alpha=end)
    return lambda iteration: cosine(jnp.maximum(iteration - begin, 0))


def learning_rate(optimiser: OptimiserSettings, iterations: int) -> optax.Schedule:
    """The learning rate by iteration, of a training of so many."""
    begin = optimiser.learning_rate_from
    count = optimiser.learning_rate_iterations or iterations - begin
    return falling(optimiser.learning_rate, optimiser.learning_rate_end, count, optimiser.annealing, begin)


def entropy_coefficient(loss: LossSettings, annealing: str, iterations: int) -> optax.Schedule:
    """The weight of the policy's entropy by iteration, of a training of so many."""
    count = loss.entropy_iterations or iterations - loss.entropy_from
    return falling(loss.entropy_coefficient, loss.entropy_end, count, annealing, loss.entropy_from)


def lambdas(loss: LossSettings, annealing: str, iteration: Int[Array, ""]) -> tuple[Number, Number]:
    """gae_lambda and td_lambda in an iteration."""
    if not loss.lambda_iterations:
        return loss.gae_lambda, loss.td_lambda
    gap = falling(1.0, 0.0, loss.lambda_iterations, annealing, loss.lambda_from)(iteration)
    return 1 - gap * (1 - loss.gae_lambda), 1 - gap * (1 - loss.td_lambda)


def rate_in_phase(optimiser: BoundedAdamWSettings, progress: Float[Array, ""]) -> Float[Array, ""]:
    """The learning rate at `progress` in [0, 1] through a phase, in which it falls by a cosine."""
    return optax.cosine_decay_schedule(optimiser.learning_rate, 1, alpha=optimiser.learning_rate_end)(progress)


class TrainState(NamedTuple):
    """A network in training; a pytree, so learners and seeds are further axes."""

    network: Any
    optimiser: optax.OptState


def new_state(network: Any, optimiser: OptimiserSettings) -> TrainState:
    """A network before its first update."""
    return TrainState(network, bounded(optimiser).init(network))


def bounded(optimiser: OptimiserSettings) -> optax.GradientTransformation:
    """Adam or gradient descent behind a bound on the gradient's norm, for a unit learning rate (see `descend`)."""
    rule = UPDATE_RULES[optimiser.update_rule]
    return optax.chain(optax.clip_by_global_norm(optimiser.max_gradient_norm), rule())


def adamw(optimiser: BoundedAdamWSettings) -> optax.GradientTransformation:
    """AdamW behind a bound on the gradient's norm, for a unit learning rate (see `descend`)."""
    return optax.chain(
        optax.clip_by_global_norm(optimiser.max_gradient_norm),
        optax.scale_by_adam(b1=optimiser.beta1, b2=optimiser.beta2),
        optax.add_decayed_weights(optimiser.weight_decay),
    )


def descend(model: PyTree, steps: PyTree, learning_rate: float | Float[Array, ""]) -> PyTree:
    """The model after the optimiser's steps against the gradient."""
    return eqx.apply_updates(model, jax.tree.map(lambda step: -learning_rate * step, steps))
