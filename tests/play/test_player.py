"""What a player is without more: it forgets after each episode, plays any game, and draws with keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import prisoners_dilemma
from coplayer.play.player import Player, uniform
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import Episode
from state_games import Commons


class Counter(Player):
    """Plays the number of rounds it remembers, modulo 2."""

    def begin(self, key, batch):
        return jnp.zeros(batch, jnp.int32)

    def act(self, state, observation, key):
        return state + 1, state % 2, None


def test_uniform_numbers_are_drawn_or_given():
    key = jax.random.key(3)
    drawn = uniform(key, (5,))
    np.testing.assert_array_equal(drawn, jax.random.uniform(key, (5,)))
    np.testing.assert_array_equal(uniform(drawn, (5,)), drawn)
    np.testing.assert_array_equal(uniform(jnp.arange(6.0), (2, 3)), [[0, 1, 2], [3, 4, 5]])
    inside = jax.jit(lambda key: uniform(key, (5,)))
    np.testing.assert_array_equal(inside(key), drawn)
    np.testing.assert_array_equal(inside(drawn), drawn)


def test_a_player_that_says_no_more_begins_anew_after_each_episode():
    player, key = Counter(), jax.random.key(0)
    episode = Episode(*(jnp.zeros((4, 3), jnp.int32),) * 2, jnp.zeros((4, 3)), {}, jnp.zeros(3, jnp.int32))
    np.testing.assert_array_equal(player.learn(jnp.full(3, 4), episode, None, key), [0, 0, 0])
    assert not player.takes_uniforms
    joint = play_match((player, player), prisoners_dilemma(3), key, episodes=2, inner_episodes=2).joint
    np.testing.assert_array_equal(joint, [[0, 0], [3, 3], [0, 0]] * 2)


def test_a_player_that_says_no_more_sits_at_any_table():
    player = Counter()
    for game in (prisoners_dilemma(), Commons()):
        assert player.check(game) is None


def test_what_neither_begins_nor_acts_is_no_player():
    class Half(Player):
        def begin(self, key, batch):
            return None

    with pytest.raises(TypeError, match="act"):
        Half()
