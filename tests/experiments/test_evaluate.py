"""Evaluating the agents of a run folder, for agents whose play is known."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.evaluate import evaluate, stored_results
from coplayer.games import names
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.player import Player
from coplayer.players.memory1 import cooperation
from coplayer.settings import adjust
from toy import Saving, Toy
from vault import Vault

pytestmark = pytest.mark.usefixtures("compiled_once")

UNLIKE = MatrixGame([[[1, -1], [2, 0]], [[10, -10], [20, 5]]], rounds=3)


@pytest.fixture
def toy(monkeypatch):
    """The toy experiment, and the games of this test alone."""
    experiment = Saving()
    monkeypatch.setattr(registry, "EXPERIMENTS", {**registry.EXPERIMENTS, "toy": experiment})
    monkeypatch.setattr(names, "GAMES", {**names.GAMES, "vault": Vault()})
    return experiment


def pair(settings, agents, *, phase, seed):
    """Learner 0 always cooperates, learner 1 always defects."""
    return [cooperation(jnp.full(5, rate)) for rate in (1.0, 0.0)]


def test_both_learners_are_measured_in_their_own_seats(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "players", pair)
    folder = registry.train(adjust(Toy(), game=UNLIKE, seeds=1), tmp_path / "run")
    done = []
    result = evaluate(folder, [1, 2], episodes=5, on_phase=done.append)
    assert done == [1, 2] and set(result) == {1, 2}
    met = result[2]["learner"]
    np.testing.assert_array_equal(met["cooperation"][0], [[1] * 3, [0] * 3])
    np.testing.assert_array_equal(met["reward"][0], [[-1] * 3, [20] * 3])  # the second seat has the second table
    np.testing.assert_array_equal(met["other_reward"][0], [[20] * 3, [-1] * 3])
    assert list(met["share"][0]) == pytest.approx([-1 / 19, 20 / 19])
    np.testing.assert_array_equal(met["first_move"][0], [1, 0])
    np.testing.assert_array_equal(met["late"][0, 0], [np.nan, 1, np.nan, np.nan])
    np.testing.assert_array_equal(met["late"][0, 1], [np.nan, np.nan, 0, np.nan])
    for name, others in (("always_defect", [-1, 5]), ("always_cooperate", [1, 20])):
        np.testing.assert_array_equal(result[2][name]["reward"][0], np.repeat(others, 3).reshape(2, 3))
    assert list(result[2]) == [
        *("learner", "tabular", "tit_for_tat", "always_cooperate", "always_defect"),
        *("win_stay_lose_shift", "generous_tit_for_tat"),
    ]


def test_the_file_has_what_is_returned_and_null_for_nan(toy, tmp_path):
    folder = registry.train(adjust(Toy(), game=prisoners_dilemma(4)), tmp_path / "run")
    result = evaluate(folder, [2], episodes=3)
    stored = json.loads((folder.path / "evaluation.json").read_text())
    assert (stored["episodes"], stored["seeds"]) == (3, [0, 1])
    assert "NaN" not in (folder.path / "evaluation.json").read_text()
    for name, fields in stored["phases"]["2"].items():
        assert set(fields) == {
            *("reward", "cooperation", "other_reward", "other_cooperation"),
            *("first_move", "early", "late", "after_defection", "after_cooperation"),
            *("share", "slope", "intercept", "correlation"),
        }
        for field, values in fields.items():
            found = np.array(values, dtype=float)
            np.testing.assert_allclose(found, result[2][name][field], atol=5e-5)
            assert found.shape[:2] == (2, 2)
    again = stored_results(folder)
    assert again.keys() == result.keys()
    np.testing.assert_allclose(again[2]["tabular"]["early"], result[2]["tabular"]["early"], atol=5e-5)


def test_a_run_that_was_not_evaluated_has_no_results(toy, tmp_path):
    assert stored_results(registry.train(Toy(), tmp_path / "run")) == {}


def test_the_same_numbers_come_again_and_other_phases_have_others(toy, tmp_path):
    folder = registry.train(Toy(), tmp_path / "run")
    one, other = (evaluate(folder, [1, 2], episodes=3) for _ in range(2))
    for phase in (1, 2):
        for name, fields in one[phase].items():
            for field, values in fields.items():
                np.testing.assert_array_equal(values, other[phase][name][field])
    assert not np.array_equal(one[1]["tabular"]["other_saving"], one[2]["tabular"]["other_saving"])


def test_the_file_keeps_phases_that_were_evaluated_alike(toy, tmp_path):
    folder = registry.train(Toy(), tmp_path / "run")
    assert list(evaluate(folder, [2], episodes=3)) == [2]
    assert list(evaluate(folder, [1], episodes=3)) == [1]
    assert list(stored_results(folder)) == [1, 2]
    evaluate(folder, [1], episodes=4)
    assert list(stored_results(folder)) == [1]
    (folder.path / "evaluation.json").write_text("no results")
    evaluate(folder, [2], episodes=4)
    assert list(stored_results(folder)) == [2]


def test_a_phase_that_is_not_there_and_a_table_for_three_are_refused(toy, tmp_path):
    folder = registry.train(Toy(), tmp_path / "run")
    with pytest.raises(CoplayerError, match=r"phases: .* has \[1\] to \[2\], asked for \[3\]"):
        evaluate(folder, [3], episodes=3)
    three = registry.train(adjust(Toy(), game=names.GAMES["public-goods"], phases=1), tmp_path / "three")
    with pytest.raises(CoplayerError, match="game: agents are evaluated in games of two players, this one has 3"):
        evaluate(three, [1], episodes=3)


class Curious(Player):
    """A player that can be told whom it meets, and then does what that one does first."""

    table: object = None

    def begin(self, key, batch):
        return None

    def act(self, state, observation, key):
        if self.table is None:
            return None, jnp.zeros(observation.shape, jnp.int32), None
        return None, jnp.argmax(self.table[:, 0], axis=-1), None

    def told(self, probabilities):
        return Curious(probabilities)


def test_players_who_can_be_told_are_told_whom_they_meet(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "players", lambda *_, **__: [Curious(), Curious()])
    folder = registry.train(adjust(Toy(), game=prisoners_dilemma(3), seeds=1, phases=1), tmp_path / "run")
    result = evaluate(folder, [1], episodes=2)[1]
    for name, rate in (("learner", 1), ("always_defect", 0), ("always_cooperate", 1), ("tit_for_tat", 1)):
        np.testing.assert_array_equal(result[name]["cooperation"], rate)
