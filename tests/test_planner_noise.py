"""tools/planner_noise.py: a planner without noise, and one with."""

import jax
import jax.numpy as jnp
import pytest

from coplayer.games.matrix import prisoners_dilemma
from coplayer.networks.world_model import RoundModel
from coplayer.players.memory1 import named_strategy
from coplayer.players.planner import PlannerSettings, PPIPlayer
from oracles import with_random_weights
from tool import tool

noise = tool("planner_noise")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(noise, "WAYS", {"few": (2, 0, True), "more": (2, 30, True)})
    monkeypatch.setattr(noise, "REFERENCE", 50)


def player(horizon):
    model = with_random_weights(lambda: RoundModel(prisoners_dilemma(), 4, key=jax.random.key(0)), 8)
    return PPIPlayer(model, PlannerSettings(2, horizon, 0.01, expected_rewards=True))


def test_a_planner_without_noise_is_never_wrong():
    one = player(horizon=1)
    states = noise.states_met(one, named_strategy("tit_for_tat"), episodes=3, rounds=13)
    assert states.shape == (2 * 3, 4) and bool(jnp.isfinite(states).all())
    for row in noise.measured(one, states, reference=1, draws=4):
        assert row.error < 1e-5 and row.worse == row.lost == 0


def test_further_rollouts_in_open_decisions_lower_what_is_lost():
    one = player(horizon=15)
    states = 3 * jax.random.normal(jax.random.key(1), (40, 4))
    few, more = noise.measured(one, states, reference=20, draws=30)
    assert (few.way, more.way) == ("few", "more")
    assert few.error > more.error > 0 and few.worse > more.worse >= 0 and few.lost > 1.5 * more.lost
