"""Policy signatures against episodes by hand and against players whose policy is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.signature import signature
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import cooperation, named_strategy

CC, CD, DC, DD = range(4)


def test_an_episode_by_hand():
    """Ten rounds: early are those up to the second, late the last four."""
    rounds = [CC, CD, CC, DD, DC, CC, CC, CD, DC, DD]
    found = signature(jnp.array(rounds)[:, None], prisoners_dilemma(10))
    assert found.first_move == 1
    np.testing.assert_array_equal(found.early, [1, np.nan, np.nan, np.nan])  # round 2 only, after CC
    # Rounds 7 to 10, after rounds 6 to 9: C after CC, C after CC, D after CD, D after DC.
    np.testing.assert_array_equal(found.late, [1, 0, 0, np.nan])
    assert found.after_defection == 0.5  # CC, CD twice: C in round 3, D in round 9
    assert found.after_cooperation == 1  # DD, DC once: C in round 6


def test_a_memory1_player_shows_its_own_table():
    table = [0.9, 0.8, 0.3, 0.6, 0.2]
    game = prisoners_dilemma(60)
    players = cooperation(table), named_strategy("random")
    joint = play_match(players, game, jax.random.key(0), episodes=4000).joint
    found = signature(joint, game)
    np.testing.assert_allclose(found.early, table[1:], atol=0.02)
    np.testing.assert_allclose(found.late, table[1:], atol=0.02)
    np.testing.assert_allclose(
        [found.first_move, found.after_defection, found.after_cooperation], [0.9, 0.3, 0.6], atol=0.03
    )


def test_early_and_late_tell_a_change_of_mind():
    """One that cooperates in the first half and defects in the second, against a co-player who always cooperates."""
    game = prisoners_dilemma(20)
    joint = jnp.array([CC] * 10 + [DC] * 10)[:, None]
    found = signature(joint, game)
    assert found.early[CC] == 1 and found.late[DC] == 0 and np.isnan(found.late[CC])


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_short_episodes_have_a_signature_too(rounds):
    found = signature(jnp.zeros((rounds, 2), jnp.int32), prisoners_dilemma(rounds))
    assert found.first_move == 1 and found.early.shape == found.late.shape == (4,)
    assert np.isnan(found.after_defection)


def test_nothing_is_counted_across_the_ends_of_inner_episodes():
    """Five inner episodes of three rounds, by hand; late are the last two of them."""
    episodes = jnp.array([[CC, CD, DD], [CC, CC, CD], [DC, DD, DC], [DC, CC, DD], [CD, DD, CC]])
    found = signature(episodes.reshape(-1, 1), prisoners_dilemma(3))
    assert found.first_move == 1
    # Early: rounds 2 and 3. C after CC, D after CD.
    np.testing.assert_array_equal(found.early, [1, 0, np.nan, np.nan])
    # Late: within the fourth, C after DC, D after CC; within the fifth, D after CD, C after DD.
    np.testing.assert_array_equal(found.late, [0, 0, 1, 1])
    # CC, CD once within an episode: D; the second one, then DC, is cut by the end, and DD, DC, DC after the third too.
    assert found.after_defection == 0
    assert np.isnan(found.after_cooperation)
    whole = signature(episodes.reshape(-1, 1), prisoners_dilemma(15))
    assert whole.after_defection == 0 and whole.after_cooperation == 0 and whole.late[DC] == 0.5


def test_a_memory1_player_shows_its_own_table_in_inner_episodes_too():
    """Its first moves would be answers to what ended the episode before."""
    table = [0.9, 0.1, 0.2, 0.3, 0.15]
    game = prisoners_dilemma(3)
    players = cooperation(table), named_strategy("random")
    joint = play_match(players, game, jax.random.key(0), episodes=4000, inner_episodes=10).joint
    found = signature(joint, game)
    np.testing.assert_allclose(found.early, table[1:], atol=0.03)
    np.testing.assert_allclose(found.late, table[1:], atol=0.03)
    np.testing.assert_allclose(
        [found.first_move, found.after_defection, found.after_cooperation], [0.9, 0.2, 0.3], atol=0.04
    )
    blind = signature(joint, prisoners_dilemma(30))
    assert blind.late[CC] > 0.2  # the test can fail


def test_more_actions():
    game = MatrixGame(np.zeros((3, 3)), rounds=3)
    joint = jnp.array([0, 1, 4])[:, None]  # (0, 0), (0, 1), (1, 1): cheated after mutual cooperation, then not 0
    found = signature(joint, game)
    assert found.after_defection == 0 and found.early.shape == (9,)


def test_the_game_says_which_action_cooperates():
    """The same rounds with the names of both actions exchanged."""
    rounds = [CC, CD, CC, DD, DC, CC, CC, CD, DC, DD]
    exchanged = [3 - joint for joint in rounds]
    one = signature(jnp.array(rounds)[:, None], prisoners_dilemma(10))
    other = signature(jnp.array(exchanged)[:, None], MatrixGame((0, 2, -1, 1), 10, cooperation=1))
    for name in ("first_move", "after_defection", "after_cooperation"):
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.late, other.late[::-1])
