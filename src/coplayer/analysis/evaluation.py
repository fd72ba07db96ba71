"""How a trained player does, round by round, against fixed and learning co-players."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, PRNGKeyArray, UInt8

from coplayer.games.matrix import COOPERATE, MatrixGame
from coplayer.players.match import InformedPlayer, Player, play_match
from coplayer.players.memory1 import Memory1, named_strategy
from coplayer.pools.tabular import draw_tables

OPPONENTS = (
    "tit_for_tat",
    "always_cooperate",
    "always_defect",
    "win_stay_lose_shift",
    "generous_tit_for_tat",
)
TABULAR, LEARNER, FROZEN = "tabular", "learner", "frozen"


class Curves(NamedTuple):
    """Means over episodes in each round, of the evaluated player and of its co-player."""

    reward: np.ndarray  # [rounds]
    cooperation: np.ndarray  # [rounds]
    other_reward: np.ndarray
    other_cooperation: np.ndarray


def curves(joint: Integer[Array, "rounds episodes"], game: MatrixGame) -> Curves:
    """From joint actions `[rounds, episodes]` in the evaluated player's view."""
    swapped = game.swap(joint)

    def mean(values) -> np.ndarray:
        return np.asarray(values.mean(-1))

    return Curves(
        reward=mean(game.reward(joint, 0)),
        cooperation=mean(game.own_action(joint) == COOPERATE),
        other_reward=mean(game.reward(swapped, 1)),
        other_cooperation=mean(game.other_action(joint) == COOPERATE),
    )


def matches_against_fixed(
    player: Player, game: MatrixGame, key: PRNGKeyArray, *, episodes: int, inner_episodes: int = 1
) -> dict[str, UInt8[Array, "rounds episodes"]]:
    """Joint actions of `player` against fresh tabular players and, in a two-action game, each named strategy; played
    as one match of all of them. A player who can be told whom it meets is told. `inner_episodes`: see `play_match`.
    """
    tables = [jnp.moveaxis(draw_tables(jax.random.fold_in(key, 0), game, episodes), -1, 0)]
    names = [TABULAR]
    if game.num_actions == 2:
        names += OPPONENTS
        named = jnp.stack([named_strategy(name).probabilities for name in OPPONENTS])
        tables.append(jnp.repeat(named, episodes, axis=0))
    opponents = jax.device_put(Memory1(jnp.concatenate(tables)), _device_of(player))
    if isinstance(player, InformedPlayer):
        player = player.told(opponents.probabilities)
    joint = play_match(
        player,
        opponents,
        game,
        jax.random.fold_in(key, 1),
        episodes=len(names) * episodes,
        inner_episodes=inner_episodes,
    )
    return {name: joint[:, i * episodes : (i + 1) * episodes] for i, name in enumerate(names)}


def against_fixed(player: Player, game: MatrixGame, key: PRNGKeyArray, *, episodes: int) -> dict[str, Curves]:
    """Mean curves of the matches of `matches_against_fixed`, by the opponent's name."""
    matches = matches_against_fixed(player, game, key, episodes=episodes)
    return {name: curves(joint, game) for name, joint in matches.items()}


def _device_of(player: Player) -> jax.Device | None:
    arrays = [leaf for leaf in jax.tree.leaves(player) if isinstance(leaf, jax.Array)]
    return next(iter(arrays[0].devices())) if arrays else None
