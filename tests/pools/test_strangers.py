"""Pools of strangers: who is drawn how often, and that each stranger plays as its automaton does."""

import json
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.coin import CoinGame
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.automaton import Members, axelrod_automata, axelrod_parts, named_automaton
from coplayer.players.memory1 import TabularPlayers
from coplayer.pools import strangers, tabular

GAME = prisoners_dilemma(6)
TRAINING = [name for name in axelrod_parts()["training"] if name in axelrod_automata()]


def tables_of(drawn: Members) -> tuple[np.ndarray, np.ndarray]:
    """The tables of the stranger of each episode."""
    at = np.asarray(drawn.members)
    return np.asarray(drawn.automata.next)[at], np.asarray(drawn.automata.p_cooperate)[at]


def same_as(drawn: Members, name: str) -> np.ndarray:
    """In which episodes the stranger has the tables of a strategy."""
    named = named_automaton(name)
    following, chances = tables_of(drawn)
    states = named.states
    next_same = (following[:, :states] == np.asarray(named.next)).all((1, 2))
    return next_same & np.isclose(chances[:, :states], np.asarray(named.p_cooperate)).all(1)


def test_each_entry_is_equally_likely_and_so_is_each_strategy_of_an_entry():
    pool = strangers.pool_of(("Grudger", "axelrod", "memory2", "tit_for_tat"), GAME)
    drawn = strangers.draw(jax.random.key(0), GAME, 4000, pool)
    share = same_as(drawn, "Grudger").mean()
    assert share == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)
    hard = same_as(drawn, "Hard Prober").mean()  # of the strategies for training
    assert hard == pytest.approx(0.25 / len(TRAINING), abs=4 * (0.25 / len(TRAINING) / 4000) ** 0.5)
    assert not same_as(drawn, "EvolvedLookerUp2_2_2").any()  # held out
    everyone = sum(same_as(drawn, name) for name in {"Grudger", "tit_for_tat", *TRAINING})
    _, chances = tables_of(drawn)
    fresh = everyone == 0
    assert fresh.mean() == pytest.approx(0.25, abs=0.03)
    assert chances[fresh][:, :21].mean() == pytest.approx(0.5, abs=0.01)  # uniform, after each of 1 + 4 + 16 histories
    assert chances[fresh][:, :21].var() == pytest.approx(1 / 12, abs=0.005)


def test_fresh_automata_have_one_to_eight_states_and_half_are_deterministic():
    drawn = strangers.draw(jax.random.key(1), GAME, 4000, strangers.pool_of(("automata",), GAME))
    following, chances = tables_of(drawn)
    largest = following.max((1, 2))
    assert following.min() == 0 and largest.max() == strangers.MOST_STATES - 1
    assert (largest == 0).mean() == pytest.approx(1 / 8, abs=0.02)  # a single state
    assert np.isin(chances, (0, 1)).all(1).mean() == pytest.approx(0.5, abs=0.03)
    for states in (3, 4):  # each state equally often, whatever their number
        inner = following[largest == states - 1][:, :states]  # mostly of automata of so many states
        assert np.bincount(inner.ravel()) / inner.size == pytest.approx([1 / states] * states, abs=0.03)


def test_a_stranger_plays_as_its_automaton(monkeypatch):
    """By hand, from the tables: who cooperates for sure does, and goes to the state that was to follow."""
    pool = strangers.pool_of(("Hard Prober", "Tit For 2 Tats", "ALLCorALLD"), GAME)
    played = strangers.play(jax.random.key(2), GAME, 64, pool)
    pair = [strangers.draw(jax.random.fold_in(jax.random.key(2), seat), GAME, 64, pool) for seat in range(2)]
    for seat, drawn in enumerate(pair):
        following, chances = tables_of(drawn)
        actions = [np.asarray(played.view(side).actions) for side in (seat, 1 - seat)]
        state, places = np.zeros(64, int), np.arange(64)
        for own, other in zip(*actions, strict=True):
            chance = chances[places, state]
            sure = np.isin(chance, (0, 1))
            np.testing.assert_array_equal(own[sure], 1 - chance[sure])
            state = following[places, state, 2 * own + other]
    assert len({*np.asarray(pair[0].members)}) == 3


def test_a_trembling_stranger_follows_what_was_really_played():
    pool = strangers.pool_of(("Cooperator Hunter", "memory2"), GAME, noise=0.25)
    steady = strangers.draw(jax.random.key(4), GAME, 50, pool._replace(noise=0.0))
    noisy = strangers.draw(jax.random.key(4), GAME, 50, pool)
    np.testing.assert_array_equal(noisy.automata.next, steady.automata.next)
    chance = steady.automata.p_cooperate
    np.testing.assert_allclose(noisy.automata.p_cooperate, 0.75 * chance + 0.25 * (1 - chance), atol=1e-6)


def by_enumeration(actions, others, candidates):
    """P(cooperate) in each round by Bayes' rule over candidates: (prior, automaton tables), in plain Python."""
    weights, states, predicted = [prior for prior, *_ in candidates], [0] * len(candidates), []
    for own, other in zip(actions, others, strict=True):
        chances = [chance[state] for (_, _, chance), state in zip(candidates, states, strict=True)]
        predicted.append(sum(w * c for w, c in zip(weights, chances, strict=True)) / sum(weights))
        weights = [w * (c if own == 0 else 1 - c) for w, c in zip(weights, chances, strict=True)]
        joint = 2 * own + other
        states = [following[state][joint] for (_, following, _), state in zip(candidates, states, strict=True)]
    return predicted


def test_mutants_are_near_strategies_for_training():
    drawn = strangers.draw(jax.random.key(2), GAME, 4000, strangers.pool_of(("mutants",), GAME))
    unchanged = {name: same_as(drawn, name).mean() for name in TRAINING}
    assert 0.05 < sum(unchanged.values()) < 0.4  # most of them have few states
    assert unchanged["Hard Prober"] > 0
    assert not same_as(drawn, "EvolvedLookerUp2_2_2").any()  # held out


def candidate(name, prior, noise=0.0):
    automaton = named_automaton(name)
    chance = np.asarray(automaton.p_cooperate, float)
    return prior, np.asarray(automaton.next), (1 - noise) * chance + noise * (1 - chance)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_what_named_strangers_will_do_is_known_by_bayes_rule(noise):
    pool = strangers.pool_of(("Hard Prober", "axelrod", "ALLCorALLD"), GAME, noise)
    key = jax.random.key(7)
    joint = np.asarray(strangers.play(key, GAME, 40, pool).joint)
    found = np.asarray(strangers.predictive(jnp.asarray(joint), GAME, pool))
    third = 1 / 3
    candidates = [candidate("Hard Prober", third, noise)]
    candidates += [candidate(name, third / len(TRAINING), noise) for name in TRAINING]
    candidates += [candidate("ALLCorALLD", third, noise)]
    for table in range(40):
        others, actions = joint[:, table] // 2, joint[:, table] % 2  # the stranger is the second player
        np.testing.assert_allclose(found[:, 0, table], by_enumeration(actions, others, candidates), atol=2e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_what_a_fresh_stranger_will_do_is_known_by_its_counts():
    """Laplace's rule by hand, after each of the last two rounds; beside a strategy by name."""
    pool = strangers.pool_of(("memory2", "Tit For Tat"), GAME)
    joint = np.asarray(strangers.play(jax.random.key(8), GAME, 30, pool).joint)
    found = np.asarray(strangers.predictive(jnp.asarray(joint), GAME, pool))
    for table in range(30):
        others, actions = joint[:, table] // 2, joint[:, table] % 2
        counts, weights = {}, [0.5, 0.5]
        for at, own in enumerate(actions):
            context = tuple(joint[max(0, at - 2) : at, table])
            cooperated, defected = counts.get(context, (1, 1))
            chances = [cooperated / (cooperated + defected), float(at == 0 or others[at - 1] == 0)]
            expected = np.dot(weights, chances) / sum(weights)
            assert found[at, 0, table] == pytest.approx(expected, abs=1e-5)
            weights = [w * (c if own == 0 else 1 - c) for w, c in zip(weights, chances, strict=True)]
            counts[context] = (cooperated + (own == 0), defected + (own == 1))


def test_a_uniform_stranger_is_predicted_as_the_tabular_pool_predicts():
    pool = strangers.StrangerPool(("uniform",), (), 0.0)
    joint = strangers.play(jax.random.key(9), GAME, 20, pool).joint
    expected = tabular.predictive(joint, GAME, tabular.UNIFORM)
    np.testing.assert_allclose(strangers.predictive(joint, GAME, pool), expected, atol=1e-5)


def test_what_has_no_closed_form_is_refused():
    joint = jnp.zeros((GAME.rounds, 1), jnp.uint8)
    for word in ("automata", "mutants"):
        with pytest.raises(CoplayerError, match=f"fresh {word}"):
            strangers.predictive(joint, GAME, strangers.pool_of((word,), GAME))
    with pytest.raises(CoplayerError, match="pool_noise"):
        strangers.predictive(joint, GAME, strangers.pool_of(("memory2",), GAME, 0.1))


def test_a_pool_of_memory_1_players_is_tabular():
    words = ("uniform", "tit_for_tat", "1,1,0,1,0")
    pool = strangers.pool_of(words, GAME)
    assert pool == tabular.pool_of(words, GAME)
    drawn = strangers.draw(jax.random.key(5), GAME, 9, pool)
    assert isinstance(drawn, TabularPlayers)
    np.testing.assert_array_equal(drawn.tables, tabular.draw_tables(jax.random.key(5), GAME, 9, pool))
    np.testing.assert_array_equal(
        strangers.play(jax.random.key(6), GAME, 9, pool).joint, tabular.play(jax.random.key(6), GAME, 9, pool).joint
    )


@pytest.mark.parametrize(
    ("words", "game", "message"),
    [
        (("automata", "nobody"), GAME, "^pool: 'nobody' is not uniform"),
        (("nobody",), GAME, "^pool: 'nobody' is not uniform, memory2, .*axelrod, .*of the Axelrod library"),
        (("memory2",), CoinGame(), "^pool: strangers need a game whose observations are symbols"),
        (("uniform",), CoinGame(), "^pool: strangers need a game whose observations are symbols"),
        (("automata", "1,2"), GAME, "'1,2' is not uniform"),
        (("memory2", "memory2"), GAME, "memory2 must not be named more than once"),
        (("axelrod",), MatrixGame([[4, 0], [3, 2]], rounds=5, cooperation=1), "'axelrod' needs a matrix game"),
        (("Grudger",), MatrixGame(np.eye(3).tolist(), rounds=5), "'Grudger' needs a matrix game of two actions"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_in_one_line(words, game, message):
    with pytest.raises(CoplayerError, match=message) as refused:
        strangers.pool_of(words, game)
    assert "\n" not in str(refused.value)


def test_the_parts_of_the_library_are_all_of_it_once():
    axelrod = pytest.importorskip("axelrod", reason="needs coplayer[axelrod]")
    parts = axelrod_parts()
    names = [make().name for make in axelrod.strategies]
    assert sorted(parts["training"] + parts["held_out"]) == sorted(names)
    kinds = {}
    for make in axelrod.strategies:
        player = make()
        infinite = player.classifier["memory_depth"] == float("inf")
        kind = (player.name in axelrod_automata(), player.classifier["stochastic"], infinite)
        kinds.setdefault(kind, []).append(player.name)
    draw = random.Random(2026)
    for kind in sorted(kinds):
        shuffled = sorted(kinds[kind])
        draw.shuffle(shuffled)
        half = (len(shuffled) + 1) // 2
        assert set(shuffled[:half]) <= set(parts["training"]), json.dumps(kind)
        assert set(shuffled[half:]) <= set(parts["held_out"]), json.dumps(kind)


def test_a_pool_of_memory_1_players_does_not_read_the_library(monkeypatch):
    """Reading takes most of a second, which a training without Axelrod's strategies should not spend."""
    monkeypatch.setattr(strangers, "axelrod_automata", lambda: pytest.fail("the library was read"))
    for words in (("uniform", "random"), ("tit_for_tat", "1,1,0,1,0"), ("uniform", "memory2", "automata")):
        strangers.pool_of(words, GAME)
