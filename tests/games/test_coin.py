"""The coin game against rules written again in plain Python, cases made by hand, and frequencies of what is random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.coin import CoinGame, CoinState
from coplayer.games.game import check_game
from coplayer.games.grid import DOWN, LEFT, RIGHT, UP
from oracles import assert_as_frequent

GAME = CoinGame()
MOVES = {RIGHT: (1, 0), LEFT: (-1, 0), UP: (0, -1), DOWN: (0, 1)}


def state_of(players, coin, colour):
    return CoinState(jnp.array(players), jnp.array(coin), jnp.array(colour))


def cells_of(state):
    """Players and coin as (column, row), and the colour."""
    return [tuple(map(int, row)) for row in state.positions], tuple(map(int, state.coin)), int(state.colour)


@pytest.mark.parametrize("game", [GAME, CoinGame(size=5, colours="random")])
def test_it_is_a_game_that_can_be_played(game):
    check_game(game)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1}, "size"),
        ({"rounds": 0}, "rounds"),
        ({"colours": "red"}, "colours: must be one of alternating, random"),
    ],
)
def test_bad_settings_are_refused_by_name(settings, message):
    with pytest.raises(CoplayerError, match=f"^{message}"):
        CoinGame(**settings)


@pytest.mark.parametrize("size", [2, 3])
def test_thousands_of_rounds_are_those_of_the_rules_in_plain_python(size):
    """All but the place of a new coin, which is random, and where no player is."""
    game, turns = CoinGame(size=size), 1_500

    def turn(state, key):
        actions = jax.random.randint(key, (2,), 0, 4)
        after, rewards = game.step(state, actions, key)
        seats = jnp.arange(2)
        seen = jax.vmap(game.observe, in_axes=(None, 0))(after, seats)
        measured = jax.vmap(lambda seat: game.measure(state, actions, after, seat))(seats)
        return after, (state, actions, after, rewards, seen, measured)

    first, keys = game.reset(jax.random.key(0)), jax.random.split(jax.random.key(1), turns)
    rounds, taken = jax.tree.map(np.asarray, jax.lax.scan(turn, first, keys)[1]), 0
    for index in range(turns):
        state, actions, after, rewards, seen, measured = jax.tree.map(lambda leaf, index=index: leaf[index], rounds)
        players, coin, colour = cells_of(state)
        moved = [
            ((column + MOVES[action][0]) % size, (row + MOVES[action][1]) % size)
            for (column, row), action in zip(players, actions.tolist(), strict=True)
        ]
        expected, took = [0.0, 0.0], [cell == coin for cell in moved]
        for player in (0, 1):
            if took[player]:
                expected[player] += 1
                if colour != player:
                    expected[1 - player] -= 2
        new_players, new_coin, new_colour = cells_of(after)
        assert new_players == moved and rewards.tolist() == expected
        if any(took):
            assert new_coin not in moved and new_colour == 1 - colour
            taken += 1
        else:
            assert (new_coin, new_colour) == (coin, colour)
        for player in (0, 1):
            grids = [moved[player], moved[1 - player], *((new_coin, None), (None, new_coin))[new_colour != player]]
            assert seen[player].tolist() == [cell == (x, y) for cell in grids for y in range(size) for x in range(size)]
            for name, of_colour in (("own_coins", player), ("other_coins", 1 - player)):
                assert measured[name][player] == (took[player] and colour == of_colour)
    assert taken > 50


@pytest.mark.parametrize(("colour", "rewards"), [(0, [1.0, 0.0]), (1, [1.0, -2.0])])
def test_a_coin_of_ones_own_colour_hurts_nobody(colour, rewards):
    state = state_of([(0, 0), (2, 2)], (1, 0), colour)
    assert GAME.step(state, jnp.array([RIGHT, UP]), jax.random.key(0))[1].tolist() == rewards


@pytest.mark.parametrize(("colour", "rewards"), [(0, [-1.0, 1.0]), (1, [1.0, -1.0])])
def test_two_players_on_the_coin_both_take_it(colour, rewards):
    state = state_of([(0, 0), (2, 0)], (1, 0), colour)
    actions = jnp.array([RIGHT, LEFT])
    after, found = GAME.step(state, actions, jax.random.key(0))
    took = [any(GAME.measure(state, actions, after, player).values()) for player in (0, 1)]
    assert found.tolist() == rewards and all(took)


def test_who_leaves_the_grid_comes_in_at_the_other_side():
    state = state_of([(0, 0), (2, 2)], (1, 1), 0)
    assert cells_of(GAME.step(state, jnp.array([LEFT, DOWN]), jax.random.key(0))[0])[0] == [(2, 0), (2, 0)]
    assert cells_of(GAME.step(state, jnp.array([UP, RIGHT]), jax.random.key(0))[0])[0] == [(0, 2), (0, 2)]


def test_with_the_seats_swapped_everything_is_swapped():
    draws, keys = np.random.default_rng(1), jax.random.split(jax.random.key(0), 300)
    players, coins = draws.integers(3, size=(300, 2, 2)), draws.integers(3, size=(300, 2))
    colours, actions = draws.integers(2, size=300), draws.integers(4, size=(300, 2))

    def played(players, coin, colour, actions, key):
        state = CoinState(players, coin, colour)
        after, rewards = GAME.step(state, actions, key)
        told = [(GAME.observe(after, seat), GAME.measure(state, actions, after, seat)) for seat in (0, 1)]
        return [(rewards[seat], told[seat]) for seat in (0, 1)]

    play = jax.vmap(played)
    first, second = play(*map(jnp.asarray, (players, coins, colours, actions)), keys)
    turned = map(jnp.asarray, (players[:, ::-1], coins, 1 - colours, actions[:, ::-1]))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), [second, first], play(*turned, keys)))


def test_what_is_random_is_as_frequent_as_it_should_be():
    keys = jax.random.split(jax.random.key(0), 20_000)
    start = jax.vmap(GAME.reset)(keys)
    cells = jnp.concatenate([start.positions, start.coin[:, None]], axis=1) @ jnp.array([1, 3])
    triples = cells @ jnp.array([81, 9, 1])
    allowed = [a != b and b != c and a != c for a in range(9) for b in range(9) for c in range(9)]
    counts = np.bincount(np.asarray(triples), minlength=729)
    assert not counts[~np.array(allowed)].any()
    rank = np.cumsum(allowed) - 1
    assert_as_frequent(rank[np.asarray(triples)], np.full(504, 1 / 504))
    assert_as_frequent(start.colour, [0.5, 0.5])
    game = CoinGame(colours="random")
    step = jax.vmap(lambda state, key: game.step(state, jnp.array([RIGHT, UP]), key)[0], in_axes=(None, 0))
    after = step(state_of([(0, 0), (2, 2)], (1, 0), 1), keys)  # the players are then at (1, 0) and (2, 1)
    free = [cell for cell in range(9) if cell not in (1, 5)]
    at = np.asarray(after.coin @ jnp.array([1, 3]))
    assert set(at) == set(free)
    assert_as_frequent(np.searchsorted(free, at) * 2 + np.asarray(after.colour), np.full(14, 1 / 14))


def test_the_same_key_gives_the_same_round():
    for play in (lambda key: GAME.reset(key), lambda key: GAME.step(GAME.reset(key), jnp.array([UP, LEFT]), key)):
        one, other = play(jax.random.key(5)), play(jax.random.key(5))
        assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), one, other))


def test_a_scene_is_what_an_observation_shows():
    state = state_of([(0, 1), (2, 2)], (1, 0), 1)
    for player, players, kind in ((0, [(0, 1), (2, 2)], "other coin"), (1, [(2, 2), (0, 1)], "own coin")):
        scene = GAME.scene(np.asarray(GAME.observe(state, player)))
        assert scene.size == (3, 3) and scene.players == players
        assert scene.things == {(1, 0): kind} and scene.frozen == [False, False]
