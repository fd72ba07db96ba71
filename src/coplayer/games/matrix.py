"""Iterated two-player matrix games: rules only, as pure functions of integer arrays.

Everything is told in the first person, own action first. With n actions a round has n * n joint actions

    joint = own * n + other                     in 0 .. n*n - 1
    observation of the next round = 1 + joint   (0 is START, before the first round)

A whole episode, seen by one player, is therefore one byte a round.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from coplayer.errors import CoplayerError, require

START = 0
COOPERATE, DEFECT = 0, 1


class MatrixGame(eqx.Module):
    """A two-player simultaneous-move game, repeated for `rounds` rounds.

    `payoffs[i, own, other]` is player i's reward when it plays `own` and its co-player plays `other`.
    Kept as nested tuples, so a game is hashable and a constant under `jit`.
    """

    payoffs: tuple = eqx.field(static=True)
    rounds: int = eqx.field(static=True)

    def __init__(self, payoffs, rounds: int = 100):
        """`payoffs`: shape (n, n) for a symmetric game, or (2, n, n), each player's table with its own action first."""
        try:
            table = np.asarray(payoffs, dtype=float)
        except (TypeError, ValueError) as error:
            raise CoplayerError("payoffs: every row must have the same length and hold numbers only") from error
        if table.ndim == 2:
            table = np.stack([table, table])
        require(
            table.ndim == 3 and table.shape[0] == 2 and table.shape[1] == table.shape[2] >= 2,
            f"payoffs: shape must be (n, n) or (2, n, n) with n >= 2, got {np.shape(payoffs)}",
        )
        require(table.shape[1] <= 15, f"payoffs: at most 15 actions (a round is one byte), got {table.shape[1]}")
        require(bool(np.isfinite(table).all()), "payoffs: every entry must be finite")
        require(
            isinstance(rounds, (int, np.integer)) and rounds >= 1,
            f"rounds: must be a whole number of at least 1, got {rounds!r}",
        )
        self.payoffs = tuple(tuple(tuple(float(x) for x in row) for row in player) for player in table)
        self.rounds = int(rounds)

    @property
    def num_actions(self) -> int:
        return len(self.payoffs[0])

    @property
    def num_joint(self) -> int:
        """Joint actions of a round, n * n."""
        return self.num_actions**2

    @property
    def num_observations(self) -> int:
        """START and one observation a joint action, 1 + n * n."""
        return 1 + self.num_joint

    @property
    def symmetric(self) -> bool:
        """Whether both players face the same table."""
        return self.payoffs[0] == self.payoffs[1]

    def seen_by(self, player: int) -> "MatrixGame":
        """The same game with `player` in the first seat."""
        return self if player == 0 else MatrixGame(self.payoffs[::-1], self.rounds)

    def payoff_vector(self, player: int = 0) -> Float[Array, " joint"]:
        """Rewards of `player`, indexed by its joint action."""
        return jnp.asarray(self.payoffs[player], dtype=jnp.float32).reshape(-1)

    def joint(self, own: Integer[Array, "..."], other: Integer[Array, "..."]) -> Integer[Array, "..."]:
        """The joint action in the view of the player whose action is `own`."""
        return own * self.num_actions + other

    def own_action(self, joint: Integer[Array, "..."]) -> Integer[Array, "..."]:
        return joint // self.num_actions

    def other_action(self, joint: Integer[Array, "..."]) -> Integer[Array, "..."]:
        return joint % self.num_actions

    def swap(self, joint: Integer[Array, "..."]) -> Integer[Array, "..."]:
        """The same round in the co-player's view."""
        return self.joint(self.other_action(joint), self.own_action(joint))

    def reward(self, joint: Integer[Array, "..."], player: int = 0) -> Float[Array, "..."]:
        """Reward of `player` for its joint action."""
        return self.payoff_vector(player)[joint]


def observe(joint: Integer[Array, "..."]) -> Integer[Array, "..."]:
    """The observation that follows a joint action."""
    return joint + 1


def prisoners_dilemma(rounds: int = 100) -> MatrixGame:
    """The iterated prisoner's dilemma of Weis et al. 2026: CC 1, CD -1, DC 2, DD 0 (cooperate = 0, defect = 1)."""
    return MatrixGame([[1.0, -1.0], [2.0, 0.0]], rounds=rounds)
