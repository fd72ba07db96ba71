"""Matrix games against numbers by hand, as tables of joint actions and as a game among others."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.game import Game, Symbol
from coplayer.games.matrix import MatrixGame, observe, prisoners_dilemma

NAN = float("nan")
# Battle of the sexes, own action first: the two players face different tables.
SEXES = [[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]]
ROCK_PAPER_SCISSORS = [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]


def test_prisoners_dilemma_by_hand():
    game = prisoners_dilemma()
    assert (game.num_actions, game.num_joint, game.observation_space, game.rounds) == (2, 4, Symbol(5), 100)
    assert (game.num_players, game.cooperation, game.measures) == (2, 0, ("cooperation",))
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
    assert (game.num_actions, game.num_joint, game.observation_space) == (3, 9, Symbol(10))
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


def test_payoffs_are_given_flat_or_nested_and_kept_flat():
    flat = MatrixGame((1.0, -1.0, 2.0, 0.0), 7)
    for nested in ([[1, -1], [2, 0]], np.array([[1, -1], [2, 0]]), [[[1, -1], [2, 0]]] * 2, (1, -1, 2, 0) * 2):
        assert MatrixGame(nested, 7) == flat
    assert flat.payoffs == (1.0, -1.0, 2.0, 0.0)
    np.testing.assert_array_equal(flat.tables, [[[1, -1], [2, 0]]] * 2)
    unlike = MatrixGame(SEXES)
    assert unlike.payoffs == (3.0, 0.0, 1.0, 2.0, 2.0, 1.0, 0.0, 3.0)
    np.testing.assert_array_equal(unlike.tables, SEXES)
    assert MatrixGame(unlike.payoffs) == unlike != flat


def test_settings_are_changed_one_at_a_time():
    game = dataclasses.replace(MatrixGame(SEXES, 7, cooperation=1), rounds=9)
    assert game == MatrixGame(SEXES, 9, cooperation=1)
    assert dataclasses.asdict(game) == {"payoffs": game.payoffs, "rounds": 9, "cooperation": 1}
    with pytest.raises(dataclasses.FrozenInstanceError):
        game.rounds = 3


def test_the_action_that_counts_as_cooperation():
    joint = jnp.arange(9)
    for action in range(3):
        game = MatrixGame(ROCK_PAPER_SCISSORS, cooperation=action)
        np.testing.assert_array_equal(game.cooperates(game.own_action(joint)), joint // 3 == action)
        for player in range(2):
            measured = game.measure(jnp.asarray(0), jnp.array([2, action]), jnp.asarray(0), player)
            assert measured.keys() == {"cooperation"}
            assert bool(measured["cooperation"]) == (player == 1 or action == 2)


def test_the_game_from_the_other_seat():
    game = MatrixGame(SEXES, 7, cooperation=1)
    other = game.seen_by(1)
    np.testing.assert_array_equal(other.tables, [SEXES[1], SEXES[0]])
    assert (other.rounds, other.cooperation, game.seen_by(0)) == (7, 1, game)
    assert other.seen_by(1) == game
    assert prisoners_dilemma().seen_by(1) == prisoners_dilemma()


@pytest.mark.parametrize("payoffs", [SEXES, ROCK_PAPER_SCISSORS], ids=["two tables", "three actions"])
def test_it_is_a_game_of_two_seats(payoffs):
    """State, observations and rewards as `games.game` asks for them, for every pair of actions after every other."""
    game, key = MatrixGame(payoffs, rounds=4), jax.random.key(0)
    assert isinstance(game, Game)
    tables, n = np.broadcast_to(payoffs, (2, *np.shape(payoffs)[-2:])), game.num_actions
    state = game.reset(key)
    assert [int(game.observe(state, player)) for player in range(2)] == [0, 0]
    for first, second in np.ndindex(n, n):
        state, rewards = game.step(state, jnp.array([first, second]), key)
        np.testing.assert_array_equal(rewards, [tables[0][first][second], tables[1][second][first]])
        seen = [int(game.observe(state, player)) for player in range(2)]
        assert seen == [1 + n * first + second, 1 + n * second + first]
        assert int(game.seen_opposite(jnp.asarray(seen[0]))) == seen[1]
    assert int(game.seen_opposite(jnp.asarray(0))) == 0


def test_a_game_is_a_hashable_constant_under_jit():
    def reward(game, joint):
        return game.reward(joint)

    assert hash(prisoners_dilemma(3)) == hash(prisoners_dilemma(3))
    assert prisoners_dilemma(3) == prisoners_dilemma(3) != prisoners_dilemma(4)
    assert float(jax.jit(reward, static_argnums=0)(prisoners_dilemma(), jnp.asarray(2))) == 2.0
    assert float(eqx.filter_jit(reward)(prisoners_dilemma(), jnp.asarray(2))) == 2.0


@pytest.mark.parametrize(
    ("payoffs", "rounds", "setting"),
    [
        ([[1.0, -1.0], [2.0, 0.0]], 0, "rounds"),
        ([[1.0, -1.0], [2.0, 0.0]], -3, "rounds"),
        ([[1.0]], 10, "payoffs"),
        ([1.0, 2.0], 10, "payoffs"),
        ([1.0] * 5, 10, "payoffs"),
        ([1.0] * 16 + [2.0], 10, "payoffs"),
        ([], 10, "payoffs"),
        (3.0, 10, "payoffs"),
        ([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], 10, "payoffs"),
        ([[1.0, 2.0], [3.0]], 10, "payoffs"),
        ([[1.0, "a"], [2.0, 0.0]], 10, "payoffs"),
        ([[1.0, NAN], [2.0, 0.0]], 10, "payoffs"),
        ([[1.0, True], [2.0, 0.0]], 10, "payoffs"),
        (["1", "2", "3", "4"], 10, "payoffs"),
        ("abc", 10, "payoffs"),
        ([1.0, 2.0, 3.0, 4.0], True, "rounds"),
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


@pytest.mark.parametrize(
    ("cooperation", "reason"), [(-1, "whole number of at least 0"), (2, "one of the actions 0 to 1")]
)
def test_an_action_that_does_not_exist_cannot_be_cooperation(cooperation, reason):
    with pytest.raises(CoplayerError, match=f"^cooperation: must be .*{reason}"):
        MatrixGame([[1.0, -1.0], [2.0, 0.0]], cooperation=cooperation)


def test_a_class_that_would_lose_its_own_rules_is_refused():
    """Rounds of a matrix game are looked up in its payoffs, so a subclass's `step` would not be called."""
    with pytest.raises(CoplayerError, match="Taxed: a MatrixGame is played from its payoffs alone"):

        class Taxed(MatrixGame):
            def step(self, state, actions, key):
                return state, jnp.zeros(2)
