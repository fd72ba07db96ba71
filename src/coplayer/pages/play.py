"""The page on which a person plays a matrix game against agents: one HTML file with all it needs inside."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coplayer.analysis.zero_determinant import extortion, largest_phi
from coplayer.errors import CoplayerError
from coplayer.games.game import Game
from coplayer.games.matrix import MatrixGame
from coplayer.pages.html import one_file
from coplayer.pages.minds import count, described
from coplayer.play.player import Player
from coplayer.players.memory1 import PRISONERS_DILEMMA_STRATEGIES, Memory1, fits_named_strategies, named_strategy
from coplayer.runs.files import require_new_file, write_atomically

FORMAT = 1
"""The form of the data inside a page."""
CLAIMS = (2.0, 3.0, 5.0)  # chi of the extortioners


class Form(NamedTuple):
    """What all pages of one kind have."""

    eyebrow: str
    title: str
    lead: str
    styles: tuple[str, ...]  # files, as are the scripts
    scripts: tuple[str, ...]


MATRIX = Form(
    "An iterated game",
    "Play against it, and see what it thinks",
    "Two players choose at the same time, round after round. Neither is told who the other is. What would you do, and "
    "what does the other one make of you?",
    ("play.css",),
    ("mind.js", "draw.js", "frame.js", "play.js"),
)


class Seated(NamedTuple):
    """A player on a page."""

    player: Player
    about: str
    """A sentence for people: what the player is and where it comes from."""
    seat: int | None = None
    """The one seat that it can take; None: either."""
    rounds: int | None = None
    """Rounds of an episode in its training, if it was trained."""
    episodes: int = 1
    """Episodes in a row in its training, of a player who remembers them."""


def write_page(path: Path, game: MatrixGame, players: Mapping[str, Seated]) -> None:
    """Write the page of these players and the named strategies to `path`, a file that does not exist yet.

    Raises `CoplayerError` where a player does not fit the game or a page (see `minds.described`), or where the file
    exists.
    """
    write_new(path, page_of(data_of(game, players)))


def write_new(path: Path, page: str) -> None:
    """Write a page to a file that does not exist yet."""
    require_new_file(path)
    write_atomically(path, page.encode())


def data_of(game: MatrixGame, players: Mapping[str, Seated]) -> dict[str, Any]:
    """All that the page's JavaScript is given, as JSON."""
    shown = [entry_of(name, seated, game) for name, seated in players.items()]
    taken = {entry["name"] for entry in shown}
    fixed = {name: seated for name, seated in fixed_players(game).items() if name not in taken}
    return {
        "format": FORMAT,
        "game": {
            "payoffs": game.tables.reshape(2, -1).tolist(),
            "actions": game.num_actions,
            "cooperation": game.cooperation,
            "symmetric": game.symmetric,
        },
        "players": shown + [entry_of(name, seated, game) for name, seated in fixed.items()],
        "kinds": [
            {"name": name, "probabilities": np.asarray(seated.player.probabilities)[1:, 0].tolist()}
            for name, seated in fixed_players(game).items()
            if fits_named_strategies(game)
        ],
        "made": f"coplayer {version('coplayer')}",
    }


def fixed_players(game: MatrixGame) -> dict[str, Seated]:
    """The memory-1 players that every page of a game has: the named strategies and extortioners where they have a
    meaning. Elsewhere a page has a player who tosses a coin.
    """
    if not fits_named_strategies(game):
        table = np.full((game.observation_space.size, game.num_actions), 1 / game.num_actions)
        return {"random": Seated(Memory1(table), "Every action is as likely as any other.")}
    found = {
        name.replace("_", " "): Seated(named_strategy(name), rule(named_strategy(name)))
        for name in PRISONERS_DILEMMA_STRATEGIES
    }
    for claim in CLAIMS:
        try:
            player = extortion(game, claim, largest_phi(game, claim))
        except CoplayerError:  # no prisoner's dilemma
            return found
        about = f"Claims {claim:g} times the surplus that it leaves to the other. {rule(player)}"
        found[f"extortioner {claim:g}"] = Seated(player, about)
    return found


def rule(player: Memory1) -> str:
    """A memory-1 player of two actions in words."""
    first, *after = np.asarray(player.probabilities)[:, 0]
    parts = ", ".join(f"{p:.2f} after {pair}" for p, pair in zip(after, ("CC", "CD", "DC", "DD"), strict=True))
    return f"It cooperates with probability {first:.2f} at first, {parts} (its own move first)."


def entry_of(name: str, seated: Seated, game: Game) -> dict[str, Any]:
    """A player of a page, as JSON."""
    try:
        mind = described(seated.player, game)
    except CoplayerError as error:
        raise CoplayerError(f"{name}: {str(error).removeprefix('player: ')}") from error
    seated_as = {"seat": seated.seat, "numbers": count(mind), "rounds": seated.rounds, "episodes": seated.episodes}
    return {"name": name, "about": seated.about, **seated_as, **mind}


def page_of(data: Mapping[str, Any], form: Form = MATRIX) -> str:
    """The page of these data as text (see `html.one_file`)."""
    words = {"eyebrow": form.eyebrow, "title": form.title, "lead": form.lead}
    return one_file("play.html", form.styles, form.scripts, data, words)
