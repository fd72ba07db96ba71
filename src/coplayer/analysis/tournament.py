"""Tournaments: everybody against everybody, whoever the players are."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from coplayer.errors import require, require_key, require_kind
from coplayer.games.game import Game, require_game
from coplayer.play.player import Player
from coplayer.play.rollout import play_match


class Tournament(NamedTuple):
    """Means over all rounds and episodes of every pair, by the names' order."""

    names: tuple[str, ...]
    rewards: Float[np.ndarray, "players players"]
    """Reward per round of the player of the row against the player of the column."""
    measures: dict[str, Float[np.ndarray, "players players"]]
    """What the game measures of the player of the row, by name."""

    def ranking(self) -> list[tuple[str, float]]:
        """Names and mean rewards per round against all, the player itself included; the best first."""
        means = self.rewards.mean(1)
        return [(self.names[i], float(means[i])) for i in np.argsort(-means, kind="stable")]

    def table(self) -> str:
        """The rewards as a Markdown table, the best player first."""
        order = [self.names.index(name) for name, _ in self.ranking()]
        lines = ["| reward per round of | mean | " + " | ".join(f"against {self.names[j]}" for j in order) + " |"]
        lines.append("| --- " * (2 + len(order)) + "|")
        for i in order:
            cells = [f"{self.rewards[i].mean():.2f}", *(f"{self.rewards[i, j]:.2f}" for j in order)]
            lines.append(f"| {self.names[i]} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def tournament(
    players: Mapping[str, Player], game: Game, key: PRNGKeyArray, *, episodes: int = 100, inner_episodes: int = 1
) -> Tournament:
    """Play every pair of players, each with itself too, in a two-player game: one match of `episodes` episodes a pair,
    in which the one that comes first sits in seat 0. With `inner_episodes` each is that many episodes in a row.

    Raises `CoplayerError` where a player cannot play the game.
    """
    require_game(game)
    require(game.num_players == 2, f"game: a tournament needs a game of two players, this one has {game.num_players}")
    require_kind("players", players, Mapping)
    require_key(key)
    require(len(players) >= 1, "players: needs at least one")
    names, count = tuple(players), len(players)
    rewards = np.zeros((count, count))
    measures = {name: np.zeros((count, count)) for name in game.measures}
    for i in range(count):
        for j in range(i, count):
            pair = (players[names[i]], players[names[j]])
            own_key = jax.random.fold_in(key, i * count + j)
            match = play_match(pair, game, own_key, episodes=episodes, inner_episodes=inner_episodes)
            views = [match.view(seat) for seat in range(2 if i != j else 1)]
            for view, (row, column) in zip(views, ((i, j), (j, i)), strict=False):
                rewards[row, column] = view.rewards.mean()
                for name, values in view.measures.items():
                    measures[name][row, column] = values.mean()
    return Tournament(names, rewards, measures)
