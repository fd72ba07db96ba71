"""Iterated two-player matrix games.

Joint actions and observations are in the first person, own action first. With n actions a round has n * n joint
actions:

    joint = own * n + other                         in 0 .. n * n - 1
    observation before the next round = 1 + joint   (0 is START, before the first round)

So one byte per round tells a whole episode, in one player's view. The other player's view is `swap` of it.
"""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, PRNGKeyArray

from coplayer.errors import CoplayerError, require, require_whole
from coplayer.games.game import Symbol
from coplayer.settings import setting

START = 0
COOPERATE, DEFECT = 0, 1
MOST_ACTIONS = 15  # with more, an observation, 1 + joint action, would not fit a byte


@dataclass(frozen=True)
class MatrixGame:
    """A game of two players who move at the same time, repeated for `rounds` rounds; a `Game` (see `games.game`)."""

    payoffs: tuple[float, ...] = setting(nested=True)
    """Own reward for each own action (rows) and co-player's action (columns), row by row: n * n numbers. Where the two
    players' tables differ: 2 * n * n numbers, the first player's table first. Or nested: (n, n) or (2, n, n)."""
    rounds: int = 100
    """Rounds of an episode."""
    cooperation: int = COOPERATE
    """The action that is reported as cooperation."""

    num_players: ClassVar[int] = 2

    def __init_subclass__(cls, **_: Any) -> None:
        raise CoplayerError(
            f"{cls.__name__}: a MatrixGame is played from its payoffs alone; a game with rules of its own is a"
            " coplayer.Game, written as a class without this base"
        )

    def __init__(self, payoffs: Any, rounds: int = 100, cooperation: int = COOPERATE):
        """Check all settings, and keep the payoffs flat: n * n numbers where both tables are equal, else 2 * n * n."""
        tables = _tables(payoffs)
        require(
            tables.shape[1] <= MOST_ACTIONS,
            f"payoffs: at most {MOST_ACTIONS} actions (a round is one byte), got {tables.shape[1]}",
        )
        require(bool(np.isfinite(tables).all()), "payoffs: every entry must be finite")
        for name, value, least in (("rounds", rounds, 1), ("cooperation", cooperation, 0)):
            require_whole(name, value, at_least=least)
        require(
            cooperation < tables.shape[1],
            f"cooperation: must be one of the actions 0 to {tables.shape[1] - 1}, got {cooperation}",
        )
        alike = bool((tables[0] == tables[1]).all())
        given = tables[0] if alike else tables
        object.__setattr__(self, "payoffs", tuple(float(x) for x in given.ravel()))
        object.__setattr__(self, "rounds", int(rounds))
        object.__setattr__(self, "cooperation", int(cooperation))

    @property
    def tables(self) -> Float[np.ndarray, "2 own other"]:
        """Each player's rewards by own action and co-player's action, `[player, own, other]`."""
        return _tables(self.payoffs)

    @property
    def symmetric(self) -> bool:
        """Whether both players face the same table."""
        return len(self.payoffs) == self.num_joint

    @property
    def num_actions(self) -> int:
        return _tables(self.payoffs).shape[1]

    @property
    def num_joint(self) -> int:
        """Joint actions of a round, n * n."""
        return self.num_actions**2

    @property
    def observation_space(self) -> Symbol:
        """START and one symbol for each joint action: 1 + n * n."""
        return Symbol(1 + self.num_joint)

    @property
    def measures(self) -> tuple[str, ...]:
        return ("cooperation",)

    def reset(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """The state before the first round. A state is the observation of the player in seat 0."""
        return jnp.asarray(START)

    def step(
        self, state: Int[Array, ""], actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[Int[Array, ""], Float[Array, " players"]]:
        joint = self.joint(actions[0], actions[1])
        return observe(joint), jnp.stack([self.reward(joint, 0), self.reward(self.swap(joint), 1)])

    def observe(self, state: Int[Array, ""], player: int | Int[Array, ""]) -> Int[Array, ""]:
        return jnp.where(player == 0, state, self.seen_opposite(state))

    def measure(self, before, actions, after, player) -> dict[str, Bool[Array, ""]]:
        return {"cooperation": actions[player] == self.cooperation}

    def seen_by(self, player: int) -> "MatrixGame":
        """The same game with `player` in the first seat."""
        return self if player == 0 or self.symmetric else MatrixGame(self.tables[::-1], self.rounds, self.cooperation)

    def payoff_vector(self, player: int = 0) -> Float[Array, " joint"]:
        """Rewards of `player`, indexed by its joint action."""
        return jnp.asarray(self.tables[player], dtype=jnp.float32).reshape(-1)

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

    def seen_opposite(self, observation: Integer[Array, "..."]) -> Integer[Array, "..."]:
        """The co-player's observation, from one's own."""
        return jnp.where(observation == START, START, observe(self.swap(observation - 1)))

    def reward(self, joint: Integer[Array, "..."], player: int = 0) -> Float[Array, "..."]:
        """Reward of `player` for its joint action."""
        return self.payoff_vector(player)[joint]

    def cooperates(self, action: Integer[Array, "..."]) -> Bool[Array, "..."]:
        """Which of these actions count as cooperation."""
        return action == self.cooperation


def _tables(payoffs) -> Float[np.ndarray, "2 own other"]:
    """Both players' tables from flat or nested payoffs."""
    try:
        entries = np.asarray(payoffs, dtype=object).ravel()
        table = np.asarray(payoffs, dtype=float)
    except (TypeError, ValueError) as error:
        raise CoplayerError("payoffs: every row must have the same length and hold numbers only") from error
    numbers = all(isinstance(entry, Real | np.number) and not isinstance(entry, bool) for entry in entries)
    require(numbers, "payoffs: every row must have the same length and hold numbers only")
    if table.ndim == 1:
        for players in (1, 2):
            actions = math.isqrt(table.size // players)
            if actions >= 2 and players * actions**2 == table.size:
                return table.reshape(players, actions, actions).repeat(3 - players, 0)
        raise CoplayerError(f"payoffs: needs n * n numbers, or 2 * n * n, for n >= 2 actions; got {table.size}")
    if table.ndim == 2:
        table = np.stack([table, table])
    require(
        table.ndim == 3 and table.shape[0] == 2 and table.shape[1] == table.shape[2] >= 2,
        f"payoffs: shape must be (n, n) or (2, n, n) with n >= 2, got {np.shape(payoffs)}",
    )
    return table


def observe(joint: Integer[Array, "..."]) -> Integer[Array, "..."]:
    """The observation that follows a joint action."""
    return joint + 1


def prisoners_dilemma(rounds: int = 100) -> MatrixGame:
    """The iterated prisoner's dilemma of Weis et al. 2026: CC 1, CD -1, DC 2, DD 0 (cooperate = 0, defect = 1)."""
    return MatrixGame((1.0, -1.0, 2.0, 0.0), rounds)
