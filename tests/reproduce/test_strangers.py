"""The study of strangers, with tiny runs and a few of the library's strategies."""

import axelrod
import jax
import numpy as np
import pytest

from coplayer.experiments import registry
from coplayer.games.matrix import prisoners_dilemma
from coplayer.players.automaton import axelrod_automata, axelrod_parts, named_automaton
from coplayer.players.memory1 import named_strategy
from coplayer.reproduce import reproduce, strangers
from coplayer.reproduce.strangers import Condition
from coplayer.settings import adjust
from figure_tables import rows_of
from tiny import TINY, TINY_A2C

PAYOFFS = (1.0, -1.0, 2.0, 0.0)
CALM, NOISY = Condition(6, 0.0), Condition(4, 0.25)
FIELD = {CALM: {"Worst": -1.0, "Best": 0.5, "Middle": 0.1}, NOISY: {"Worst": 0.0, "Best": 9.0}}


@pytest.fixture
def few(monkeypatch):
    """A small field, few opponents, few matches."""
    monkeypatch.setattr(strangers, "field", lambda: FIELD)
    monkeypatch.setattr(strangers, "held_out", lambda: [axelrod.Defector(), axelrod.Cooperator(), axelrod.TitForTat()])
    monkeypatch.setattr(strangers, "MATCHES", 2)
    monkeypatch.setattr(strangers, "OWN_KIND", 3)
    monkeypatch.setattr(strangers, "RUNS", 20)
    monkeypatch.setattr(strangers, "PREDICTED", 8)
    monkeypatch.setattr(strangers, "TYPES", 4)
    monkeypatch.setattr(strangers, "STAGES", (0, 2, None))
    monkeypatch.setattr(strangers, "COOPERATIVE", ("Grudger",))
    monkeypatch.setattr(strangers, "INDIFFERENT", ("Defector",))


def test_what_is_earned_is_the_mean_by_opponent(few):
    """Always-cooperate: -1 with a defector, 1 with the others. By hand, without noise."""
    found = strangers.earned(named_strategy("always_cooperate"), CALM, PAYOFFS, jax.random.key(0))
    np.testing.assert_allclose(found, np.tile([-1.0, 1.0, 1.0], (6, 1)))
    found = strangers.earned(named_strategy("always_defect"), CALM, PAYOFFS, jax.random.key(0))
    np.testing.assert_allclose(found, [[0.0, 2.0, 2.0], *[[0.0, 2.0, 0.0]] * 5])
    noisy = strangers.earned(named_strategy("always_defect"), Condition(4000, 0.25), PAYOFFS, jax.random.key(0))
    assert noisy[:, 0].mean() == pytest.approx(0.75**2 * 0 + 0.25 * 0.75 * (2 - 1) + 0.25**2 * 1, abs=0.05)


def test_late_cooperation_is_mutual_and_late(few):
    game, key = prisoners_dilemma(8), jax.random.key(1)
    assert strangers.late_cooperation((named_strategy("tit_for_tat"), named_automaton("Grudger")), game, key) == 1
    cooperates_late = named_automaton("Cycler CCCDCD")  # rounds 7 and 8: C, C
    always = named_strategy("always_cooperate")
    assert strangers.late_cooperation((cooperates_late, always), game, key) == 1
    assert strangers.late_cooperation((named_strategy("always_defect"), always), game, key) == 0


def test_who_takes_over_a_population(monkeypatch):
    """Half of the processes among equals; nearly all where the other type earns less against everybody."""
    game, key = prisoners_dilemma(20), jax.random.key(2)
    monkeypatch.setattr(strangers, "TYPES", 2)
    monkeypatch.setattr(strangers, "neighbours", lambda: {"equal": named_strategy("tit_for_tat")})
    share = strangers.takes_over(named_strategy("tit_for_tat"), game, key)
    assert share == pytest.approx(0.5, abs=4 * (0.25 / strangers.RUNS) ** 0.5)
    monkeypatch.setattr(strangers, "neighbours", lambda: {"dupe": named_strategy("always_cooperate")})
    assert strangers.takes_over(named_strategy("always_defect"), game, key) > 0.99


def test_the_neighbours_are_held_out_automata():
    names = set(strangers.neighbours())
    assert len(names) == strangers.TYPES - 1 == 19 and names <= {*axelrod_parts()["held_out"]} & {*axelrod_automata()}


def test_the_parts_are_the_automata_of_the_library():
    both = {part: {*names} for part, names in strangers.parts().items()}
    held_out = both["held-out automata"]
    assert held_out == {*axelrod_parts()["held_out"]} & {*axelrod_automata()} and len(held_out) > 40
    assert both["automata of training"] == {"axelrod"}


def test_the_held_out_strategies_are_none_that_training_meets():
    names = {one.name for one in strangers.held_out()}
    assert 90 < len(names) <= len(axelrod_parts()["held_out"])
    for presets in strangers.RECIPES.values():
        pool = presets["quick"].co_players.pool
        met = {*axelrod_parts()["training"]} & {*axelrod_automata()}
        assert "axelrod" in pool and not names & met and not names & {*pool}


def test_the_field_is_the_whole_library_in_all_conditions():
    known = strangers.field()
    assert set(known) == {strangers.Condition(rounds, noise) for rounds in (100, 200) for noise in (0.0, 0.01)}
    fast = {one.name for one in (make() for make in axelrod.strategies) if not one.classifier["long_run_time"]}
    for rewards in known.values():
        assert set(rewards) == fast
        assert -1 <= min(rewards.values()) and max(rewards.values()) <= 2


def test_a_tiny_study_is_trained_measured_and_drawn(few, monkeypatch, tmp_path):
    """The better learner of each seed counts, beside the best of the field."""
    sizes = {"ppi-strangers-quick": TINY, "a2c-strangers-quick": TINY_A2C}
    plain = reproduce.STUDIES["strangers"]

    def runs(preset):
        return {name: adjust(sizes[name], seeds=2, pool=("axelrod",)) for name in plain.runs(preset)}

    monkeypatch.setitem(reproduce.STUDIES, "strangers", plain._replace(runs=runs))
    made = reproduce.reproduce("strangers", tmp_path, seeds=2)
    assert made.figure.read_bytes().startswith(b"\x89PNG")
    rows = rows_of(made.text)
    row = rows["PPI, 6 rounds: reward of the better learner against held-out strategies"]
    assert len(row[2]) == 2 and rows["6 rounds: the library's best, Best"][1] == 0.5
    assert row[3].startswith("at least 0.5 in")
    mean = rows["PPI, 6 rounds: mean reward of both learners"]
    assert rows["PPI, 6 rounds: mean reward of both learners, rounds 3 to 6"][1] != mean[1]
    assert -1 <= rows["A2C: reward per round against Defector"][1] <= 0
    assert mean[1] <= row[1]
    assert "A2C, 4 rounds, noise 0.25: reward of the better learner against held-out strategies" in rows
    assert (
        "PPI: late mutual cooperation with its own kind" in rows and "A2C: late mutual cooperation with Grudger" in rows
    )
    taken = rows["A2C: share of Moran processes of 4 types that a learner takes over (chance 0.25)"]
    assert all(0 <= float(share) <= 1 for share in taken[2]) and taken[3].startswith("at least 0.25 in")
    words = "excess prediction loss against held-out automata, nats per round: PPI, rounds 1 to 2"
    assert rows[words][1] > rows[words.replace("PPI", "who knows the pool")][1] > 0
    folder = next(path for path in (tmp_path / "runs").iterdir() if path.name.startswith("ppi"))
    agents = registry.load(folder, seed=1)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(2026), 1), 64)
    both = [strangers.earned(one, CALM, PAYOFFS, keys[i]).mean() for i, one in enumerate(agents)]
    assert float(row[2][1]) == pytest.approx(max(both), abs=0.006)
