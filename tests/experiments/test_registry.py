"""The registry: what is registered, and settings that go to a run's folder and come back."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import a2c_mixed, registry
from coplayer.experiments.a2c_mixed import A2CMixed
from coplayer.experiments.protocol import Recipe
from coplayer.experiments.settings import RunSettings
from coplayer.games import names
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust, setting
from stopping import StopAfter
from tiny import TINY_A2C
from toy import Saving, Toy
from vault import Vault


@pytest.fixture
def alone(monkeypatch):
    """A registry of this test alone."""
    monkeypatch.setattr(registry, "EXPERIMENTS", dict(registry.EXPERIMENTS))
    monkeypatch.setattr(registry, "RECIPES", dict(registry.RECIPES))
    monkeypatch.setattr(names, "GAMES", dict(names.GAMES))


# Registering.


def variant(**members):
    """The toy with some of its members exchanged."""
    return type("Variant", (Saving,), members)()


@dataclass(frozen=True)
class SameName:
    """Two"""

    seeds: int = setting(1)
    """A second setting of this name."""


@dataclass(frozen=True)
class Twice(Toy):
    more: SameName = SameName()


@dataclass(frozen=True)
class TakenFlag:
    """Taken"""

    out: int = setting(1)
    """A flag of every command."""


@dataclass(frozen=True)
class Taking(Toy):
    more: TakenFlag = TakenFlag()


@dataclass(frozen=True)
class NoGroup(Toy):
    more: int = 3


@dataclass(frozen=True)
class NoGame:
    run: RunSettings = RunSettings()


@dataclass(frozen=True)
class NoDefault:
    game: Vault
    run: RunSettings = RunSettings()


def recipes(settings, name="toy"):
    return {name: Recipe("", "", {"quick": settings, "paper": settings})}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"NAME": "a2c-mixed", "RECIPES": recipes(Toy(), "a2c-mixed")}, "the name a2c-mixed is taken"),
        ({"RECIPES": {**recipes(Toy()), **recipes(Toy(), "ppi-step1")}}, "the command ppi-step1 of toy is taken"),
        ({"RECIPES": recipes(Toy(), "other")}, "the first of RECIPES must be toy"),
        ({"RECIPES": {}}, "the first of RECIPES must be toy"),
        ({"RECIPES": {"toy": Recipe("", "", {"quick": Toy()})}}, "the recipe toy of toy has no preset paper"),
        ({"RECIPES": recipes(TINY_A2C)}, "a2c-mixed has the settings A2CMixed already"),
        ({"RECIPES": recipes(3)}, "the settings int of toy must be a frozen dataclass"),
        ({"RECIPES": recipes(Twice())}, "toy has two settings of the name seeds"),
        ({"RECIPES": recipes(Taking())}, "toy has a setting out, which every command has a flag for"),
        ({"RECIPES": recipes(NoGroup())}, "more in NoGroup of toy must be a group, a frozen dataclass"),
        ({"RECIPES": recipes(NoGame())}, "the settings NoGame of toy lack the field game"),
        ({"RECIPES": recipes(NoDefault(Vault()))}, "the settings NoDefault of toy must have a default for every field"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(members, message, alone):
    before = dict(registry.EXPERIMENTS), dict(registry.RECIPES)
    with pytest.raises(CoplayerError, match=f"experiment: .*{message}") as error:
        registry.register(variant(**members))
    assert "\n" not in str(error.value)
    assert (registry.EXPERIMENTS, registry.RECIPES) == before


def test_an_experiment_is_registered_once(alone):
    registry.register(Saving())
    assert registry.RECIPES["toy"].presets["quick"] == Toy()
    assert registry.experiment_of(Toy()).NAME == "toy" and registry.experiment_of(TINY_A2C) is a2c_mixed
    with pytest.raises(CoplayerError, match="the name toy is taken"):
        registry.register(Saving())


def test_presets_by_name():
    assert registry.preset("a2c-step1") == registry.RECIPES["a2c-step1"].presets["quick"]
    assert registry.preset("a2c-step1", "paper") == registry.RECIPES["a2c-step1"].presets["paper"]
    for words, message in (
        (("a2c",), "preset: 'a2c' is not one of ppi-mixed"),
        (("a2c-step1", "fast"), "preset: a2c-step1 has paper, quick, got 'fast'"),
    ):
        with pytest.raises(CoplayerError, match=f"^{message}"):
            registry.preset(*words)


def test_settings_of_no_experiment_are_refused():
    with pytest.raises(CoplayerError, match="settings: RunSettings belongs to no experiment"):
        registry.experiment_of(RunSettings())


# From the settings to a folder and back.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return registry.train(TINY_A2C, tmp_path_factory.mktemp("runs") / "run", recipe="a2c-step1", preset="quick")


def test_settings_come_back_from_the_folder(trained):
    stored = json.loads(trained.config_file.read_text())
    assert stored["format"] == 2 and stored["experiment"] == "a2c-mixed"
    assert stored["recipe"] == "a2c-step1" and stored["preset"] == "quick"
    assert list(stored["settings"]) == [
        *("game", "co_players", "run", "network", "data", "beginning", "loss", "optimiser"),
    ]
    assert stored["settings"]["game"] == {
        "name": "ipd", "payoffs": [1.0, -1.0, 2.0, 0.0], "rounds": 5, "cooperation": 0,
    }  # fmt: skip
    assert stored["settings"]["network"] == {"core": "gru", "hidden": 4}
    assert registry.settings_of_folder(trained) == (a2c_mixed, TINY_A2C)


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_recipe_goes_to_a_folder_and_back(preset, tmp_path):
    for name, recipe in registry.RECIPES.items():
        settings = recipe.presets[preset]
        experiment = registry.experiment_of(settings)
        folder = RunFolder.create(tmp_path / name, registry.description(experiment, settings, tmp_path / name, preset))
        _, found = registry.settings_of_folder(folder)
        for field, path in registry.built_on(found).items():
            assert path.resolve() == registry.built_on(settings)[field].resolve()
        assert adjust(found, **registry.built_on(settings)) == settings


@pytest.mark.parametrize(
    "game",
    [
        prisoners_dilemma(7),
        MatrixGame(((4, 0), (3, 2)), 7, cooperation=1),
        MatrixGame(np.arange(18.0).reshape(2, 3, 3), 7),
    ],
)
def test_games_go_to_a_folder_and_back(game, tmp_path):
    settings = adjust(TINY_A2C, game=game)
    folder = RunFolder.create(tmp_path / "run", registry.description(a2c_mixed, settings, tmp_path / "run", "quick"))
    assert registry.settings_of_folder(folder)[1] == settings


def changed(folder, out, change):
    """A run's folder whose config.json was changed."""
    config = json.loads(folder.config_file.read_text())
    change(config)
    out.mkdir()
    (out / "config.json").write_text(json.dumps(config))
    return RunFolder.open(out)


def test_settings_that_are_newer_than_a_run_have_their_defaults(trained, tmp_path):
    def forget(config):
        del config["settings"]["loss"]["lambda_iterations"]
        del config["settings"]["beginning"]

    assert registry.settings_of_folder(changed(trained, tmp_path / "run", forget))[1] == TINY_A2C


def replaced(*path, value):
    """A change of one value in config.json."""

    def change(config):
        *groups, last = path
        for group in groups:
            config = config[group]
        config[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced("settings", "run", "phases", value="two"), "phases: must be a whole number, got 'two'"),
        (replaced("settings", "run", "phases", value=2.5), "phases: must be a whole number, got 2.5"),
        (replaced("settings", "network", "hidden", value=True), "hidden: must be a whole number, got True"),
        (replaced("settings", "network", "hidden", value=None), "hidden: must be a whole number, got None"),
        (replaced("settings", "optimiser", "learning_rate", value="1"), "learning_rate: must be a number, got '1'"),
        (replaced("settings", "loss", "centred", value=1), "centred: must be true or false, got 1"),
        (replaced("settings", "network", "core", value=3), "core: must be a text, got 3"),
        (replaced("settings", "co_players", "start", value=3), "start: must be a path or none, got 3"),
        (replaced("settings", "co_players", "pool", value="uniform"), "pool: must be a list of texts, got 'uniform'"),
        (replaced("settings", "co_players", "pool", value=[["a"]]), r"pool: must be a list of texts, got \[\['a'\]\]"),
        (replaced("settings", "network", "width", value=3), "unknown setting width"),
        (replaced("settings", "planner", value={"rollouts": 3}), "unknown setting planner"),
        (replaced("settings", "network", value=3), "network: must be an object of settings, got 3"),
        (replaced("settings", "game", value="ipd"), "game: must be an object with the game's name, got 'ipd'"),
        (replaced("settings", "game", "name", value="chess"), "game: 'chess' is not one of ipd, matrix, public-goods"),
        (replaced("settings", "game", "rounds", value="5"), "game.rounds: must be a whole number, got '5'"),
        (replaced("settings", "game", "rounds", value=0), "game.rounds: must be a whole number of at least 1, got 0"),
        (replaced("settings", "game", "payoffs", value=None), "game.payoffs: must be a list of numbers, got None"),
        (replaced("settings", "game", "payoffs", value=[1, 2, 3]), "game.payoffs: needs n \\* n numbers"),
        (replaced("settings", "game", "board", value=8), "game: ipd has no setting board"),
        (replaced("experiment", value="dqn"), "experiment 'dqn' is not one of ppi-mixed, a2c-mixed"),
        (replaced("experiment", value=["dqn"]), r"experiment \['dqn'\] is not one of ppi-mixed, a2c-mixed"),
        (replaced("format", value=3), "has format 3, and this version of coplayer reads format 2"),
    ],
)
def test_a_config_that_cannot_be_is_refused_in_one_line(change, message, trained, tmp_path):
    folder = changed(trained, tmp_path / "run", change)
    with pytest.raises(CoplayerError, match=f"config.json: .*{message}") as error:
        registry.settings_of_folder(folder)
    assert "\n" not in str(error.value)


def test_folders_of_earlier_versions_are_refused_in_one_line(tmp_path):
    """As version 0.1 wrote them."""
    settings = {"payoffs": [1.0, -1.0, 2.0, 0.0], "rounds": 100, "seeds": 1, "hidden": 32}
    config = {"experiment": "ppi-mixed", "preset": "quick", "settings": settings, "coplayer": "0.1.0"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CoplayerError, match=r"made by an earlier version of coplayer \(0.1\)") as error:
        registry.load(tmp_path)
    assert "\n" not in str(error.value)
    later = adjust(TINY_A2C, learner_share=0.0, frozen=tmp_path)
    with pytest.raises(CoplayerError, match=r"frozen: .* made by an earlier version of coplayer \(0.1\)"):
        registry.train(later, tmp_path / "run")


# From Python.


def given(settings, group, name, value):
    """Settings with a value as Python takes it where no types are checked."""
    changed_group = replace(getattr(settings, group))
    object.__setattr__(changed_group, name, value)
    return replace(settings, **{group: changed_group})


@pytest.mark.parametrize(
    ("group", "name", "value", "message"),
    [
        ("network", "hidden", "16", "hidden: must be a whole number, got '16'"),
        ("network", "hidden", 16.0, "hidden: must be a whole number, got 16.0"),
        ("network", "hidden", 0, "hidden: must be a finite number above 0, got 0"),
        ("network", "core", "lstm", "core: must be one of gru, hawk"),
        ("optimiser", "learning_rate", None, "learning_rate: must be a number, got None"),
        ("optimiser", "learning_rate", float("nan"), "learning_rate: must be a finite number above 0, got nan"),
        ("optimiser", "annealing", "cubic", "annealing: must be one of linear, cosine, got 'cubic'"),
        ("loss", "bootstrap", 1, "bootstrap: must be true or false, got 1"),
        ("co_players", "pool", (["uniform"],), r"pool: must be a list of texts, got \(\['uniform'\],\)"),
        ("co_players", "pool", (0.5, 0.5), r"pool: must be a list of texts, got \(0.5, 0.5\)"),
        ("co_players", "pool", "tit_for_tat", "pool: must be a list of texts, got 'tit_for_tat'"),
        ("co_players", "pool", ("tit_for_two_tats",), "pool: 'tit_for_two_tats' is not uniform"),
        ("co_players", "frozen", 3, "frozen: must be a path or none, got 3"),
        ("run", "seeds", None, "seeds: must be a whole number, got None"),
    ],
)
def test_impossible_values_from_python_are_one_line_each(group, name, value, message, tmp_path):
    with pytest.raises(CoplayerError, match=message) as error:
        registry.train(given(TINY_A2C, group, name, value), tmp_path / "run")
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("game", [None, "ipd", 3, Vault])
def test_what_is_no_game_is_refused(game, tmp_path):
    settings = A2CMixed()
    object.__setattr__(settings, "game", game)
    with pytest.raises(CoplayerError, match=r"game: must be a game \(see coplayer.games.game.Game\), got"):
        registry.train(settings, tmp_path / "run")


def test_a_game_without_a_name_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(CoplayerError, match=r"game: Vault has no name; give it one by coplayer.register_game"):
        registry.train(adjust(TINY_A2C, game=Vault()), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_lists_and_numbers_of_numpy_are_taken_for_what_they_are(tmp_path):
    settings = given(TINY_A2C, "co_players", "pool", ["uniform", "tit_for_tat"])
    settings = given(given(settings, "network", "hidden", np.int64(4)), "optimiser", "learning_rate", np.float32(0.5))
    with pytest.raises(KeyboardInterrupt):
        registry.train(settings, tmp_path / "run", reporter=StopAfter(1))
    _, found = registry.settings_of_folder(RunFolder.open(tmp_path / "run"))
    assert found == adjust(TINY_A2C, pool=("uniform", "tit_for_tat"), learning_rate=0.5)
    assert type(found.network.hidden) is int and type(found.optimiser.learning_rate) is float


# What runs take from each other.


def test_games_are_alike_but_for_their_rounds():
    game = prisoners_dilemma(5)
    assert registry.same_rules(game, prisoners_dilemma(7))
    assert not registry.same_rules(game, MatrixGame((3, 0, 5, 1), 5))
    assert not registry.same_rules(game, Vault(rounds=5))
    assert registry.same_rules(Vault(), Vault(rounds=7)) and not registry.same_rules(Vault(), Vault(growth=0.5))


def test_agents_of_another_number_of_actions_are_refused_in_one_line(trained, tmp_path):
    three = adjust(TINY_A2C, game=MatrixGame(np.eye(3), 5), learner_share=0.0, frozen=trained.path)
    with pytest.raises(CoplayerError, match=r"frozen: .* is of another game, MatrixGame") as error:
        registry.train(three, tmp_path / "run")
    assert "\n" not in str(error.value)


def test_phases_and_seeds_that_a_run_does_not_have_are_refused(trained):
    assert len(registry.load(trained.path)) == 2
    with pytest.raises(CoplayerError, match=r"phase: .* has phases 1 to 3, got 4"):
        registry.load(trained.path, phase=4)
    with pytest.raises(CoplayerError, match="seed: this run has seeds 0 to 1, got 2"):
        registry.load(trained.path, seed=2)


# A user's own game from a file.


def test_a_game_from_a_file_is_known_under_the_name_it_was_trained_with(alone, trained, tmp_path):
    (tmp_path / "mine.py").write_text(Path(__file__).parents[1].joinpath("vault.py").read_text())

    def rename(config):
        config["settings"]["game"] = {"name": "my vault", "growth": 0.5, "rounds": 3}

    folder = changed(trained, tmp_path / "run", rename)
    with pytest.raises(CoplayerError, match=r"game: 'my vault' is not one of .*--game-file"):
        registry.settings_of_folder(folder)
    registry.know_game(f"{tmp_path}/mine.py:Vault", [folder.path])
    game = registry.settings_of_folder(folder)[1].game
    assert (type(game).__name__, game.growth, game.rounds) == ("Vault", 0.5, 3)


@pytest.mark.parametrize("which", ["quick", "paper"])
@pytest.mark.parametrize("command", registry.RECIPES)
def test_the_recipe_of_settings_is_found_also_where_sizes_were_changed(command, which):
    settings = registry.preset(command, which)
    assert registry.likely_recipe(settings, which) == (command, which)
    changed = adjust(settings, seeds=3, hidden=9) if hasattr(settings, "network") else settings
    assert registry.likely_recipe(changed, which)[0] == command


def test_the_preset_is_the_nearest_one_where_none_is_known():
    settings = adjust(registry.preset("ppi-mixed", "paper"), seeds=3)
    assert registry.likely_recipe(settings, "custom") == ("ppi-mixed", "paper")
    alone = adjust(registry.preset("ppi-mixed"), learner_share=0.0)
    assert registry.likely_recipe(alone, "quick") == ("ppi-step1", "quick")
    short = adjust(registry.preset("ppi-mixed", "demo"), seeds=5)
    assert registry.likely_recipe(short, "demo") == registry.likely_recipe(short, "") == ("ppi-mixed", "demo")


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"recipe": "ppi-mixed", "preset": "paper"}, ("ppi-mixed", "paper")),  # as named, not as the settings tell
        ({"recipe": None, "preset": "quick"}, ("ppi-step1", "quick")),
        ({"preset": "quick"}, ("ppi-step1", "quick")),  # of an earlier version
        ({"recipe": "a2c-mixed", "preset": "quick"}, ("ppi-step1", "quick")),
        ({"recipe": "ppi-mixed", "preset": "big"}, ("ppi-step1", "quick")),
        ({"recipe": ["ppi-mixed"], "preset": {}}, ("ppi-step1", "quick")),
    ],
)
def test_the_recipe_is_the_one_that_a_folder_names(config, found):
    assert registry.recipe_of(config, adjust(registry.preset("ppi-step1"), seeds=3)) == found


@pytest.mark.parametrize("recipe", ["ppi-mixed", "nonsense"])
def test_a_recipe_of_other_settings_is_refused(recipe, tmp_path):
    with pytest.raises(CoplayerError, match=f"recipe: must be one of a2c-mixed, .*, got '{recipe}'"):
        registry.train(TINY_A2C, tmp_path / "run", recipe=recipe)
    assert not (tmp_path / "run").exists()
