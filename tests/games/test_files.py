"""A user's own game from a file."""

from pathlib import Path

import pytest

from coplayer.errors import CoplayerError
from coplayer.games import files
from coplayer.games.game import Game

VAULT = Path(__file__).parents[1] / "vault.py"
TEXT = """
from dataclasses import dataclass

NUMBER = 3


class Empty:
    pass


@dataclass(frozen=True)
class Needy:
    size: int


class Failing:
    def __init__(self):
        raise ValueError("no luck\\nat all")
"""


def test_the_class_of_a_file_becomes_a_game_with_its_defaults():
    name, game = files.load(f"{VAULT}:Vault")
    assert name == "vault.py:Vault" and isinstance(game, Game)
    assert (game.growth, game.rounds) == (0.75, 6)


def test_the_fingerprint_is_of_the_class_and_the_code(tmp_path):
    text = VAULT.read_text()
    (tmp_path / "two.py").write_text(text + "\n\nclass Other(Vault):\n    pass\n")
    one, other = (files.fingerprint(files.load(f"{tmp_path}/two.py:{name}")[1]) for name in ("Vault", "Other"))
    assert one != other
    (tmp_path / "two.py").write_text("# a comment\n" + (tmp_path / "two.py").read_text())
    assert files.fingerprint(files.load(f"{tmp_path}/two.py:Vault")[1]) == one


@pytest.mark.parametrize(
    ("text", "whether"),
    [("a/b.py:C", True), ("b.py:C", True), ("b.py", False), ("ipd", False), ("a:b", False), ("C:\\b.py:C", True)],
)
def test_a_file_and_a_class_are_told_from_a_name(text, whether):
    assert files.names_a_file(text) is whether


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nothing", "game: .*mine.py has no class Nothing"),
        ("NUMBER", "game: NUMBER of .*mine.py cannot be made without arguments"),
        ("Needy", "game: Needy of .*mine.py cannot be made without arguments .TypeError: .*size"),
        ("Failing", r"game: Failing of .*mine.py cannot be made without arguments \(ValueError: no luck\)"),
        ("Empty", "game: Empty of .*mine.py is not a game"),
    ],
)
def test_what_is_no_game_is_one_line(name, message, tmp_path):
    (tmp_path / "mine.py").write_text(TEXT)
    with pytest.raises(CoplayerError, match=message) as error:
        files.load(f"{tmp_path}/mine.py:{name}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_broken_is_one_line(tmp_path):
    with pytest.raises(CoplayerError, match=r"game: .*none.py: no such file"):
        files.load(f"{tmp_path}/none.py:Game")
    (tmp_path / "broken.py").write_text("import nothing_of_the_kind")
    with pytest.raises(CoplayerError, match=r"broken.py cannot be run \(ModuleNotFoundError: No module") as error:
        files.load(f"{tmp_path}/broken.py:Game")
    assert "\n" not in str(error.value)
    with pytest.raises(CoplayerError, match="game: 'ipd' must have the form"):
        files.load("ipd")
