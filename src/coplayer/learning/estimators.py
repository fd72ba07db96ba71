"""Estimators of the policy gradient of learning-aware agents, by name.

A new estimator is one function, and an entry in `ESTIMATORS` (see examples/advantage_alignment.py).
"""

from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float

from coplayer.learning import coala
from coplayer.learning.coala import Switches
from coplayer.learning.returns import Number


class Outcome(NamedTuple):
    """One replica's meta-trajectory: B games of M * T rounds against one co-player. Time comes first."""

    rewards: Float[Array, "time batch"]  # the agent's, times the setting reward_scale
    values: Float[Array, "time batch"]  # of scaled rewards: the agent's own, before each round
    final_value: Float[Array, " batch"]  # after the last round
    other_rewards: Float[Array, "time batch"]  # the co-player's, times reward_scale


@runtime_checkable
class Advantages(Protocol):
    """The advantages A. The policy gradient is the mean over the B games of sum_l grad log pi(a_l) A_l."""

    def __call__(
        self, outcome: Outcome, *, episode_length: int, gamma: float, gae_lambda: Number
    ) -> Float[Array, "time batch"]: ...


class Estimator(NamedTuple):
    """How an agent estimates its policy gradient."""

    label: str  # its name in figures
    against_naive: Advantages
    against_agents: Advantages  # against another meta agent, whose B games do not touch one another


def by_switches(
    outcome: Outcome, *, episode_length: int, gamma: float, gae_lambda: Number, switches: Switches
) -> Float[Array, "time batch"]:
    """The advantages of COALA-PG and its baselines (see `learning.coala`), for a mean over the B games."""
    weights = coala.advantages(
        outcome.rewards,
        outcome.values,
        outcome.final_value,
        episode_length=episode_length,
        gamma=gamma,
        gae_lambda=gae_lambda,
        switches=switches,
    )
    return coala.policy_scale(switches, outcome.rewards.shape[1]) * weights


BATCH_UNAWARE: Advantages = partial(by_switches, switches=coala.BATCH_UNAWARE)
ESTIMATORS: dict[str, Estimator] = {
    "coala": Estimator("COALA-PG", partial(by_switches, switches=coala.COALA), BATCH_UNAWARE),
    "m_fos": Estimator("M-FOS", partial(by_switches, switches=coala.M_FOS), BATCH_UNAWARE),
    "batch_unaware": Estimator("batch-unaware", BATCH_UNAWARE, BATCH_UNAWARE),
}
"""Estimators by the names that `--methods` takes."""
