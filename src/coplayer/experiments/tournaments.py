"""Tournaments of players by name and of trained agents, written to a folder: tables, pictures, populations."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from coplayer.analysis.populations import MOST_STEPS, moran, replicator
from coplayer.analysis.statistics import interval
from coplayer.analysis.tournament import Tournament, tournament
from coplayer.errors import require, require_whole
from coplayer.experiments import registry
from coplayer.experiments.pretrained import pretrained
from coplayer.experiments.words import ALL, run_of
from coplayer.figures.tournaments import draw_matrices, draw_population, draw_ranking
from coplayer.games.matrix import MatrixGame
from coplayer.play.player import Player
from coplayer.players.automaton import axelrod_automata, named_automaton
from coplayer.runs.files import require_new_folder, write_rows

TIME = 50.0  # of the replicator dynamics
RUNS = 1000  # of the Moran process


class Held(NamedTuple):
    """A tournament, and where its ranking is as a table and as a picture."""

    tournament: Tournament
    table: Path
    picture: Path


def players_of(words: Sequence[str]) -> dict[str, Player]:
    """Players by words. A word is the name of a strategy (see `players.automaton.named_automaton`), or "axelrod" for
    all strategies of the Axelrod library that are finite automata. Or it is the folder of a run for all its agents, or
    the name of agents that come with the package (see `experiments.pretrained`). Raises `CoplayerError` for a player
    that is named twice, and for a word that means none or that has two meanings (see `experiments.words`).
    """
    found: dict[str, Player] = {}
    for word in words:
        if (folder := run_of(word, "players")) is not None:
            added = {f"{word} {i}": agent for i, agent in enumerate(registry.load(folder.path))}
        elif word in pretrained.list():
            added = {f"{word} {i}": agent for i, agent in enumerate(pretrained(word))}
        elif word == ALL:
            added = dict(axelrod_automata())
        else:
            added = {word: named_automaton(word)}
        twice = sorted(added.keys() & found.keys())
        require(not twice, f"players: {', '.join(twice)} named twice")
        found |= added
    return found


def hold(
    players: dict[str, Player],
    game: MatrixGame,
    out: Path,
    *,
    matches: int = 20,
    inner_episodes: int = 1,
    noise: float = 0.0,
    seed: int = 0,
    population: int = 0,
) -> Held:
    """Hold a tournament and write tables and pictures to the new folder `out`. ranking.csv has 95% bootstrap intervals
    over the matches, rewards.csv and cooperation.csv have every pair.

    `population`: players of each type in a Moran process whose payoffs are the rewards (fitness exp(reward)). Its
    shares of runs and the replicator dynamics, from equal shares on, are written too. 0: no population.
    """
    require_new_folder(out)
    for name, value, least in (("matches", matches, 1), ("population", population, 0)):
        require_whole(name, value, at_least=least)
    key, later = jax.random.split(jax.random.key(seed))
    held = tournament(players, game, key, episodes=matches, inner_episodes=inner_episodes, noise=noise)
    names, scores = held.names, held.scores()
    order = np.argsort(-scores.mean(-1), kind="stable")
    rows = [("rank", "player", "reward", "low", "high", *held.measures)]
    for place, i in enumerate(order, 1):
        low, high = interval(scores[i]) if matches > 1 else (scores[i, 0],) * 2
        measured = (values[i].mean() for values in held.measures.values())
        rows.append((place, names[i], *(f"{value:.4f}" for value in (scores[i].mean(), low, high, *measured))))
    write_rows(out / "ranking.csv", rows)
    for name, values in {"rewards": held.rewards, **held.measures}.items():
        cells = [(names[i], *(f"{value:.4f}" for value in values[i])) for i in range(len(names))]
        write_rows(out / f"{name}.csv", [("player", *names), *cells])
    title = f"{len(names)} players, {matches} matches of {game.rounds} rounds per pair"
    title += f", noise {noise:g}" if noise else ""
    draw_ranking(out / "ranking", held, title)
    draw_matrices(out / "matrices", held, title)
    if population:
        _populate(held, out, population, later)
    return Held(held, out / "ranking.csv", out / "ranking.png")


def _populate(held: Tournament, out: Path, size: int, key: jax.Array) -> None:
    names, count = held.names, len(held.names)
    ran = moran(held.rewards, np.full(count, size), key, runs=RUNS)
    fixation = ran.fixation(count)
    times, shares = replicator(held.rewards, np.full(count, 1 / count), time=TIME)
    rows = [("player", "taken over", "low", "high", "by chance", "replicator, at the end")]
    for i in np.argsort(-fixation, kind="stable"):
        low, high = interval((ran.fixed == i).astype(float))
        numbers = (fixation[i], low, high, 1 / count, shares[-1, i])
        rows.append((names[i], *(f"{number:.4f}" for number in numbers)))
    open_ = (ran.fixed < 0).mean()
    rows.append(("(nobody yet)", f"{open_:.4f}", "", "", "", ""))
    write_rows(out / "population.csv", rows)
    title = f"{count} types, {size} players each at first; {RUNS} runs"
    title += f", {open_:.0%} of them not at an end after {MOST_STEPS} births" if open_ else ""
    draw_population(out / "population", names, times, shares, fixation, title)
