"""Simple strategies of CleanUp-lite and the coin game against a search over all walks, on grids of all kinds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.cleanup import COLUMNS, NOTHING, ORCHARD, RIVER, ROWS, CleanUpLite, CleanUpState
from coplayer.games.coin import CoinGame
from coplayer.games.grid import STEPS
from coplayer.games.matrix import prisoners_dilemma
from coplayer.players.walker import STRATEGIES, Walker, named_walker

COUNT = 200
CLEANUP = CleanUpLite(40)


def policies(game, name, states):
    """The probabilities of player 0 at each of these tables `[tables, actions]`."""
    policy = STRATEGIES[type(game)][name].policy
    return np.asarray(jax.jit(jax.vmap(lambda state: policy(game, game.observe(state, 0))))(states))


def walked(policy):
    """The actions of policies that leave no choice."""
    assert ((policy == 0) | (policy == 1)).all() and (policy.sum(1) == 1).all()
    return policy.argmax(1)


def grids():
    keys = jax.random.split(jax.random.key(0), 3)
    positions = jax.random.randint(keys[0], (COUNT, 2, 2), 0, jnp.array([COLUMNS, ROWS]))
    flags = jax.random.bernoulli(keys[1], 0.4, (2, COUNT, ROWS))
    frozen = jax.random.randint(keys[2], (COUNT, 2), 0, 3)
    return CleanUpState(positions, frozen, flags[0], flags[1], jnp.zeros((COUNT, 2), bool))


@pytest.mark.parametrize(("name", "column"), [("greedy", ORCHARD), ("cleaner", RIVER)])
def test_in_cleanup_the_nearest_thing_but_that_underfoot_is_sought(name, column):
    states = grids()
    things = np.asarray(states.apples if name == "greedy" else states.dirt)
    actions, waits = walked(policies(CLEANUP, name, states)), 0
    for (here, _), there, action in zip(np.asarray(states.positions), things, actions, strict=True):
        goals = [(column, row) for row in range(ROWS) if there[row] and (column, row) != tuple(here)]
        waits += not goals
        goals = goals or [(column, here[1])]

        def far(place, goals=goals):
            return min((abs(np.array(goal) - place).sum(), goal) for goal in goals)

        distance, aim = far(here)
        if action == NOTHING:
            assert distance == 0
        else:
            assert far(here + STEPS[action])[0] == distance - 1
            assert (STEPS[action][0] != 0) == (here[0] != aim[0])  # along the row first
    assert 10 < waits < COUNT / 2


@pytest.mark.parametrize("size", [3, 4])
def test_in_the_coin_game_any_coin_is_sought_the_shorter_way_or_own_coins_alone(size):
    game = CoinGame(size=size)
    states = jax.jit(jax.vmap(game.reset))(jax.random.split(jax.random.key(size), COUNT))
    greedy, own = (policies(game, name, states) for name in ("greedy", "considerate"))
    positions, coins, colours = map(np.asarray, (states.positions, states.coin, states.colour))
    for at, action in enumerate(walked(greedy)):
        here, coin = positions[at, 0], coins[at]

        def far(place, coin=coin):
            apart = (coin - place) % size
            return np.minimum(apart, size - apart).sum()

        assert far((here + STEPS[action]) % size) == far(here) - 1
        assert (STEPS[action][0] != 0) == (here[0] != coin[0])
        if colours[at] == 0:
            np.testing.assert_array_equal(own[at], greedy[at])
        else:
            spares = [not ((here + step) % size == coin).all() for step in STEPS]
            np.testing.assert_allclose(own[at], np.array(spares) / sum(spares), rtol=1e-6)


@pytest.mark.parametrize("game", [CLEANUP, CoinGame()])
def test_random_actions_are_as_likely_as_each_other(game):
    walker = named_walker(game, "random")
    seen = jnp.zeros((game.num_actions, game.observation_space.size))
    chance = (jnp.arange(game.num_actions) + 0.5) / game.num_actions
    np.testing.assert_array_equal(walker.act(None, seen, chance)[1], jnp.arange(game.num_actions))


def test_what_is_refused():
    with pytest.raises(CoplayerError, match="game: simple strategies play CleanUpLite and CoinGame, got MatrixGame"):
        named_walker(prisoners_dilemma(3), "greedy")
    for name in ("cleaner", "constructor"):
        with pytest.raises(CoplayerError, match=r"strategy: .* is not one of random, greedy, considerate"):
            named_walker(CoinGame(), name)
    for game in (CLEANUP, CoinGame(size=4), prisoners_dilemma(3)):
        with pytest.raises(CoplayerError, match=r"player: greedy is a strategy of CoinGame\(size=3"):
            named_walker(CoinGame(), "greedy").check(game)
    named_walker(CoinGame(), "greedy").check(CoinGame(rounds=9))
    with pytest.raises(CoplayerError, match=r"player: must be one of random, greedy, considerate, got 'nonsense'"):
        Walker(CoinGame(), "nonsense").check(CoinGame())
