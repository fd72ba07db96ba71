"""Learning-aware policy gradients: COALA-PG, M-FOS and the batch-unaware estimator (Meulemans et al. 2025, section 3).

A meta agent plays a *meta-trajectory* of M inner episodes of T rounds, L = M T, in B parallel games. All B games are
against one naive co-player, who learns from its B trajectories after each inner episode. One such set of games is a
*replica*. All functions here are for one replica; callers vmap over replicas, which never mix. Time comes first, the B
games second.

The objective is J = E[1/B sum_b sum_l r_l^b]. Let m be the inner episode that holds step l. Three estimates of the
gradient of J differ in the weight A of grad log pi(a_l^b | h_l^b) alone. Here gamma = lambda = 1, and there is no
value:

    estimator       A_l^b                                                              over the games b
    COALA-PG        1/B sum_{k=l}^{mT} r_k^b  +  1/B sum_b' sum_{k>mT} r_k^b'          sum
    M-FOS               sum_{k=l}^{mT} r_k^b  +  1/B sum_b' sum_{k>mT} r_k^b'          mean
    batch-unaware       sum_{k=l}^{mT} r_k^b  +             sum_{k>mT} r_k^b           mean

    grad J  ~  mean over replicas of  sum or mean over b of  sum_l grad log pi(a_l^b | h_l^b) A_l^b

COALA-PG is unbiased (theorem 3.1). The batch-unaware estimate is so where the games of a replica do not touch one
another, as against another meta agent. M-FOS gives the current inner episode B times its weight beside the later ones.
The paper prints M-FOS with a sum. Here M-FOS has a mean, which keeps the current inner episode, in all three, in the
unit of J. What is added to the gradient (that against meta co-players, an entropy bonus, the value's) then weighs the
same in all three. `policy_scale` is the factor, B or 1, that turns a mean over the games into the table's last column.

A value changes no mean of COALA-PG and of the batch-unaware estimate. For COALA-PG, the errors r + V' - V over an inner
episode add up to the rewards, less V_l^b, plus V_{mT+1}^b. The average over the games takes V_{mT+1} of every game away
again. This leaves -1/B V_l^b and -1/B times V_{mT+1} of the other games, and a_l^b bears on neither, as the co-player
stands still until then. M-FOS does not divide the current inner episode by B. So it is left with V_{mT+1}^b less the
mean of V_{mT+1} over the games, on which a_l^b does bear. A value that tells the games apart gives M-FOS some of the
future that it otherwise loses.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from coplayer.errors import require
from coplayer.learning.returns import Number, backup, lambda_returns, next_values, one_step_errors


class Switches(NamedTuple):
    """The two switches of algorithm 1."""

    average_future_episodes: bool  # what comes after the current inner episode: a mean over all B games, or one's own
    normalize_current_episode: bool  # divide the current inner episode's rewards by B


COALA = Switches(average_future_episodes=True, normalize_current_episode=True)
M_FOS = Switches(average_future_episodes=True, normalize_current_episode=False)
BATCH_UNAWARE = Switches(average_future_episodes=False, normalize_current_episode=False)


def policy_scale(switches: Switches, batch: int) -> float:
    """The factor on a policy loss that is a *mean* over the B games of a replica. The factor makes of it the sum or
    mean of the formulas above. It is B where the current inner episode's rewards are divided by B, else 1.
    """
    return float(batch) if switches.normalize_current_episode else 1.0


def batch_lambda_returns(
    rewards: Float[Array, "time batch"],
    values: Float[Array, "time batch"],
    final_value: Float[Array, " batch"],
    *,
    episode_length: int,
    gamma: Number,
    lambda_: Number,
    switches: Switches,
) -> Float[Array, "time batch"]:
    """Batch lambda returns (Meulemans et al. 2025, algorithm 1). From the last step to the first, with g = gamma and
    norm = B or 1:

        own = mean = final_value (the mean over B)
        if average_future_episodes and t ends an inner episode:  own <- mean
        own_t  <- r_t / norm + g ((1 - lambda) V_{t+1} + lambda own)
        mean_t <- mean over b of  r_t + g ((1 - lambda) V_{t+1} + lambda mean)

    The result is `own`. With both switches off these are `lambda_returns` of each game. The end of an inner episode is
    not terminal. Only `rewards` are divided by B: with lambda < 1 the values are not.
    """
    steps, batch = rewards.shape
    require(
        episode_length >= 1 and steps % episode_length == 0,
        f"episode_length: must divide the {steps} steps of a meta-trajectory, got {episode_length}",
    )
    scaled = rewards / batch if switches.normalize_current_episode else rewards
    if not switches.average_future_episodes:
        return lambda_returns(scaled, values, final_value, gamma=gamma, lambda_=lambda_)

    def step(following, at):
        own, mean = following
        reward, scaled, next_value, ends = at
        own = backup(scaled, next_value, jnp.where(ends, mean, own), gamma=gamma, lambda_=lambda_)
        mean = backup(reward.mean(), next_value.mean(), mean, gamma=gamma, lambda_=lambda_)
        return (own, mean), own

    ends = jnp.arange(1, steps + 1) % episode_length == 0
    along = (rewards, scaled, next_values(values, final_value), ends)
    return jax.lax.scan(step, (final_value, final_value.mean()), along, reverse=True)[1]


def advantages(
    rewards: Float[Array, "time batch"],
    values: Float[Array, "time batch"],
    final_value: Float[Array, " batch"],
    *,
    episode_length: int,
    gamma: float,
    gae_lambda: Number,
    switches: Switches,
) -> Float[Array, "time batch"]:
    """The weights A of grad log pi (Meulemans et al. 2025, section 3 and algorithm 1). They are batch lambda returns,
    from 0, of the errors delta_t = r_t + gamma V_{t+1} - V_t, discounted by gamma * gae_lambda.

    For COALA and M_FOS, gamma * gae_lambda < 1 fades the shaping signal by its T-th power per inner episode.
    """
    return batch_lambda_returns(
        one_step_errors(rewards, values, final_value, gamma=gamma),
        values,
        jnp.zeros_like(final_value),
        episode_length=episode_length,
        gamma=gamma * gae_lambda,
        lambda_=1.0,
        switches=switches,
    )


class AdvantageParts(NamedTuple):
    """Advantages as the sum of two: the ratio of their policy gradients' norms is the gradient balance."""

    current: Float[Array, "time batch"]  # terms of the step's own inner episode
    future: Float[Array, "time batch"]  # terms of the inner episodes after it


def advantage_parts(
    rewards: Float[Array, "time batch"],
    values: Float[Array, "time batch"],
    final_value: Float[Array, " batch"],
    *,
    episode_length: int,
    gamma: float,
    gae_lambda: Number,
    switches: Switches,
) -> AdvantageParts:
    """`advantages`, in two parts that add up to them (Meulemans et al. 2025, figure 12).

    The parts are of the errors delta. The current part holds gamma V at the first step of the next inner episode, and
    the future part takes gamma V away. With `values` and `final_value` of 0 they are the parts of the rewards.
    """
    settings = {"episode_length": episode_length, "gamma": gamma, "gae_lambda": gae_lambda, "switches": switches}
    whole = advantages(rewards, values, final_value, **settings)
    errors = one_step_errors(rewards, values, final_value, gamma=gamma)
    scaled = errors / rewards.shape[1] if switches.normalize_current_episode else errors
    episodes = scaled.reshape(-1, episode_length, rewards.shape[1]).swapaxes(0, 1)
    none = jnp.zeros(episodes.shape[1:])
    current = lambda_returns(episodes, episodes, none, gamma=gamma * gae_lambda, lambda_=1.0)
    current = current.swapaxes(0, 1).reshape(rewards.shape)
    return AdvantageParts(current, whole - current)


def value_targets(
    rewards: Float[Array, "time *batch"],
    values: Float[Array, "time *batch"],
    final_value: Float[Array, "*batch"],
    *,
    gamma: float,
    td_lambda: Number,
) -> Float[Array, "time *batch"]:
    """Targets of the critic, batch-unaware for every estimator (Meulemans et al. 2025, section 3). They are the lambda
    returns of each game by itself, through the ends of inner episodes. Of any number of replicas at once.
    """
    return lambda_returns(rewards, values, final_value, gamma=gamma, lambda_=td_lambda)
