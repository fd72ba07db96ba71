"""Matches of automata against the one loop of rounds, against rules in plain Python, and against Axelrod's results."""

import axelrod
import jax
import numpy as np
import pytest

from coplayer.analysis import round_robin
from coplayer.analysis.tournament import tournament
from coplayer.games.matrix import MatrixGame
from coplayer.players.automaton import axelrod_automata, named_automaton, random_automata, stacked

UNLIKE = MatrixGame([[[1, -1], [2, 0]], [[3, 4], [5, 7]]], rounds=9)
CLASSIC = MatrixGame((3.0, 0.0, 5.0, 1.0), rounds=20)
SURE = ["Tit For Tat", "Grudger", "Alternator", "Fool Me Once", "Win-Stay Lose-Shift", "Defector", "Second by Tester"]
UNSURE = ["ZD-Extort-2", "GTFT", "Random", "First by Joss"]


def in_plain_python(automata, i, j, game, episodes):
    """Mean rewards and cooperation of a pair of sure automata."""
    following, cooperates = np.asarray(automata.next), np.asarray(automata.p_cooperate)
    totals = np.zeros((2, 2))
    for _ in range(episodes):
        one = other = 0
        for _ in range(game.rounds):
            a, b = int(1 - cooperates[i, one]), int(1 - cooperates[j, other])
            totals += [[game.tables[0][a, b], game.tables[1][b, a]], [1 - a, 1 - b]]
            one, other = following[i, one, 2 * a + b], following[j, other, 2 * b + a]
    return totals / (episodes * game.rounds)


@pytest.mark.parametrize("episodes", [1, 3])
def test_sure_automata_by_the_rules(episodes):
    automata = random_automata(jax.random.key(0), 5, 4)
    rows, columns = map(np.ravel, np.indices((5, 5)))
    found = round_robin.play_pairs(
        automata, rows, columns, UNLIKE, jax.random.key(1), matches=2, inner_episodes=episodes
    )
    for pair, (i, j) in enumerate(zip(rows, columns, strict=True)):
        rewards, cooperation = in_plain_python(automata, i, j, UNLIKE, episodes)
        for match in range(2):
            np.testing.assert_allclose(found.rewards[:, pair, match], rewards, rtol=1e-6)
            np.testing.assert_allclose(found.cooperation[:, pair, match], cooperation, rtol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_automata_that_draw_as_in_the_one_loop_of_rounds(noise, monkeypatch):
    players = {name: named_automaton(name) for name in (*UNSURE, "Tit For Tat")}
    found = tournament(players, CLASSIC, jax.random.key(0), episodes=400, noise=noise)
    monkeypatch.setattr(round_robin, "MOST_PLACES", 0)
    loop = tournament(players, CLASSIC, jax.random.key(1), episodes=400, noise=noise)
    for name, values in found.by_match.items():
        error = np.sqrt((values.var(-1) + loop.by_match[name].var(-1)) / 400)
        assert (np.abs(values.mean(-1) - loop.by_match[name].mean(-1)) <= 5 * error + 1e-6).all()
        np.testing.assert_allclose(values.std(-1), loop.by_match[name].std(-1), atol=0.08)


def test_more_matches_than_a_block_holds(monkeypatch):
    automata = stacked([named_automaton(name) for name in ("Random", "Cooperator")])
    one, two = np.array([0]), np.array([1])
    found = round_robin.play_pairs(automata, one, two, CLASSIC, jax.random.key(0), matches=round_robin.BLOCK + 7)
    rates = found.cooperation[0, 0]
    assert len(np.unique(rates[-7:])) > 1 and (rates[:7] != rates[-7:]).any()  # blocks draw their own numbers
    assert rates.mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(20 * len(rates)))
    assert (found.cooperation[1] == 1).all()


def theirs(names, repetitions, noise=0.0):
    kinds = {kind.name: kind for kind in axelrod.all_strategies}
    players = [kinds[name]() for name in names]
    held = axelrod.Tournament(players, turns=CLASSIC.rounds, repetitions=repetitions, noise=noise, seed=2)
    return held.play(progress_bar=False)


def test_a_tournament_of_sure_strategies_is_axelrods_to_the_last_digit():
    expected, names = theirs(SURE, 1), SURE
    found = tournament({name: named_automaton(name) for name in names}, CLASSIC, jax.random.key(0), episodes=1)
    np.testing.assert_allclose(found.rewards, np.array(expected.payoff_matrix), rtol=1e-6)
    cooperation = np.array(expected.normalised_cooperation)
    np.testing.assert_allclose(found.measures["cooperation"], cooperation, rtol=1e-6)
    scores = found.scores(itself=False)[:, 0] * CLASSIC.rounds * (len(names) - 1)
    np.testing.assert_allclose(scores, np.array(expected.scores)[:, 0], rtol=1e-6)
    assert [round(score, 6) for _, score in found.ranking(itself=False)] == sorted(
        (round(score[0] / CLASSIC.rounds / (len(names) - 1), 6) for score in expected.scores), reverse=True
    )


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_tournament_of_strategies_that_draw_is_axelrods_within_sampling_error(noise):
    names = [*UNSURE, "Grudger"]
    expected = np.array(theirs(names, 40, noise).payoffs)  # [player, opponent, repetition]
    players = {name: named_automaton(name) for name in names}
    found = tournament(players, CLASSIC, jax.random.key(0), episodes=400, noise=noise).by_match["reward"]
    error = np.sqrt(expected.var(-1) / 40 + found.var(-1) / 400)
    assert (np.abs(expected.mean(-1) - found.mean(-1)) <= 5 * error + 1e-6).all()


def test_all_of_axelrods_automata_fit():
    assert round_robin.fit(stacked(list(axelrod_automata().values())))
