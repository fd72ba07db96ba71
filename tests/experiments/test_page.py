"""A page from run folders: whose agents are on it, and what is refused."""

import base64
import json
import re

import jax
import numpy as np
import pytest

from coplayer import cli
from coplayer.experiments import registry, watch
from coplayer.experiments.archive import archive
from coplayer.experiments.page import how_it_decides
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.world_model import RoundModel
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust
from tiny import PLAIN_EXACT, TINY, TINY_A2C, TINY_COALA

SMALL = {"iterations": 4, "log_every": 2, "phases": 2}
ALONE = SMALL | {"learner_share": 1.0, "seeds": 1}
GAME = prisoners_dilemma(5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind, by name."""
    folder = tmp_path_factory.mktemp("runs")
    kinds = {
        "ppi": adjust(TINY, game=GAME, phases=2),
        "a2c": adjust(TINY_A2C, **SMALL),
        "coala": adjust(TINY_COALA, game=GAME, naive_share=0.0, seeds=1, **SMALL),
        "exact": adjust(PLAIN_EXACT, iterations=4, phases=2),
        "coin": adjust(TINY_A2C, game=CoinGame(rounds=3), **ALONE),
        "unlike": adjust(TINY_A2C, game=MatrixGame([[[4, 0], [3, 2]], [[4, 1], [3, 2]]], rounds=5), **ALONE),
    }
    for name, settings in kinds.items():
        registry.train(settings, folder / name)
    return folder


def page(*words) -> int:
    return cli.main(["page", *map(str, words)])


def data_of(path) -> dict:
    return json.loads(re.search(r'type="application/json"[^>]*>(.*?)</script>', path.read_text(), re.DOTALL)[1])


def test_agents_of_every_kind_of_run_beside_a_strategy_by_name(runs, tmp_path, capsys):
    out = tmp_path / "made" / "play.html"
    assert page(runs / "ppi", runs / "a2c", runs / "coala", runs / "exact", "Grudger", "--out", out) == 0
    assert f"page: {out}" in capsys.readouterr().out
    data = data_of(out)
    kinds = {each["name"]: each["kind"] for each in data["players"]}
    assert [kinds[f"{run} 0"] for run in ("ppi", "a2c", "coala", "exact")] == [
        *("planner", "actor-critic", "actor-critic", "table")
    ]
    assert kinds["ppi 1"] == "planner" and kinds["Grudger"] == "automaton" and kinds["tit for tat"] == "table"
    episodes = {
        each["name"]: (each["rounds"], each["episodes"], each.get("lasting", False)) for each in data["players"]
    }
    assert episodes["ppi 0"] == (5, 1, False) and episodes["tit for tat"] == (None, 1, False)
    assert episodes["coala 0"] == episodes["coala 1"] == (5, 4, True)
    about = next(each["about"] for each in data["players"] if each["name"] == "ppi 1")
    assert about == (
        "Agent 1 of the ppi-mixed run ppi, seed 0, after phase 2. Before every move it imagines 2 futures of 3 rounds "
        "for each of its actions; its temperature is 0.01."
    )
    how = {each["name"]: each["about"].split("after phase 2. ")[-1] for each in data["players"]}
    assert how["a2c 0"] == "It learned by trial alone, and imagines no futures."
    assert how["coala 0"] == f"{how['a2c 0']} It remembers all episodes of a match."
    assert re.fullmatch(
        r"It cooperates with probability \d\.\d\d at first, .* after DD \(its own move first\)\.", how["exact 0"]
    )


def weights(data: dict, name: str) -> str:
    return next(each for each in data["players"] if each["name"] == name)["weights"]["head_bias"]["data"]


def test_phase_seed_and_learner_and_an_archive(runs, tmp_path):
    archive(runs / "a2c", tmp_path / "archived", all_phases=True)
    asked = {"last": [], "first": ["--phase", 1], "other": ["--seed", 1], "one": ["--learner", 1]}
    found = {}
    for name, flags in asked.items():
        assert page(tmp_path / "archived", "--out", tmp_path / f"{name}.html", *flags) == 0
        found[name] = data_of(tmp_path / f"{name}.html")
    assert "archived 0" not in [each["name"] for each in found["one"]["players"]]
    assert weights(found["one"], "archived 1") == weights(found["last"], "archived 1")
    assert len({weights(found[name], "archived 0") for name in ("last", "first", "other")}) == 3
    (agent,) = registry.load(runs / "a2c", phase=1)[:1]
    assert weights(found["first"], "archived 0") == _base64(agent.network.head_bias)


def _base64(array) -> str:
    return base64.b64encode(np.asarray(array, "<f4").tobytes()).decode()


def test_agents_of_a_game_with_two_tables_have_their_seats(runs, tmp_path):
    assert page(runs / "unlike", "--out", tmp_path / "play.html") == 0
    data = data_of(tmp_path / "play.html")
    seats = {each["name"]: each["seat"] for each in data["players"]}
    assert seats["unlike 0"] == 0 and seats["unlike 1"] == 1 and seats["random"] is None
    assert data["game"]["payoffs"] == [[4, 0, 3, 2], [4, 1, 3, 2]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tit_for_tat"], "agents: needs the folder of at least one run"),
        (["ppi", "ppi"], "agents: ppi 0, ppi 1 named twice"),
        (["ppi", "unlike"], "agents: .*unlike and .*ppi are runs of different games"),
        (["coin", "ppi"], "agents: .*ppi and .*coin are runs of different games"),
        (["coin", "Grudger"], "Grudger: an automaton plays matrix games of two actions"),
        (["ppi", "Nobody"], "strategy: 'Nobody' is not one of always_cooperate"),
        (["nowhere/at-all"], "agents: nowhere/at-all is not the folder of a run"),
        (["ppi", "--phase", "9"], "phase: .* has phases 1 to 2, got 9"),
        (["ppi", "--seed", "9"], "seed: this run has seeds 0 to 0, got 9"),
        (["ppi", "--learner", "2"], "learner: .*ppi has learners 0 to 1, got 2"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(runs, tmp_path, capsys, words, message):
    named = [runs / word if (runs / word).is_dir() else word for word in words]
    assert page(*named, "--out", tmp_path / "play.html") == 2
    told = capsys.readouterr().err
    assert re.match(f"coplayer: {message}", told) and told.count("\n") == 1
    assert not (tmp_path / "play.html").exists()


def test_a_file_that_exists_is_kept(runs, tmp_path, capsys):
    out = tmp_path / "play.html"
    out.write_text("mine")
    assert page(runs / "ppi", "--out", out) == 2
    assert "exists already" in capsys.readouterr().err and out.read_text() == "mine"


def test_agents_of_the_package_are_on_a_page_by_their_name(tmp_path):
    assert page("ppi-mixed", "Grudger", "--learner", 1, "--out", tmp_path / "play.html") == 0
    players = {each["name"]: each for each in data_of(tmp_path / "play.html")["players"]}
    assert players["ppi-mixed 1"]["kind"] == "planner" and "ppi-mixed 0" not in players
    assert "seed 0, after phase 20" in players["ppi-mixed 1"]["about"]


def test_episodes_of_a_run_on_a_grid_are_those_of_coplayer_watch(tmp_path, monkeypatch):
    """The first, the middle and the last inner episode, with a naive learner and with the other agent."""
    game = CleanUpLite(5)
    registry.train(adjust(TINY_COALA, game=game, **SMALL, seeds=1), tmp_path / "run")
    assert page(tmp_path / "run", "--out", tmp_path / "play.html") == 0
    data = data_of(tmp_path / "play.html")
    assert re.match("Agent 0 of the cleanup-(mixed|shaping) run run, ", data["players"][0]["about"])  # the recipe
    assert [(*each["names"], each["title"]) for each in data["replays"]] == [
        ("run 0", met, f"inner episode {i} of 4") for met in ("run 1", "a naive learner") for i in (1, 2, 4)
    ]
    drawn = []
    monkeypatch.setattr(watch, "animate", lambda path, episodes, names: drawn.extend(episodes))
    monkeypatch.setattr(watch, "draw_strip", lambda path, episodes, names: None)
    watch.watch(RunFolder.open(tmp_path / "run"))
    for shown, replay in zip(drawn, data["replays"][3:], strict=True):
        cells = [[5 * row + column for column, row in scene.players] for scene in shown.scenes]
        assert [scene[:2] for scene in replay["scenes"]] == cells
        assert np.array(replay["rewards"]).T.tolist() == shown.rewards.tolist()
        assert {len(row) for row in (*replay["actions"], *replay["measures"]["zapped"])} == {5}
    assert [len(replay["scenes"]) for replay in data["replays"]] == [6] * 6  # 5 rounds, and the grid after them
    assert page(tmp_path / "run", "--learner", 1, "--out", tmp_path / "one.html") == 0
    assert data_of(tmp_path / "one.html")["replays"][0]["names"] == ["run 1", "run 0"]


def test_agents_of_a_coin_game_meet_on_the_page_and_play_an_episode_there(runs, tmp_path):
    assert page(runs / "coin", "--out", tmp_path / "play.html") == 0
    data = data_of(tmp_path / "play.html")
    assert data["game"]["name"] == "coin" and [each["name"] for each in data["players"]] == [
        *("coin 0", "coin 1", "random", "greedy", "considerate")
    ]
    assert data["players"][0]["about"].startswith("Agent 0 of the a2c-mixed run coin, seed 0, after phase 2.")
    (replay,) = data["replays"]
    assert (replay["names"], replay["title"]) == (["coin 0", "coin 1"], "one episode")
    assert set(replay["measures"]) == {"own_coins", "other_coins"} and len(replay["scenes"]) == 4


def test_a_page_tells_where_it_plans_otherwise_than_the_training_did():
    model = RoundModel(prisoners_dilemma(5), 4, key=jax.random.key(0))
    told = [
        how_it_decides(PPIPlayer(model, PlannerSettings(rollouts=3, stratified=stratified)))
        for stratified in (False, True)
    ]
    assert told[1] == f"{told[0]} In training their random draws were spread evenly, on this page they are independent."
