"""Settings as flags, and back."""

import dataclasses
from pathlib import Path

import pytest
import tyro
from rich.console import Console

from coplayer import cli, flags
from coplayer.cli import Train
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.games import names
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.networks.core import CORES
from coplayer.settings import adjust, each, groups_of
from texts import long_sentences
from tiny import TINY_A2C
from toy import Toy


def parsed(settings, *arguments, game="ipd"):
    kind = flags.flags_of(settings, game, base=Train, presets={"quick": "is for here"})
    return flags.settings_from(tyro.cli(kind, args=["--out", "run", "--game", game, *arguments]), settings)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ([], None),
        (["--game", "ipd"], "ipd"),
        (["--game=ipd"], "ipd"),
        (["train", "--game", "ipd", "--game=matrix"], "matrix"),
        (["--game.rounds", "3"], None),
        (["--game"], ""),
    ],
)
def test_the_value_of_a_flag_is_found_before_all_is_parsed(arguments, value):
    assert flags.value_of("--game", arguments) == value


def test_every_setting_is_a_flag_of_its_own_name():
    for name, recipe in registry.RECIPES.items():
        settings = recipe.presets["quick"]
        assert parsed(settings) == settings, name


def test_flags_change_settings_of_any_group_and_of_the_game():
    arguments = "--hidden 7 --learning-rate 0.5 --no-centred --seeds 3 --pool uniform 1,1,0,1,0 --core hawk".split()
    arguments += "--start runs/one --game.rounds 9 --game.payoffs 4 0 3 2 --annealing linear".split()
    assert parsed(TINY_A2C, *arguments) == adjust(
        TINY_A2C, hidden=7, learning_rate=0.5, centred=False, seeds=3, pool=("uniform", "1,1,0,1,0"), core="hawk",
        start=Path("runs/one"), annealing="linear", game=MatrixGame((4, 0, 3, 2), 9),
    )  # fmt: skip


def test_a_setting_of_one_name_is_described_once():
    texts = {}
    for recipe in registry.RECIPES.values():
        for group in groups_of(recipe.presets["quick"]).values():
            for name in (field.name for field in dataclasses.fields(group)):
                texts.setdefault(name, set()).add(flags.documentation(type(group))[name])
    assert {name: found for name, found in texts.items() if len(found) > 1} == {}
    assert all(text.endswith(".") for found in texts.values() for text in found)


@pytest.mark.parametrize(
    ("words", "payoffs"),
    [
        (["4", "0", "3", "2"], (4, 0, 3, 2)),
        (["[[4, 0], [3, 2]]"], ((4, 0), (3, 2))),
        (["[[[1,2],[3,4]],[[1,3],[2,4]]]"], (((1, 2), (3, 4)), ((1, 3), (2, 4)))),
    ],
)
def test_payoffs_may_be_nested(words, payoffs):
    assert parsed(TINY_A2C, "--game.payoffs", *words).game == MatrixGame(payoffs, TINY_A2C.game.rounds)


def test_what_is_registered_is_a_choice_at_once(monkeypatch):
    monkeypatch.setitem(CORES, "mine", CORES["gru"])
    assert parsed(TINY_A2C, "--core", "mine").network.core == "mine"


def test_a_setting_of_several_words_takes_no_other(capsys):
    for flag, choices in (("--core", "('gru', 'hawk')"), ("--annealing", "('linear', 'cosine')")):
        with pytest.raises(SystemExit):
            parsed(TINY_A2C, flag, "bogus")
        assert f"Expected one of {choices}" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_help_has_a_title_per_group_and_lines_without_breaks(capsys):
    with pytest.raises(SystemExit):
        parsed(TINY_A2C, "--help", game="matrix")
    text = capsys.readouterr().out
    for group in ("game", "co-players", "run", "network", "optimiser"):
        assert f" {group} options " in text
    assert "Settings of --game matrix" in text and "behind a bound on the gradient's norm" in text
    words = " ".join(text.replace("│", " ").split())
    for _, field, _ in each(TINY_A2C):
        assert f"--{field.name.replace('_', '-')}" in words


def test_help_is_in_sentences_of_at_most_25_words():
    settings = [recipe.presets["quick"] for recipe in registry.RECIPES.values()]
    kinds = {type(group) for one in settings for group in groups_of(one).values()}
    kinds |= {type(game) for game in names.GAMES.values()} | {Train, cli.Sweep, *cli.JOBS}
    texts = [flags.documentation(kind).get(field.name, "") for kind in kinds for field in dataclasses.fields(kind)]
    texts += [kind.__doc__ for kind in kinds] + [cli._about(recipe) for recipe in registry.RECIPES.values()]
    assert len(texts) > 100
    assert [sentence for text in texts for sentence in long_sentences(text)] == []


def test_the_documentation_of_a_field_is_its_docstring_also_of_inherited_ones():
    told = flags.documentation(type(TINY_A2C.run))
    assert told["seeds"] == "Independent repetitions, numbered from --seed."
    assert told["log_every"].startswith(
        "Iterations from one row of metrics to the next. A killed run loses the rows af"
    )
    assert flags.documentation(type("Dynamic", (), {})) == {}


def test_a_game_is_made_from_its_name_and_the_recipes_own():
    own = prisoners_dilemma(20)
    assert flags.game_of("ipd", own) is own
    assert flags.game_of("matrix", own) == MatrixGame(names.GAMES["matrix"].payoffs, 20)
    assert flags.game_of("public-goods", own) == PublicGoods()
    assert flags.game_of("ipd", PublicGoods()) == prisoners_dilemma()


def test_a_game_that_is_not_known_is_one_line():
    with pytest.raises(
        CoplayerError, match=r"game: must be one of ipd, matrix, .*, or path/to/file.py:ClassName, got 'chess'"
    ):
        flags.know_game("chess")


def test_a_matrix_needs_its_payoffs(capsys):
    assert parsed(TINY_A2C, "--game.payoffs", "4", "0", "3", "2", game="matrix").game.payoffs == (4, 0, 3, 2)
    with pytest.raises(SystemExit):
        parsed(TINY_A2C, game="matrix")
    assert "--game.payoffs" in capsys.readouterr().err


def test_games_that_are_registered_are_choices_at_once(monkeypatch, capsys):
    monkeypatch.setitem(names.GAMES, "barter", prisoners_dilemma())
    with pytest.raises(SystemExit):
        parsed(TINY_A2C, "--help")
    assert "public-goods,cleanup-lite,coin,barter,FILE.py:CLASS}" in capsys.readouterr().out


def test_a_game_from_a_file_is_known_by_its_flag(monkeypatch):
    monkeypatch.setattr(names, "GAMES", dict(names.GAMES))
    name = flags.know_game(f"{Path(__file__).parent}/vault.py:Vault")
    assert name == "vault.py:Vault" and names.GAMES[name].rounds == 6
    settings = adjust(Toy(), game=flags.game_of(name, prisoners_dilemma()))
    changed = parsed(settings, "--game.growth", "0.5", "--game.told", "vector", game=name)
    assert (changed.game.growth, changed.game.told) == (0.5, "vector")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"hidden": 9, "seeds": 2}, "--seeds 2 --hidden 9"),
        ({"opponent_identity": True}, "--opponent-identity"),
        ({"pool": ("tit_for_tat", "0.5,0.5,0.5,0,1"), "frozen": Path("a b")}, None),
        ({"game": MatrixGame((4.0, 0.0, 3.0, 2.0), 7)}, None),
        ({"game": MatrixGame([[[3, 0], [5, 1]], [[1, 0], [4, 1]]], rounds=20, cooperation=1)}, None),
        ({"game": PublicGoods(factor=2.5)}, "--game public-goods --game.factor 2.5"),
    ],
)
def test_words_make_the_settings_again(changes, words):
    start = registry.preset("a2c-mixed")
    settings = adjust(start, **changes)
    found = flags.words_of(settings, start)
    _, made, _ = cli.parse(["train", "a2c-mixed", "--preset", "quick", *found], Console()).args
    assert made == settings and words in (None, " ".join(found))
