"""Who takes which share of the rewards, and whether one player's gain comes with the other's: the mark of extortion.

An extorter enforces a line between both players' rewards, on which every improvement gives more to itself than to the
co-player (Press and Dyson 2012). The slope of its own reward on the co-player's is then above 1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from coplayer.play.trajectory import Trajectory


class RewardLine(NamedTuple):
    """Both players' mean rewards per round, by episode, and the least-squares line through them:
    own = intercept + slope * other. NaN where it is not defined.
    """

    share: Float[np.ndarray, ""]  # own reward of the sum of both, over all episodes
    slope: Float[np.ndarray, ""]
    intercept: Float[np.ndarray, ""]
    correlation: Float[np.ndarray, ""]


def reward_line(trajectory: Trajectory, player: int = 0) -> RewardLine:
    """The line of the episodes of a two-player game. `player`: the evaluated player's place among those who played."""
    own, other = (np.asarray(trajectory.view(side).rewards.mean(0), dtype=float) for side in (player, 1 - player))
    total = own.mean() + other.mean()
    own_part, other_part = own - own.mean(), other - other.mean()
    covariance, variance = (own_part * other_part).mean(), (other_part**2).mean()
    spread = np.sqrt((own_part**2).mean() * variance)
    slope = covariance / variance if variance > 0 else np.nan
    return RewardLine(
        share=np.asarray(own.mean() / total if total > 0 else np.nan),
        slope=np.asarray(slope),
        intercept=np.asarray(own.mean() - slope * other.mean()),
        correlation=np.asarray(covariance / spread if spread > 0 else np.nan),
    )
