"""The price of a defection against games worked out by hand, with planners whose model knows their co-player or not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.price_of_defection import price_of_defection
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.world_model import RoundModel
from coplayer.players.memory1 import cooperation, named_strategy
from coplayer.players.planner import PlannerSettings, PPIPlayer

HORIZON = 4
SETTINGS = PlannerSettings(2, HORIZON, 1e9, expected_rewards=True, common_random_numbers=True)  # acts by its prior


def blind_player(game, own, reply):
    """Who cooperates with one probability whatever was, and believes the same of its co-player with another."""
    model = RoundModel(game, 3, key=jax.random.key(0))
    logits = [np.log(own / (1 - own)), 0, *[np.log(reply / (1 - reply)), 0] * 2]
    rewards = np.asarray(game.payoff_vector()).tolist()
    weights = (jnp.zeros_like(model.head_weights), jnp.asarray([*logits, *rewards], jnp.float32))
    return PPIPlayer(eqx.tree_at(lambda m: (m.head_weights, m.head_bias), model, weights), SETTINGS)


def price(player, other, game, episodes=64):
    return price_of_defection(player, other, game, jax.random.key(1), episodes=episodes, plans=3, repetitions=2)


def test_who_always_cooperates_pays_two_for_a_defection_that_tit_for_tat_forgives_at_once():
    """It gets 2, -1 in place of 1, 1. It believes in a co-player who cooperates whatever it does: a gain of 1."""
    game = prisoners_dilemma(8)
    measured = price(blind_player(game, 1 - 1e-7, 1 - 1e-7), named_strategy("tit_for_tat"), game)
    assert np.asarray(measured.peace).all()
    np.testing.assert_allclose(measured.actual, 1, atol=1e-5)
    np.testing.assert_allclose(measured.believed, -1, atol=1e-5)


def test_grim_punishes_to_the_end_of_the_horizon_and_over_the_end_of_the_episode():
    """2 and then three times -1 in place of four times 1, where two rounds of the episode are left."""
    game = prisoners_dilemma(4)
    measured = price(blind_player(game, 1 - 1e-7, 0.5), cooperation([1, 1, 0, 0, 0]), game)
    np.testing.assert_allclose(measured.actual, 4 * 1 - (2 - 3), atol=1e-5)


def test_the_belief_is_that_of_the_model_alone():
    """Own later moves and the co-player's depend on nothing: only the first round differs, by 1 in either case."""
    game = MatrixGame([[1.0, -1.0], [2.5, 0.25]], rounds=8)
    measured = price(blind_player(game, 0.6, 0.8), named_strategy("always_defect"), game)
    np.testing.assert_allclose(measured.believed, 0.8 * (1 - 2.5) + 0.2 * (-1 - 0.25), atol=1e-5)
    assert not np.asarray(measured.peace).any()


def test_peace_is_two_rounds_of_mutual_cooperation():
    game = prisoners_dilemma(8)
    peace = np.asarray(price(blind_player(game, 0.9, 0.5), cooperation([0.7] * 5), game, episodes=2000).peace)
    assert peace.mean() == pytest.approx((0.9 * 0.7) ** 2, abs=0.04)


def test_a_game_too_short_is_one_line():
    game = prisoners_dilemma(3)
    with pytest.raises(CoplayerError, match="rounds: must be at least 4, so that two come before the middle, got 3"):
        price(blind_player(game, 0.5, 0.5), named_strategy("tit_for_tat"), game)


def test_a_game_in_which_defection_has_no_meaning_is_one_line():
    game = MatrixGame((0, 2, -1, 1), 8, cooperation=1)
    with pytest.raises(CoplayerError, match=r"^game: the price of a defection needs .* action 0 cooperates"):
        price(blind_player(game, 0.5, 0.5), named_strategy("tit_for_tat"), game)
