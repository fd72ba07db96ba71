"""Games by name: what is written of a game is what is read back; all else is refused in one line."""

import dataclasses
import json
from dataclasses import dataclass

import pytest

from coplayer.errors import CoplayerError
from coplayer.games import names
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.names import GAMES, described, from_description, register
from coplayer.games.public_goods import PublicGoods
from state_games import Carousel

SEXES = [[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]]


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(names, "GAMES", names.GAMES.copy())
    monkeypatch.setitem(globals(), "GAMES", names.GAMES)


@pytest.mark.parametrize(
    ("game", "name"),
    [
        (prisoners_dilemma(30), "ipd"),
        (MatrixGame((1.0, -1.0, 2.0, 0.0), 7, cooperation=1), "ipd"),
        (MatrixGame(SEXES, 7), "matrix"),
        (MatrixGame([[4.0, 0.0], [3.0, 2.0]]), "matrix"),
        (PublicGoods(4, 2.5, 12), "public-goods"),
    ],
)
def test_a_game_is_read_back_from_its_description_as_a_file_has_it(game, name):
    description = described(game)
    assert description == {"name": name} | dataclasses.asdict(game)
    assert from_description(json.loads(json.dumps(description))) == game


def test_settings_that_a_description_lacks_have_their_defaults():
    assert from_description({"name": "public-goods", "factor": 2.0}) == PublicGoods(factor=2.0)
    assert from_description({"name": "ipd"}) == prisoners_dilemma()


def test_a_game_of_ones_own_is_known_once_it_is_registered():
    game = Carousel(rounds=9)
    with pytest.raises(CoplayerError, match=r"^game: Carousel has no name; give it one by coplayer.register_game"):
        described(game)
    register("carousel", Carousel())
    assert described(game) == {"name": "carousel", "rounds": 9, "places": 5}
    assert from_description(json.loads(json.dumps(described(game)))) == game


@dataclass
class Thawed:
    """Has all that a game must have, but can be changed."""

    rounds: int = 3
    num_players: int = 2
    num_actions: int = 2
    observation_space: object = None
    symmetric: bool = True
    measures: tuple = ()

    reset = step = observe = measure = lambda self, *given: None


class Plain(Thawed):
    """Inherits from a dataclass that can be changed."""


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (Thawed(), "game: Thawed must be a frozen dataclass"),
        (Plain(), "game: Plain must be a frozen dataclass"),
        (type("Bare", (), {name: len for name in dir(Carousel) if name[0] != "_"})(), "game: Bare must be a frozen"),
        (type("Half", (), {"rounds": 3})(), "game: Half lacks what a game must have"),
        (3, "game: int lacks what a game must have"),
    ],
)
def test_only_games_that_are_frozen_dataclasses_are_registered(game, message):
    with pytest.raises(CoplayerError, match=f"^{message}") as caught:
        names.register.__wrapped__("mine", game)  # past the run-time types of the tests, as a user would get there
    assert "mine" not in GAMES and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ipd", "matrix", "public-goods"])
def test_games_of_the_package_keep_their_names(name):
    with pytest.raises(CoplayerError, match=f"^game: the name {name} is taken$"):
        names.register(name, Carousel())
    names.register(name, GAMES[name])


@pytest.mark.parametrize("name", [3, "", None])
def test_a_name_is_a_text(name):
    with pytest.raises(CoplayerError, match=r"^game: its name must be a text, got"):
        names.register.__wrapped__(name, Carousel())


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (
            {"name": "chess"},
            "game: 'chess' is not one of ipd, matrix, public-goods, cleanup-lite, coin; register a game of your own",
        ),
        ({"payoffs": [1, 2, 3, 4]}, "game: None is not one of ipd"),
        ({"name": ["ipd"]}, r"game: \['ipd'\] is not one of ipd"),
        ({"name": "ipd", "colour": 3, "age": 4}, "game: ipd has no setting age, colour"),
        ({"name": "ipd", "rounds": "many"}, "game.rounds: must be a whole number|game: the settings of ipd"),
        ({"name": "ipd", "rounds": None}, "game.rounds: must be a whole number|game: the settings of ipd"),
        ({"name": "matrix", "payoffs": "much"}, "game.payoffs: "),
        ({"name": "matrix", "payoffs": [[1, 2], [3]]}, "game.payoffs: every row must have the same length"),
        ({"name": "matrix", "payoffs": {"a": 1}}, "game.payoffs: "),
        ({"name": "public-goods", "num_players": "3"}, "game.num_players: |game: the settings of public-goods"),
        ({"name": "public-goods", "factor": [1]}, "game.factor: |game: the settings of public-goods"),
        (["ipd"], "game: must be an object with a name and settings, got"),
        ("ipd", "game: must be an object with a name and settings, got 'ipd'"),
        (None, "game: must be an object with a name and settings, got None"),
    ],
)
def test_a_damaged_or_unknown_description_is_refused_in_one_line(description, message):
    with pytest.raises(CoplayerError, match=f"^({message})") as caught:
        from_description(description)
    assert "\n" not in str(caught.value)
