"""How a trained player does, round by round, against fixed and learning co-players."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from coplayer.games.matrix import COOPERATE, MatrixGame
from coplayer.players.match import Player, play_match
from coplayer.players.memory1 import Memory1, named_strategy
from coplayer.pools.tabular import draw_tables

OPPONENTS = (
    "tit_for_tat",
    "always_cooperate",
    "always_defect",
    "win_stay_lose_shift",
    "generous_tit_for_tat",
)
TABULAR, LEARNER = "tabular", "learner"


class Curves(NamedTuple):
    """Means over episodes in each round, of the evaluated player and of its co-player."""

    reward: np.ndarray  # [rounds]
    cooperation: np.ndarray  # [rounds]
    other_reward: np.ndarray
    other_cooperation: np.ndarray


def curves(joint, game: MatrixGame) -> Curves:
    """From joint actions `[rounds, episodes]` in the evaluated player's view."""
    joint = jnp.asarray(joint, dtype=jnp.int32)
    swapped = game.swap(joint)

    def mean(values) -> np.ndarray:
        return np.asarray(values.mean(-1))

    return Curves(
        reward=mean(game.reward(joint, 0)),
        cooperation=mean(game.own_action(joint) == COOPERATE),
        other_reward=mean(game.reward(swapped, 1)),
        other_cooperation=mean(game.other_action(joint) == COOPERATE),
    )


def against_fixed(player: Player, game: MatrixGame, key: PRNGKeyArray, *, episodes: int) -> dict[str, Curves]:
    """`player` against fresh tabular players and, in a two-action game, against each named strategy; all in one match."""
    tables = [jnp.moveaxis(draw_tables(jax.random.fold_in(key, 0), game, episodes), -1, 0)]
    names = [TABULAR]
    if game.num_actions == 2:
        for name in OPPONENTS:
            table = named_strategy(name).probabilities
            tables.append(jnp.broadcast_to(table, (episodes, *table.shape)))
            names.append(name)
    joint = play_match(
        player,
        Memory1(jnp.concatenate(tables)),
        game,
        jax.random.fold_in(key, 1),
        episodes=len(names) * episodes,
    )
    parts = np.asarray(joint).reshape(game.rounds, len(names), episodes)
    return {name: curves(parts[:, i], game) for i, name in enumerate(names)}
