"""A policy's signature in a matrix game: how often a player cooperates after each situation, early and late in an
episode.

The game says which action is cooperation. The rate after a situation that never happened is NaN.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Integer

from coplayer.games.matrix import MatrixGame

EARLY, LATE = 0.2, 0.4  # shares of an episode's rounds, from its beginning and to its end


class Signature(NamedTuple):
    """Rates of the evaluated player's cooperation."""

    first_move: Float[np.ndarray, ""]
    early: Float[np.ndarray, " joint"]  # after each joint action of the round before, in the player's view
    late: Float[np.ndarray, " joint"]
    after_defection: Float[np.ndarray, ""]  # after mutual cooperation, then a defection of the co-player alone
    after_cooperation: Float[np.ndarray, ""]  # after mutual defection, then cooperation of the co-player alone


def signature(joint: Integer[Array, "rounds episodes"], game: MatrixGame) -> Signature:
    """From joint actions `[rounds, episodes]` in the evaluated player's view.

    The rounds may be inner episodes in a row, each of `game.rounds` rounds. Nothing is counted across their ends.
    """
    joint = np.asarray(joint)
    rounds = len(joint)
    past = np.arange(rounds) % game.rounds  # rounds played in the same inner episode
    own, other = joint // game.num_actions == game.cooperation, joint % game.num_actions == game.cooperation

    def rate(happened: np.ndarray, answers: np.ndarray) -> np.ndarray:
        return np.asarray(answers[happened].mean() if happened.any() else np.nan)

    def after_each(first: int, last: int) -> np.ndarray:
        """Rounds `first` to `last - 1`, each by the joint action before it."""
        before, answers, counts = joint[first - 1 : last - 1], own[first:last], past[first:last, None] >= 1
        return np.stack([rate(counts & (before == j), answers) for j in range(game.num_joint)])

    both, neither = own & other, ~own & ~other
    cheated, offered = own & ~other, ~own & other
    counts = past[2:, None] >= 2
    return Signature(
        first_move=np.asarray(own[0].mean()),
        early=after_each(1, min(rounds, max(2, round(rounds * EARLY)))),
        late=after_each(max(1, rounds - round(rounds * LATE)), rounds),
        after_defection=rate(counts & both[:-2] & cheated[1:-1], own[2:]),
        after_cooperation=rate(counts & neither[:-2] & offered[1:-1], own[2:]),
    )
