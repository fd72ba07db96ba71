import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, observe, prisoners_dilemma

NAN = float("nan")
# Battle of the sexes, own action first: the two players face different tables.
SEXES = [[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]]
ROCK_PAPER_SCISSORS = [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]


def test_prisoners_dilemma_by_hand():
    game = prisoners_dilemma()
    assert (game.num_actions, game.num_joint, game.num_observations, game.rounds) == (2, 4, 5, 100)
    assert game.symmetric
    # (own, other) -> joint, observation that follows, joint in the co-player's view, reward, co-player's reward
    table = {
        (0, 0): (0, 1, 0, 1.0, 1.0),
        (0, 1): (1, 2, 2, -1.0, 2.0),
        (1, 0): (2, 3, 1, 2.0, -1.0),
        (1, 1): (3, 4, 3, 0.0, 0.0),
    }
    for (own, other), (joint, observation, swapped, reward, other_reward) in table.items():
        j = game.joint(jnp.asarray(own), jnp.asarray(other))
        assert int(j) == joint
        assert (int(game.own_action(j)), int(game.other_action(j))) == (own, other)
        assert int(observe(j)) == observation
        assert int(game.swap(j)) == swapped
        assert float(game.reward(j)) == reward
        assert float(game.reward(game.swap(j), player=1)) == other_reward


def test_asymmetric_game_by_hand():
    game = MatrixGame(SEXES, rounds=7)
    assert not game.symmetric
    assert game.rounds == 7
    joint = jnp.arange(4)
    np.testing.assert_array_equal(game.reward(joint), [3, 0, 1, 2])
    np.testing.assert_array_equal(game.reward(joint, player=1), [2, 1, 0, 3])
    np.testing.assert_array_equal(game.payoff_vector(1), [2, 1, 0, 3])
    # first player's joint 1 = (0, 1): it earns 0; the second one sees (1, 0) and earns 0 as well
    np.testing.assert_array_equal(game.reward(game.swap(joint), player=1), [2, 0, 1, 3])


def test_three_actions_by_hand():
    game = MatrixGame(ROCK_PAPER_SCISSORS)
    assert (game.num_actions, game.num_joint, game.num_observations) == (3, 9, 10)
    joint = jnp.arange(9).reshape(3, 3)
    np.testing.assert_array_equal(game.own_action(joint), [[0, 0, 0], [1, 1, 1], [2, 2, 2]])
    np.testing.assert_array_equal(game.other_action(joint), [[0, 1, 2], [0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(game.swap(joint), [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
    np.testing.assert_array_equal(observe(joint), [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    np.testing.assert_array_equal(game.reward(joint), ROCK_PAPER_SCISSORS)


def test_joint_actions_stored_as_bytes_are_read_without_wrapping():
    game = MatrixGame(np.arange(15 * 15).reshape(15, 15))
    joint = jnp.arange(225, dtype=jnp.uint8)
    own, other = np.divmod(np.arange(225), 15)
    np.testing.assert_array_equal(game.own_action(joint), own)
    np.testing.assert_array_equal(game.other_action(joint), other)
    np.testing.assert_array_equal(game.swap(joint), other * 15 + own)
    np.testing.assert_array_equal(observe(joint), np.arange(1, 226))
    np.testing.assert_array_equal(game.reward(joint), np.arange(225))


def test_a_game_is_a_hashable_constant_under_jit():
    def reward(game, joint):
        return game.reward(joint)

    assert hash(prisoners_dilemma(3)) == hash(prisoners_dilemma(3))
    assert prisoners_dilemma(3) == prisoners_dilemma(3) != prisoners_dilemma(4)
    assert jax.tree.leaves(prisoners_dilemma()) == []
    assert float(jax.jit(reward, static_argnums=0)(prisoners_dilemma(), jnp.asarray(2))) == 2.0


@pytest.mark.parametrize(
    ("payoffs", "rounds", "setting"),
    [
        ([[1.0, -1.0], [2.0, 0.0]], 0, "rounds"),
        ([[1.0, -1.0], [2.0, 0.0]], -3, "rounds"),
        ([[1.0]], 10, "payoffs"),
        ([1.0, 2.0], 10, "payoffs"),
        (3.0, 10, "payoffs"),
        ([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], 10, "payoffs"),
        ([[1.0, 2.0], [3.0]], 10, "payoffs"),
        ([[1.0, "a"], [2.0, 0.0]], 10, "payoffs"),
        ([[1.0, NAN], [2.0, 0.0]], 10, "payoffs"),
        ([[1.0, float("inf")], [2.0, 0.0]], 10, "payoffs"),
        ([[[1.0, 2.0], [3.0, 4.0]]], 10, "payoffs"),
        (np.zeros((3, 2, 2)), 10, "payoffs"),
        (np.zeros((2, 2, 3)), 10, "payoffs"),
        (np.zeros((2, 2, 2, 2)), 10, "payoffs"),
        (np.zeros((16, 16)), 10, "payoffs"),
        (None, 10, "payoffs"),
    ],
)
def test_bad_input_names_the_setting_on_one_line(payoffs, rounds, setting):
    with pytest.raises(CoplayerError) as caught:
        MatrixGame(payoffs, rounds=rounds)
    message = str(caught.value)
    assert message.startswith(f"{setting}:")
    assert "\n" not in message
