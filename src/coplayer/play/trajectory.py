"""Records of the rounds that were played, and each player's view of them. Time is the first axis."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer

from coplayer.games.matrix import START, MatrixGame, observe


class Episode(NamedTuple):
    """Some rounds in one player's view, at one table or at several side by side: the axes `*tables`."""

    observations: Integer[Array, "time *tables"] | Float[Array, "time *tables size"]
    """What the player saw before each round."""
    actions: Integer[Array, "time *tables"]
    rewards: Float[Array, "time *tables"]
    measures: dict[str, Float[Array, "time *tables"] | Bool[Array, "time *tables"]]
    """The game's measurements of the player, by name (see `Game.measure`)."""
    beyond: Integer[Array, "*tables"] | Float[Array, "*tables size"] | None
    """What the player sees after the last round."""


class Trajectory(eqx.Module):
    """The rounds of all tables, whatever the way they are recorded."""

    @abc.abstractmethod
    def view(self, player: int) -> Episode:
        """The rounds as one player saw them. `player`: its place in the list of players, not its seat."""


class JointActions(Trajectory):
    """Rounds of a matrix game, recorded as joint actions: one byte per round and table tells everything."""

    joint: Integer[Array, "time *tables"]
    """Joint actions in the view of player 0."""
    game: MatrixGame = eqx.field(static=True)
    turned: int | Int[Array, ""] = 0
    """1 where player 0 sits in seat 1 of the game, else 0."""

    @eqx.filter_jit
    def view(self, player: int) -> Episode:
        game, joint = self.game, self.joint.astype(jnp.int32)
        joint = joint if player == 0 else game.swap(joint)
        payoffs = seat_payoffs(game, player, self.turned)
        actions = game.own_action(joint)
        return Episode(
            observations=observations(joint, game.rounds),
            actions=actions,
            rewards=payoffs[joint],
            measures={"cooperation": game.cooperates(actions)},
            beyond=observe(joint[-1]),
        )


class Recorded(Trajectory):
    """Rounds of any game, as every player saw them."""

    episodes: tuple[Episode, ...]
    """Of each player."""
    ends: tuple[Array, ...] | None = None
    """What each player saw after each inner episode: `[inner episodes, *tables, ...]`. None: not kept."""

    def view(self, player: int) -> Episode:
        return self.episodes[player]


@eqx.filter_jit
def of_two_players(trajectory: JointActions) -> Recorded:
    """The same rounds with both players' views at hand, for those who look at them more than once."""
    return Recorded((trajectory.view(0), trajectory.view(1)))


def seat_payoffs(game: MatrixGame, player: int, turned: int | Int[Array, ""] = 0) -> Float[Array, " joint"]:
    """The rewards of a player, by the joint action in its own view. `turned`: 1 where player 0 sits in seat 1."""
    if isinstance(turned, int):
        return game.payoff_vector((player + turned) % 2)
    seats = jnp.stack([game.payoff_vector(seat) for seat in range(2)])
    return seats[(player + turned) % 2]


def observations(joint: Integer[Array, "time *tables"], rounds: int) -> Integer[Array, "time *tables"]:
    """The observations before each round of a matrix game, for the player in whose view the joint actions are. START
    comes before each first round of an episode of `rounds` rounds.
    """
    before = jnp.concatenate([jnp.full_like(joint[:1], START), observe(joint[:-1])])
    opens = (jnp.arange(joint.shape[0]) % rounds == 0).reshape(-1, *[1] * (joint.ndim - 1))
    return jnp.where(opens, START, before)
