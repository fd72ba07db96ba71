"""The public goods game against its rules, written out for every combination of actions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.game import Symbol
from coplayer.games.public_goods import PublicGoods

KEY = jax.random.key(0)


def test_three_players_by_hand():
    """A pot of 1.5 a gift, shared by three. A lone giver gets .5 for 1. Where all give, each gets 1.5 for 1. A free
    rider keeps 1.
    """
    game = PublicGoods(3, 1.5)
    start = game.reset(KEY)
    assert [int(game.observe(start, player)) for player in range(3)] == [0, 0, 0]
    for actions, rewards in [
        ((0, 1, 1), (-0.5, 0.5, 0.5)),
        ((0, 0, 0), (0.5, 0.5, 0.5)),
        ((0, 0, 1), (0.0, 0.0, 1.0)),
        ((1, 1, 1), (0.0, 0.0, 0.0)),
    ]:
        np.testing.assert_allclose(game.step(start, jnp.array(actions), KEY)[1], rewards, atol=1e-7)


@pytest.mark.parametrize(("players", "factor"), [(2, 1.6), (3, 1.6), (5, 3.0)])
def test_every_combination_of_actions(players, factor):
    game = PublicGoods(players, factor)
    assert game.observation_space == Symbol(1 + 2 * players)
    told = set()
    for actions in itertools.product(range(2), repeat=players):
        state, rewards = game.step(game.reset(KEY), jnp.array(actions), KEY)
        gifts = actions.count(0)
        for player, action in enumerate(actions):
            share = factor * gifts / players
            assert rewards[player] == pytest.approx(share - (action == 0), abs=1e-6)
            others = gifts - (action == 0)  # of the others, how many gave
            seen = int(game.observe(state, player))
            assert seen == 1 + players * action + others
            told.add(seen)
            assert bool(game.measure(None, jnp.array(actions), None, player)["cooperation"]) == (action == 0)
    assert told == set(range(1, 1 + 2 * players))  # each symbol has its meaning


def test_giving_is_good_for_all_and_bad_for_who_gives():
    game = PublicGoods()
    assert 1 < game.factor < game.num_players
    of_all = [float(game.step(game.reset(KEY), jnp.array([0] * k + [1] * (3 - k)), KEY)[1].sum()) for k in range(4)]
    assert of_all == sorted(of_all) and of_all[0] < of_all[3]
    for others in itertools.product(range(2), repeat=2):
        gives, keeps = (game.step(game.reset(KEY), jnp.array([own, *others]), KEY)[1][0] for own in range(2))
        assert gives < keeps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_players": 1}, "num_players: must be a whole number of at least 2, got 1"),
        ({"rounds": 0}, "rounds: must be a whole number of at least 1, got 0"),
        ({"factor": float("nan")}, "factor: must be a finite number, got nan"),
        ({"factor": float("inf")}, "factor: must be a finite number, got inf"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(CoplayerError, match=f"^{message}$"):
        PublicGoods(**settings)
