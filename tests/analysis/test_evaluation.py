"""Curves of an evaluation, for players whose play is known."""

import jax
import numpy as np

from coplayer.analysis.evaluation import LEARNER, OPPONENTS, TABULAR, against_fixed, curves
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.memory1 import Memory1, named_strategy


def test_curves_by_hand():
    game = MatrixGame([[[1, -1], [2, 0]], [[10, -10], [20, 5]]], rounds=2)
    joint = np.array([[0, 1], [2, 3]], dtype=np.uint8)  # rounds: (CC, CD), (DC, DD)
    seen = curves(jax.numpy.asarray(joint), game)
    np.testing.assert_allclose(seen.reward, [0, 1])
    np.testing.assert_allclose(seen.cooperation, [1, 0])
    np.testing.assert_allclose(seen.other_reward, [(10 + 20) / 2, (-10 + 5) / 2])
    np.testing.assert_allclose(seen.other_cooperation, [0.5, 0.5])


def test_each_opponent_is_who_it_is_called():
    """Always-defect meets each one: what they answer is known."""
    game = prisoners_dilemma(8)
    seen = against_fixed(named_strategy("always_defect"), game, jax.random.key(0), episodes=3000)
    assert set(seen) == {TABULAR, *OPPONENTS} and LEARNER not in seen
    for curve in seen.values():
        np.testing.assert_array_equal(curve.cooperation, 0)
    np.testing.assert_array_equal(seen["always_cooperate"].other_cooperation, 1)
    np.testing.assert_array_equal(seen["always_defect"].other_cooperation, 0)
    np.testing.assert_array_equal(seen["tit_for_tat"].other_cooperation, [1] + [0] * 7)
    np.testing.assert_array_equal(seen["win_stay_lose_shift"].other_cooperation, [1, 0] * 4)
    generous = seen["generous_tit_for_tat"].other_cooperation
    assert generous[0] == 1 and np.all(np.abs(generous[1:] - 1 / 3) < 5 * np.sqrt(2 / 9 / 3000))
    assert np.all(np.abs(seen[TABULAR].other_cooperation - 0.5) < 5 * np.sqrt(0.25 / 3000))


def test_a_game_of_three_actions_is_played_against_the_tabular_pool_alone():
    game = MatrixGame(np.eye(3), rounds=4)
    assert set(against_fixed(Memory1(np.full((10, 3), 1 / 3)), game, jax.random.key(0), episodes=4)) == {TABULAR}
