"""Views of what was played, against rounds by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.trajectory import Episode, JointActions, Recorded, observations, seat_payoffs

SEXES = [[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]]
GAME = MatrixGame(SEXES, rounds=2, cooperation=1)
JOINT = jnp.array([[1, 3], [2, 0], [0, 1], [3, 2]], jnp.uint8)  # two episodes of two rounds, at two tables


def test_both_views_by_hand():
    """Joint actions AB, BA, AA, BB at the first table: A is action 0, own action first."""
    trajectory = JointActions(JOINT, GAME)
    first, second = trajectory.view(0), trajectory.view(1)
    np.testing.assert_array_equal(first.actions[:, 0], [0, 1, 0, 1])
    np.testing.assert_array_equal(second.actions[:, 0], [1, 0, 0, 1])
    np.testing.assert_array_equal(first.observations[:, 0], [0, 2, 0, 1])  # START, AB; START, AA
    np.testing.assert_array_equal(second.observations[:, 0], [0, 3, 0, 1])  # START, BA; START, AA
    np.testing.assert_array_equal(first.rewards[:, 0], [0, 1, 3, 2])
    np.testing.assert_array_equal(second.rewards[:, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(first.measures["cooperation"][:, 0], [False, True, False, True])
    np.testing.assert_array_equal(second.measures["cooperation"][:, 0], [True, False, False, True])
    np.testing.assert_array_equal(first.beyond, [4, 3])
    np.testing.assert_array_equal(second.beyond, [4, 2])
    np.testing.assert_array_equal(first.actions[:, 1], [1, 0, 0, 1])
    np.testing.assert_array_equal(second.actions[:, 1], [1, 0, 1, 0])


@pytest.mark.parametrize("traced", [False, True])
def test_turned_players_have_each_others_payoffs_and_nothing_else(traced):
    def rewards(turned):
        return [JointActions(JOINT, GAME, turned).view(player).rewards for player in range(2)]

    found = jax.jit(rewards)(jnp.asarray(1)) if traced else rewards(1)
    own, other = np.divmod(np.asarray(JOINT), 2)
    np.testing.assert_array_equal(found[0], np.array(SEXES[1])[own, other])
    np.testing.assert_array_equal(found[1], np.array(SEXES[0])[other, own])
    plain, turned = (JointActions(JOINT, GAME, turned) for turned in (0, 1))
    for player in range(2):
        for name in ("observations", "actions", "beyond"):
            one, another = (getattr(trajectory.view(player), name) for trajectory in (plain, turned))
            np.testing.assert_array_equal(one, another)


def test_the_payoffs_of_a_seat():
    for player, turned in np.ndindex(2, 2):
        expected = np.ravel(SEXES[(player + turned) % 2])
        np.testing.assert_array_equal(seat_payoffs(GAME, player, int(turned)), expected)
        np.testing.assert_array_equal(seat_payoffs(GAME, player, jnp.asarray(turned)), expected)


def test_bytes_of_a_game_of_fifteen_actions_are_read_without_wrapping():
    game = MatrixGame(np.arange(225).reshape(15, 15), rounds=225)
    trajectory = JointActions(jnp.arange(225, dtype=jnp.uint8)[:, None], game)
    own, other = np.divmod(np.arange(225), 15)
    np.testing.assert_array_equal(trajectory.view(0).rewards[:, 0], np.arange(225))
    np.testing.assert_array_equal(trajectory.view(1).actions[:, 0], other)
    np.testing.assert_array_equal(trajectory.view(1).rewards[:, 0], 15 * other + own)
    np.testing.assert_array_equal(trajectory.view(0).observations[1:, 0], np.arange(1, 225))
    assert int(trajectory.view(1).beyond[0]) == 225


@pytest.mark.parametrize("shape", [(6,), (6, 2), (6, 2, 3)])
def test_what_is_observed_is_the_round_before_or_the_start(shape):
    joint = np.random.default_rng(0).integers(4, size=shape)
    for rounds in (1, 2, 3, 6):
        seen = np.asarray(observations(jnp.asarray(joint), rounds))
        for t in range(6):
            np.testing.assert_array_equal(seen[t], 0 if t % rounds == 0 else 1 + joint[t - 1])


def test_a_recorded_trajectory_has_the_views_that_were_recorded():
    views = tuple(Episode(*(jnp.full((2, 3), k),) * 2, jnp.full((2, 3), 1.0 * k), {}, None) for k in range(3))
    trajectory = Recorded(views)
    for k in range(3):
        assert trajectory.view(k) is views[k]


def test_a_trajectory_goes_through_jit():
    trajectory = jax.jit(lambda joint: JointActions(joint, prisoners_dilemma(2)))(JOINT)
    np.testing.assert_array_equal(trajectory.view(1).rewards[:, 0], [2, -1, 1, 0])
