"""Tournaments: everybody against everybody, whoever the players are."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from coplayer.analysis import round_robin
from coplayer.errors import require, require_key, require_kind, require_whole
from coplayer.games.game import Game, require_game
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.play.seating import Trembling
from coplayer.players.automaton import Automaton, Members, stacked

MOST_TABLES = 2**17  # played side by side; more take too much memory


class Tournament(NamedTuple):
    """Everybody's matches with everybody, by the names' order."""

    names: tuple[str, ...]
    by_match: dict[str, Float[np.ndarray, "players players matches"]]
    """The reward per round, under "reward", and what the game measures. Each number is of the player of the row against
    the player of the column, the mean of a match."""

    @property
    def rewards(self) -> Float[np.ndarray, "players players"]:
        """Reward per round of the player of the row against the player of the column."""
        return self.by_match["reward"].mean(-1)

    @property
    def measures(self) -> dict[str, Float[np.ndarray, "players players"]]:
        """What the game measures of the player of the row, by name."""
        return {name: values.mean(-1) for name, values in self.by_match.items() if name != "reward"}

    def scores(self, *, itself: bool = True) -> Float[np.ndarray, "players matches"]:
        """Each player's mean reward per round against all, in the first match of every pair, in the second, and so on.
        `itself`: with its matches against itself. Axelrod's results are without these.
        """
        rewards, count = self.by_match["reward"], len(self.names)
        counts = np.ones((count, count, 1)) if itself or count == 1 else 1 - np.eye(count)[:, :, None]
        return (rewards * counts).sum(1) / counts.sum(1)

    def ranking(self, *, itself: bool = True) -> list[tuple[str, float]]:
        """Names and mean rewards per round against all (see `scores`); the best first."""
        means = self.scores(itself=itself).mean(-1)
        return [(self.names[i], float(means[i])) for i in np.argsort(-means, kind="stable")]

    def table(self) -> str:
        """The rewards as a Markdown table, the best player first."""
        order = [self.names.index(name) for name, _ in self.ranking()]
        rewards = self.rewards
        lines = ["| reward per round of | mean | " + " | ".join(f"against {self.names[j]}" for j in order) + " |"]
        lines.append("| --- " * (2 + len(order)) + "|")
        for i in order:
            cells = [f"{rewards[i].mean():.2f}", *(f"{rewards[i, j]:.2f}" for j in order)]
            lines.append(f"| {self.names[i]} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def tournament(
    players: Mapping[str, Player],
    game: Game,
    key: PRNGKeyArray,
    *,
    episodes: int = 100,
    inner_episodes: int = 1,
    noise: float = 0.0,
) -> Tournament:
    """Play every pair of players, each with itself too, in a two-player game. A pair plays `episodes` matches, in which
    the player that comes first sits in seat 0. With `inner_episodes` each match is that many episodes in a row.

    `noise`: the probability that a player takes another action than it chose (see `play.seating.Trembling`). Matches of
    automata that draw depend on the number of devices too.

    All automata (see `players.automaton`) play each other side by side, which is far faster than pair by pair. Raises
    `CoplayerError` where a player cannot play the game.
    """
    require_game(game)
    require(game.num_players == 2, f"game: a tournament needs a game of two players, this one has {game.num_players}")
    require_kind("players", players, Mapping)
    require_key(key)
    require(len(players) >= 1, "players: needs at least one")
    for name, number in (("episodes", episodes), ("inner_episodes", inner_episodes)):
        require_whole(name, number, at_least=1)
    require(0 <= noise <= 1, f"noise: must be a probability, got {noise}")
    names, count = tuple(players), len(players)
    by_match = {name: np.zeros((count, count, episodes), np.float32) for name in ("reward", *game.measures)}
    for number, bout in enumerate(_bouts(list(players.values()), most=max(1, MOST_TABLES // episodes))):
        single = len(bout.rows) == 1
        own_key = jax.random.fold_in(key, bout.rows[0] * count + bout.columns[0] if single else count**2 + number)
        new = bout.rows != bout.columns  # a player with itself: as seat 0 has it
        for name, (own, other) in _means(bout, game, own_key, episodes, inner_episodes, noise).items():
            by_match[name][bout.columns[new], bout.rows[new]] = other[new]
            by_match[name][bout.rows, bout.columns] = own
    return Tournament(names, by_match)


class Bout(NamedTuple):
    """Pairs of players that are played side by side."""

    first: Player
    second: Player
    rows: Int[np.ndarray, " pairs"]  # numbers of the first players
    columns: Int[np.ndarray, " pairs"]


def _means(
    bout: Bout, game: Game, key: PRNGKeyArray, episodes: int, inner_episodes: int, noise: float
) -> dict[str, Float[np.ndarray, "2 pairs matches"]]:
    """The means of each match, of the first players and of the second ones, by what is measured."""
    sides = (bout.first, bout.second)
    for player in sides:
        player.check(game)
    if all(isinstance(player, Members) for player in sides) and round_robin.fit(bout.first.automata):
        members = [np.asarray(player.members) for player in sides]
        found = round_robin.play_pairs(
            bout.first.automata, *members, game, key, matches=episodes, inner_episodes=inner_episodes, noise=noise
        )
        return {"reward": found.rewards, "cooperation": found.cooperation}
    hands = [_at_tables(player, episodes) if isinstance(player, Members) else player for player in sides]
    if noise:
        hands = [Trembling(player, noise, game.num_actions) for player in hands]
    match = play_match(hands, game, key, episodes=episodes * len(bout.rows), inner_episodes=inner_episodes)
    means: dict[str, list[np.ndarray]] = {}
    for view in (match.view(0), match.view(1)):
        for name, values in {"reward": view.rewards, **view.measures}.items():
            mean = np.asarray(values.astype(jnp.float32).mean(0)).reshape(len(bout.rows), episodes)
            means.setdefault(name, []).append(mean)
    return {name: np.stack(both) for name, both in means.items()}


def _bouts(players: list[Player], most: int) -> list[Bout]:
    """All pairs: automata among each other, any other player with all automata after it and with all before it, and all
    others pair by pair. At most `most` pairs are in a bout that `play_match` plays.
    """
    automata = [i for i, player in enumerate(players) if isinstance(player, Automaton)]
    others = [i for i in range(len(players)) if i not in automata]
    bouts = [Bout(players[i], players[j], np.array([i]), np.array([j])) for i in others for j in others if i <= j]
    if not automata:
        return bouts
    population = stacked([players[i] for i in automata])
    place = {number: at for at, number in enumerate(automata)}

    def members(numbers: list[int]) -> Members:
        return Members(population, jnp.array([place[number] for number in numbers], jnp.int32))

    def in_parts(pairs: list[tuple[int, int]], size: int = most) -> list[tuple[list[int], list[int]]]:
        parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        return [tuple(map(list, zip(*part, strict=True))) for part in parts]

    for i in others:
        for rows, columns in in_parts([(i, j) for j in automata if i < j]):
            bouts.append(Bout(players[i], members(columns), np.array(rows), np.array(columns)))
        for rows, columns in in_parts([(j, i) for j in automata if j < i]):
            bouts.append(Bout(members(rows), players[i], np.array(rows), np.array(columns)))
    together = [(i, j) for i in automata for j in automata if i <= j]
    for rows, columns in in_parts(together, len(together) if round_robin.fit(population) else most):
        bouts.append(Bout(members(rows), members(columns), np.array(rows), np.array(columns)))
    return bouts


def _at_tables(side: Members, episodes: int) -> Members:
    """Each of these automata at `episodes` tables."""
    return Members(side.automata, jnp.repeat(side.members, episodes))
