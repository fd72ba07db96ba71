"""Ashlock's fingerprints of players by name and of trained agents, written to a folder."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from coplayer.analysis.fingerprint import ashlock
from coplayer.errors import require
from coplayer.figures.fingerprints import draw_fingerprints
from coplayer.games.matrix import MatrixGame
from coplayer.play.player import Player
from coplayer.runs.files import require_new_folder, write_rows


class Taken(NamedTuple):
    """Where fingerprints are as a table and as a picture."""

    table: Path
    picture: Path


def take(
    players: dict[str, Player],
    game: MatrixGame,
    out: Path,
    *,
    steps: int = 20,
    matches: int = 10,
    inner_episodes: int = 1,
    seed: int = 0,
) -> Taken:
    """Take the fingerprint of each player (see `analysis.fingerprint.ashlock`) and write it to the new folder `out`.
    The folder gets fingerprints.csv, with a row for each player and point, and a picture of all.
    """
    require(bool(players), "players: needs at least one")
    require_new_folder(out)
    size = {"steps": steps, "matches": matches, "inner_episodes": inner_episodes}
    found = {
        name: np.asarray(ashlock(player, game, jax.random.fold_in(jax.random.key(seed), number), **size))
        for number, (name, player) in enumerate(players.items())
    }
    rows = [("player", "x", "y", "reward")]
    for name, rewards in found.items():
        for (i, j), reward in np.ndenumerate(rewards):
            rows.append((name, f"{i / steps:.4g}", f"{j / steps:.4g}", f"{reward:.4f}"))
    table = out / "fingerprints.csv"
    write_rows(table, rows)
    title = f"Ashlock fingerprints: {matches} matches of {game.rounds} rounds with each probe of tit-for-tat"
    draw_fingerprints(out / "fingerprints", found, title)
    return Taken(table, out / "fingerprints.png")
