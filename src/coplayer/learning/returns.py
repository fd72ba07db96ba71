"""Returns and advantages along a trajectory: pure functions of arrays, time on the first axis.

Index t runs over the T rounds. The value after the last round, V_T, is an argument of its own, `final_value`: zeros
where the trajectory ends with the episode. Values, returns and advantages have the unit of the rewards.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Number = float | Float[Array, ""]


def lambda_returns(
    rewards: Float[Array, "time *batch"],
    values: Float[Array, "time *batch"],
    final_value: Float[Array, "*batch"],
    *,
    gamma: Number,
    lambda_: Number,
) -> Float[Array, "time *batch"]:
    """Returns that mix all n-step returns with weights of lambda^n (Sutton and Barto 2018, section 12.1):

        G_t = r_t + gamma * ((1 - lambda) * V_{t+1} + lambda * G_{t+1}),      G_T = V_T

    lambda = 1 gives the discounted return, lambda = 0 the one-step target.
    """

    def step(following, at):
        following = backup(*at, following, gamma=gamma, lambda_=lambda_)
        return following, following

    return jax.lax.scan(step, final_value, (rewards, next_values(values, final_value)), reverse=True)[1]


def backup(
    reward: Float[Array, "*batch"],
    next_value: Float[Array, "*batch"],
    following: Float[Array, "*batch"],
    *,
    gamma: Number,
    lambda_: Number,
) -> Float[Array, "*batch"]:
    """One step of the recursion of `lambda_returns`: G_t from r_t, V_{t+1} and `following` = G_{t+1}."""
    return reward + gamma * ((1 - lambda_) * next_value + lambda_ * following)


def generalised_advantages(
    rewards: Float[Array, "time *batch"],
    values: Float[Array, "time *batch"],
    final_value: Float[Array, "*batch"],
    *,
    gamma: float,
    lambda_: Number,
) -> Float[Array, "time *batch"]:
    """Generalised advantage estimates, GAE(gamma, lambda) (Schulman et al. 2016, equation 16):

    delta_t = r_t + gamma * V_{t+1} - V_t
    A_t = delta_t + gamma * lambda * A_{t+1},      A_T = 0

    So A is the return of the errors delta, discounted by gamma * lambda.
    """
    errors = one_step_errors(rewards, values, final_value, gamma=gamma)
    return lambda_returns(errors, values, jnp.zeros_like(final_value), gamma=gamma * lambda_, lambda_=1.0)


def one_step_errors(
    rewards: Float[Array, "time *batch"],
    values: Float[Array, "time *batch"],
    final_value: Float[Array, "*batch"],
    *,
    gamma: float,
) -> Float[Array, "time *batch"]:
    """delta_t = r_t + gamma * V_{t+1} - V_t."""
    return rewards + gamma * next_values(values, final_value) - values


def next_values(
    values: Float[Array, "time *batch"], final_value: Float[Array, "*batch"]
) -> Float[Array, "time *batch"]:
    """V_{t+1} for every t."""
    return jnp.concatenate([values[1:], final_value[None]])
