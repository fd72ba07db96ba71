"""Who takes what share of a game, and whether one player's gain comes with the other's: the mark of extortion.

An extorter enforces a line between both players' rewards on which it gains more than the co-player from every
improvement (Press and Dyson 2012): a slope of its own reward on the co-player's above 1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Integer

from coplayer.games.matrix import MatrixGame


class RewardLine(NamedTuple):
    """Both players' mean rewards a round, by episode, and the least-squares line through them:
    own = intercept + slope * other. NaN where it is not defined.
    """

    share: Float[np.ndarray, ""]  # own reward of the sum of both, over all episodes
    slope: Float[np.ndarray, ""]
    intercept: Float[np.ndarray, ""]
    correlation: Float[np.ndarray, ""]


def reward_line(joint: Integer[Array, "rounds episodes"], game: MatrixGame) -> RewardLine:
    """From joint actions `[rounds, episodes]` in the evaluated player's view."""
    own = np.asarray(game.reward(joint, 0).mean(0), dtype=float)
    other = np.asarray(game.reward(game.swap(joint), 1).mean(0), dtype=float)
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
