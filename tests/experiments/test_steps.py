"""The mechanism step by step: tabular players alone, a frozen co-player alone, then such learners among themselves."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import a2c_mixed, ppi_mixed, registry
from coplayer.experiments.archive import archive
from coplayer.experiments.ppi_mixed import Trainer
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.memory1 import cooperation
from coplayer.reproduce.report import report
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust, flat
from stopping import StopAfter, assert_same
from tiny import PLAIN_EXACT, TINY, TINY_A2C

pytestmark = pytest.mark.usefixtures("compiled_once")

PPI = adjust(TINY, phases=2, updates=3, play_blocks=1, seeds=2)
A2C = adjust(TINY_A2C, iterations=4, phases=2, seeds=2)
CONFIGS = {"ppi": PPI, "a2c": A2C}
SWAPPED = np.array([0, 2, 1, 3])


def steps(kind, out):
    """The settings of the three steps, each building on the run before in `out`."""
    alone = adjust(CONFIGS[kind], learner_share=0.0)
    extorting = adjust(alone, frozen=out / "one")
    together = adjust(CONFIGS[kind], learner_share=1.0, start=out / "two")
    return {"one": alone, "two": extorting, "three": together}


@pytest.fixture(scope="module", params=list(CONFIGS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def runs(kind, tmp_path_factory):
    """The folders of three finished steps."""
    out = tmp_path_factory.mktemp(kind)
    return {name: registry.train(config, out / name) for name, config in steps(kind, out).items()}


def test_each_step_measures_whom_its_learners_meet(runs):
    kinds = {"one": {"vs_tabular", "of_tabular"}, "two": {"vs_frozen", "of_frozen"}, "three": {"vs_learner"}}
    for name, expected in kinds.items():
        measured = set().union(*runs[name].metrics())
        assert {word.removeprefix("reward_") for word in measured if word.startswith("reward_")} == expected
        assert {word.removeprefix("cooperation_") for word in measured if word.startswith("cooperation_")} == expected


def test_the_frozen_player_is_the_last_agent_of_the_other_seat(runs):
    _, config = registry.settings_of_folder(runs["two"])
    for seed in (0, 1):
        agents = registry.load(runs["one"].path, seed=seed)
        for learner, frozen in enumerate(registry.frozen_players(config, seed)):
            assert jax.tree.structure(frozen) == jax.tree.structure(agents[1 - learner])
            for one, other in zip(jax.tree.leaves(frozen), jax.tree.leaves(agents[1 - learner]), strict=True):
                np.testing.assert_array_equal(one, other)


def test_an_archive_of_step_two_lies_beside_that_of_step_one(runs, tmp_path):
    with pytest.raises(CoplayerError, match=rf"archive that first, to {tmp_path / runs['one'].path.name}$"):
        archive(runs["two"].path, tmp_path / "two")
    assert not any(tmp_path.iterdir())
    archive(runs["one"].path, tmp_path / runs["one"].path.name)
    kept = archive(runs["two"].path, tmp_path / "two")
    assert registry.settings_of_folder(kept)[1].co_players.frozen == tmp_path / runs["one"].path.name


def test_step_three_starts_from_the_weights_of_step_two(runs):
    module, config = registry.settings_of_folder(runs["three"])
    learners = registry.trainer_of(adjust(config, seeds=1, seed=1)).initial_state().learners.learner
    weights = learners.model if module is ppi_mixed else learners.network
    for learner, player in enumerate(registry.load(runs["two"].path, seed=1)):
        expected = jax.tree.leaves(player.model if module is ppi_mixed else player.network)
        for leaf, value in zip(jax.tree.leaves(weights), expected, strict=True):
            np.testing.assert_array_equal(leaf[learner, 0], value)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(learners.optimiser))


@pytest.mark.parametrize("step", ["two", "three"])
def test_a_stopped_step_resumes_bit_for_bit_and_folders_may_move_together(step, runs, tmp_path):
    _, config = registry.settings_of_folder(runs[step])
    for name in ("one", "two"):
        shutil.copytree(runs[name].path, tmp_path / "here" / name)
    here = {name: tmp_path / "here" / path.name for name, path in registry.built_on(config).items()}
    config = adjust(config, **here)
    with pytest.raises(KeyboardInterrupt):
        registry.train(config, tmp_path / "here" / "again", reporter=StopAfter(1))
    (tmp_path / "here").rename(tmp_path / "there")
    stored = json.loads((tmp_path / "there" / "again" / "config.json").read_text())["settings"]["co_players"]
    assert stored["frozen" if step == "two" else "start"] == ("../one" if step == "two" else "../two")
    registry.resume(tmp_path / "there" / "again")
    again = RunFolder.open(tmp_path / "there" / "again")
    assert_same(again.path, runs[step].path)


def test_steps_are_evaluated_and_told_of_in_their_own_words(runs):
    texts = {name: report(folder, phases="last", episodes=4).text for name, folder in runs.items()}
    assert "| reward of the tabular players |" in texts["one"] and "learner against learner" not in texts["one"]
    assert "| share of the reward against the frozen player |" in texts["two"]
    assert "| cooperation, learner against learner |" in texts["three"] and "frozen" not in texts["three"]
    evaluation = json.loads((runs["two"].path / "evaluation.json").read_text())["phases"]["2"]["frozen"]
    assert np.shape(evaluation["reward"]) == (2, 2, TINY.game.rounds if "updates" in runs["two"].timing()[0] else 5)
    assert np.shape(evaluation["slope"]) == (2, 2)
    for folder in runs.values():
        assert (folder.figures / "training.png").read_bytes().startswith(b"\x89PNG")


def test_learners_who_never_meet_are_repetitions_of_their_own(runs):
    table = report(runs["two"], phases="last", episodes=4).text
    row = next(line for line in table.splitlines() if line.startswith("| reward of the frozen player"))
    assert len(row.split("|")[6].split()) == 4  # two seeds of two learners


# A frozen player whose ways are known.


def fixed_players(*cooperates):
    """One memory-1 player for each learner to meet, leading axes [learner, seed]."""
    return jax.tree.map(lambda *leaves: np.stack(leaves)[:, None], *map(cooperation, cooperates))


ASYMMETRIC = (1.0, -1.0, 2.0, 0.0, 5.0, 6.0, 7.0, 8.0)


def test_ppi_stores_what_was_played_with_the_frozen_player_of_each_seat():
    config = adjust(PPI, seeds=1, learner_share=0.0, frozen=Path("somewhere"), game=MatrixGame(ASYMMETRIC, 6))
    trainer = Trainer(config, frozen=fixed_players([1, 1, 0, 1, 0], [0, 0, 0, 0, 0]))
    state = trainer.initial_state()
    while state.phase == 1:
        chunk = trainer.advance(state)
        state = chunk.state
    played = np.asarray(state.learners.learner.episodes)[:, 0, : config.data.episodes]
    np.testing.assert_array_equal(played[0, :, 0] % 2, 0)
    np.testing.assert_array_equal(played[0, :, 1:] % 2, played[0, :, :-1] // 2)  # tit-for-tat
    assert (played[1] % 2 == 1).all()
    tables = np.reshape(ASYMMETRIC, (2, 4))
    for row in chunk.rows:
        joint = played[row["learner"]]
        own, other = tables[row["learner"]], tables[1 - row["learner"]]
        assert row["reward_vs_frozen"] == pytest.approx(own[joint].mean(), abs=1e-5)
        assert row["reward_of_frozen"] == pytest.approx(other[SWAPPED[joint]].mean(), abs=1e-5)
        assert row["cooperation_vs_frozen"] == pytest.approx((joint // 2 == 0).mean(), abs=1e-6)
        assert row["cooperation_of_frozen"] == pytest.approx((joint % 2 == 0).mean(), abs=1e-6)


def test_a2c_learns_against_the_frozen_player_who_stays_as_he_is():
    """Tit-for-tat, seen in its own view; and from always-cooperate the learner learns to take all."""
    config = adjust(
        A2C, seeds=1, learner_share=0.0, frozen=Path("somewhere"), episodes=64, iterations=60, phases=1, log_every=20,
        learning_rate=0.05,
    )  # fmt: skip
    frozen = fixed_players([1, 1, 0, 1, 0], [1, 1, 1, 1, 1])

    def play(given, _):
        key, player = given
        network = a2c_mixed.new_network(config, key)
        return a2c_mixed.play(config, config.split, network, key, player)[0].joint

    keys = a2c_mixed.mixed_pool.keys(config.run, 2)
    joint = np.asarray(a2c_mixed.mixed_pool.mapped(config.run, play, 2)((keys, frozen), None))[:, 0]
    assert (joint[1] % 2 == 0).all() and (joint[0, 0] % 2 == 0).all()
    np.testing.assert_array_equal(joint[0, 1:] % 2, joint[0, :-1] // 2)

    trainer = a2c_mixed.Trainer(config, frozen=frozen)
    state, rows = trainer.initial_state(), []
    while not trainer.finished(state):
        chunk = trainer.advance(state)
        state, rows = chunk.state, rows + chunk.rows
    assert rows[1]["reward_vs_frozen"] < 1.8 and rows[-1]["reward_vs_frozen"] > 1.9
    for row in rows:
        assert row["cooperation_of_frozen"] == 1.0 or row["learner"] == 0
    for before, after in zip(jax.tree.leaves(frozen), jax.tree.leaves(state.learners.frozen), strict=True):
        np.testing.assert_array_equal(before, after)


def test_ppi_carries_the_data_of_step_two_over(tmp_path):
    """The tabular episodes, drawn anew from the same key, then all that was played, then what is played now."""
    config = adjust(PPI, seeds=2, learner_share=0.0, fresh_tabular=False, phases=2)
    registry.train(config, tmp_path / "run")
    before = registry.trainer_of(config)
    folder = RunFolder.open(tmp_path / "run")
    stored = np.asarray(before.unpack(checkpoint.newest(folder.checkpoints).arrays).learners.learner.episodes)
    following = adjust(config, learner_share=1.0, start=tmp_path / "run", seed=1, seeds=1)
    trainer = registry.trainer_of(following)
    state = trainer.initial_state()
    rows = stored.shape[2]
    assert rows == 32 + 2 * config.data.episodes
    np.testing.assert_array_equal(np.asarray(state.learners.learner.episodes)[:, 0, :rows], stored[:, 1])
    assert trainer.available(1) == rows and trainer.available(2) == rows + config.data.episodes
    while state.phase == 1:
        state = trainer.advance(state).state
    episodes = np.asarray(state.learners.learner.episodes)[:, 0]
    np.testing.assert_array_equal(episodes[:, :rows], stored[:, 1])
    mine, yours = episodes[:, rows : rows + config.data.episodes]
    np.testing.assert_array_equal(mine, SWAPPED[yours])
    again = trainer.unpack(trainer.pack(state))
    np.testing.assert_array_equal(np.asarray(again.learners.learner.episodes)[:, 0], episodes)


# Settings.


def test_what_cannot_be_built_on_is_refused_on_one_line(runs, kind, tmp_path):
    config = steps(kind, runs["one"].path.parent)
    exact = registry.train(PLAIN_EXACT, tmp_path / "exact")
    other = steps("a2c" if kind == "ppi" else "ppi", runs["one"].path.parent)["three"]
    for bad, message in (
        (adjust(config["two"], frozen=tmp_path / "none"), "frozen: .* no such run folder"),
        (adjust(config["two"], seed=1), "frozen: .* has seeds 0 to 1, these settings need 1 to 2"),
        (adjust(config["two"], game=MatrixGame((3.0, 0.0, 5.0, 1.0), 6)), "frozen: .* is of another game"),
        (adjust(config["two"], learner_share=0.5), "frozen: needs learner_share = 0"),
        (adjust(config["three"], hidden=5), "start: .* has another network"),
        (other, "start: .* is not a run of"),
        (adjust(config["two"], frozen=exact.path), "frozen: .* is a run of exact-ipd; needs one of"),
        (adjust(config["three"], start=exact.path), "start: .* is a run of exact-ipd; needs one of"),
        *[(adjust(config["three"], game=prisoners_dilemma(3)), "start: .* has episodes of 6 rounds")][: kind == "ppi"],
    ):
        with pytest.raises(CoplayerError, match=message) as error:
            registry.train(bad, tmp_path / "run")
        assert "\n" not in str(error.value) and not (tmp_path / "run").exists()
    named = adjust(config["two"], learners=2)
    object.__setattr__(
        named.co_players, "frozen", str(tmp_path / "none")
    )  # as Python takes it where no types are checked
    with pytest.raises(CoplayerError, match=r"frozen: .* no such run folder"):
        registry.train(named, tmp_path / "run")
    unfinished = tmp_path / "unfinished"
    with pytest.raises(KeyboardInterrupt):
        registry.train(config["one"], unfinished, reporter=StopAfter(1))
    with pytest.raises(CoplayerError, match=r"frozen: .* is not finished; go on with it by 'coplayer resume"):
        registry.trainer_of(adjust(config["two"], frozen=unfinished))


def test_every_step_is_a_command_that_names_the_step_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, setting in (("step2", "frozen: runs/{}-step1"), ("step3", "start: runs/{}-step2")):
        for learner in CONFIGS:
            assert cli.main(["train", f"{learner}-{name}"]) == 2
            assert capsys.readouterr().err == f"coplayer: {setting.format(learner)}: no such run folder\n"


def test_presets_of_the_steps_are_the_published_settings():
    for recipe in registry.RECIPES.values():
        for preset in recipe.presets.values():
            registry.experiment_of(preset).check(preset)
    names = (
        "centred episodes reward_scale gamma td_lambda gae_lambda value_coefficient entropy_coefficient learning_rate "
        "max_gradient_norm iterations"
    ).split()
    published = {
        "a2c-step1": (True, 2048, 0.2, 0.99, 0.99, 0.99, 0.5, 0.001, 0.005, 1.0, 50_000),
        "a2c-step2": (False, 2048, 0.05, 0.99, 1.0, 1.0, 0.5, 0.001, 0.005, 1.0, 100_000),
        "a2c-step3": (True, 4096, 0.02, 0.99, 0.95, 0.95, 0.5, 0.001, 0.0005, 1.0, 10_000),
        "a2c-mixed": (True, 4096, 0.02, 0.99, 1.0, 1.0, 0.5, 0.01, 0.001, 1.0, 200_000),
    }
    for name, values in published.items():
        paper = registry.RECIPES[name].presets["paper"]
        assert tuple(flat(paper)[field] for field in names) == values
