"""How a trained player does, round by round, against fixed and learning co-players."""

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from coplayer.errors import require, require_key
from coplayer.games.game import Game
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import Episode, JointActions, Recorded, Trajectory
from coplayer.players.memory1 import TabularPlayers, fits_named_strategies, named_strategy
from coplayer.pools.tabular import draw_tables, has_tables

OPPONENTS = (
    "tit_for_tat",
    "always_cooperate",
    "always_defect",
    "win_stay_lose_shift",
    "generous_tit_for_tat",
)
TABULAR, LEARNER, FROZEN = "tabular", "learner", "frozen"


@runtime_checkable
class Informed(Protocol):
    """A player that can be told whom it meets."""

    def told(self, probabilities: Float[Array, "batch observations actions"]) -> Player:
        """The player who knows the tabular co-player of each of its next `batch` episodes."""


def curves(trajectory: Trajectory, player: int = 0) -> dict[str, np.ndarray]:
    """Means over episodes in each round `[rounds]`, for a game of two players: `reward` and the game's measures. Those
    of the evaluated player have these names, those of its co-player `other_reward` and so on.

    `player`: the evaluated player's place in the list of those who played.
    """
    if isinstance(trajectory, Recorded):
        count = len(trajectory.episodes)
        require(count == 2, f"trajectory: must be of a game of two players, this one has {count}")
    sides = {"": trajectory.view(player), "other_": trajectory.view(1 - player)}
    return {
        f"{whose}{name}": np.asarray(values.mean(-1))
        for whose, view in sides.items()
        for name, values in {"reward": view.rewards, **view.measures}.items()
    }


def named_opponents(game: Game) -> tuple[str, ...]:
    """The strategies by name that a player of the game can meet."""
    return OPPONENTS if fits_named_strategies(game) else ()


def matches_against_fixed(
    player: Player, game: Game, key: PRNGKeyArray, *, episodes: int, inner_episodes: int = 1, seat: int = 0
) -> dict[str, Trajectory]:
    """Matches of `player`, in a seat of a two-player game, against fresh tabular players and each named strategy.

    All are played as one match. The player is player 0 of each trajectory. A player who can be told whom it meets is
    told. A game whose observations are vectors has no tabular players; then there is no match. `inner_episodes`: see
    `play_match`.
    """
    require(game.num_players == 2, f"game: must be a game of two players, this one has {game.num_players}")
    require_key(key)
    if not has_tables(game):
        return {}
    tables = [draw_tables(jax.random.fold_in(key, 0), game, episodes)]
    names = [TABULAR, *named_opponents(game)]
    if len(names) > 1:
        named = jnp.stack([named_strategy(name).probabilities for name in names[1:]], axis=-1)
        tables.append(jnp.repeat(named, episodes, axis=-1))
    opponents = jax.device_put(TabularPlayers(jnp.concatenate(tables, axis=-1)), _device_of(player))
    if isinstance(player, Informed):
        player = player.told(jnp.moveaxis(opponents.tables, -1, 0))
    trajectory = play_match(
        (player, opponents),
        game,
        jax.random.fold_in(key, 1),
        episodes=len(names) * episodes,
        inner_episodes=inner_episodes,
        turned=seat,
    )
    return {name: some_tables(trajectory, slice(i * episodes, (i + 1) * episodes)) for i, name in enumerate(names)}


def some_tables(trajectory: Trajectory, at: slice) -> Trajectory:
    """The rounds of some of the tables that were played side by side."""
    if isinstance(trajectory, JointActions):
        return eqx.tree_at(lambda all_tables: all_tables.joint, trajectory, trajectory.joint[:, at])

    def part(episode: Episode) -> Episode:
        rounds = jax.tree.map(lambda leaf: leaf[:, at], episode._replace(beyond=None))
        return rounds._replace(beyond=episode.beyond[at])

    return Recorded(tuple(map(part, trajectory.episodes)))


def against_fixed(player: Player, game: Game, key: PRNGKeyArray, *, episodes: int) -> dict[str, dict[str, np.ndarray]]:
    """Mean curves of the matches of `matches_against_fixed`, by the opponent's name."""
    matches = matches_against_fixed(player, game, key, episodes=episodes)
    return {name: curves(trajectory) for name, trajectory in matches.items()}


def _device_of(player: Player) -> jax.Device | None:
    arrays = [leaf for leaf in jax.tree.leaves(player) if isinstance(leaf, jax.Array)]
    return next(iter(arrays[0].devices())) if arrays else None
