"""The fast tables of a matrix game against the tables of any game; tables whose players sit elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.rollout import begin, keys_of_rounds, play_episodes, play_rounds
from coplayer.play.tables import MappedTables, MatrixTables, table_keys, tables_of
from coplayer.players.memory1 import Memory1, TabularPlayers
from state_games import Carousel, Commons

SEXES = [[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]]
GAMES = {
    "dilemma": prisoners_dilemma(12),
    "two tables": MatrixGame(SEXES, rounds=12, cooperation=1),
    "three actions": MatrixGame(np.random.default_rng(7).normal(size=(2, 3, 3)), rounds=12, cooperation=2),
}
KEY = jax.random.key(2)


def random_players(game, seed, batch=None):
    shape = (game.observation_space.size,) if batch is None else (batch, game.observation_space.size)
    tables = np.random.default_rng(seed).dirichlet(np.ones(game.num_actions), shape)
    if batch is None:
        return Memory1(tables / tables.sum(-1, keepdims=True))
    return TabularPlayers(jnp.moveaxis(jnp.asarray(tables, jnp.float32), 0, -1))


def assert_equal(one, other):
    """Two players' views are equal, to the bit."""
    assert one.measures.keys() == other.measures.keys()
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert left.shape == right.shape
        np.testing.assert_array_equal(left, right)


def episodes(tables, players, count):
    """The trajectory of some episodes, each opened with keys of its own."""
    rounds = tables.game.rounds

    def chance(index):
        return keys_of_rounds(KEY, index * rounds + jnp.arange(rounds), len(players))

    states = begin(players, KEY, 4)
    return play_episodes(tables, players, states, chance, KEY, batch=4, episodes=count)[0]


@pytest.mark.parametrize("turned", [0, 1, "traced 0", "traced 1"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", GAMES)
def test_the_fast_tables_give_what_the_tables_of_any_game_give(name, count, turned):
    game, players = GAMES[name], tuple(random_players(GAMES[name], seed, 4) for seed in range(2))
    given = turned if isinstance(turned, int) else jnp.asarray(int(turned[-1]))
    fast = episodes(MatrixTables(game, given), players, count)
    slow = episodes(MappedTables(game, given), players, count)
    assert fast.joint.dtype == np.uint8 and fast.joint.shape == (count * game.rounds, 4)
    own, other = (np.asarray(slow.view(player).actions) for player in range(2))
    np.testing.assert_array_equal(fast.joint, game.num_actions * own + other)
    for player in range(2):
        assert_equal(fast.view(player), slow.view(player))
    assert len(np.unique(fast.joint)) == game.num_joint  # nothing is left out


@pytest.mark.parametrize("turned", [0, 1])
def test_the_two_kinds_of_tables_agree_round_by_round(turned):
    game = GAMES["three actions"]
    fast, slow, keys = MatrixTables(game, turned), MappedTables(game, turned), table_keys(KEY, 6)
    worlds, rng = [fast.open(keys), slow.open(keys)], np.random.default_rng(0)
    for _ in range(4):
        for player in range(2):
            np.testing.assert_array_equal(fast.observe(worlds[0], player), slow.observe(worlds[1], player))
            np.testing.assert_array_equal(fast.beyond(worlds[0])[player], slow.beyond(worlds[1])[player])
        actions = tuple(jnp.asarray(rng.integers(3, size=6)) for _ in range(2))
        worlds = [tables.step(world, actions)[0] for tables, world in zip((fast, slow), worlds, strict=True)]


def test_a_matrix_game_has_the_fast_tables_and_draws_nothing():
    assert isinstance(tables_of(prisoners_dilemma()), MatrixTables) and not tables_of(prisoners_dilemma()).draws
    for game in (Carousel(), Commons()):
        assert isinstance(tables_of(game), MappedTables) and tables_of(game).draws
    one, other = (MatrixTables(prisoners_dilemma()).open(table_keys(jax.random.key(k), 3)) for k in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("turned", [1, 2])
def test_players_who_moved_on_are_the_players_listed_the_other_way_round(turned):
    """Player k in seat k + turned: the same table with the list of players rotated back."""
    game = Carousel(rounds=5)
    players = [random_players(game, seed, 4) for seed in range(3)]
    chance = keys_of_rounds(KEY, jnp.arange(5), 3)
    found = play_rounds(*start(tables_of(game, turned), players), tuple(chance)).trajectory(tables_of(game, turned))
    order = [(seat - turned) % 3 for seat in range(3)]  # who sits in each seat
    tables = tables_of(game)
    rotated = play_rounds(*start(tables, [players[k] for k in order]), tuple(chance[k] for k in order))
    for seat, k in enumerate(order):
        assert_equal(found.view(k), rotated.trajectory(tables).view(seat))
    plain = play_rounds(*start(tables, players), tuple(chance)).trajectory(tables)
    assert (found.view(0).rewards != plain.view(0).rewards).any()


def start(tables, players):
    return tables, players, tables.open(table_keys(KEY, 4)), begin(players, KEY, 4)


@pytest.mark.parametrize("game", [Carousel(rounds=5), MatrixGame(SEXES, rounds=5)], ids=["carousel", "matrix"])
def test_each_table_may_have_its_own_order(game):
    """`turned` by table, against tables that are all turned alike."""
    players = [random_players(game, seed, 4) for seed in range(game.num_players)]
    chance = keys_of_rounds(KEY, jnp.arange(5), game.num_players)
    turned = jnp.array([1, 0, 1, 1])
    tables = MappedTables(game, turned)
    mixed = play_rounds(*start(tables, players), chance).trajectory(tables)
    for all_turned in range(2):
        tables = MappedTables(game, all_turned)
        alike, at = play_rounds(*start(tables, players), chance).trajectory(tables), np.asarray(turned) == all_turned
        for k in range(game.num_players):
            one, other = mixed.view(k), alike.view(k)
            for name in ("observations", "actions", "rewards"):
                np.testing.assert_array_equal(getattr(one, name)[:, at], getattr(other, name)[:, at])
            np.testing.assert_array_equal(one.beyond[at], other.beyond[at])


def test_every_table_and_round_draws_its_own_numbers():
    """Gusts of the carousel, when nobody pushes: independent of the table, of the round, and of the first place."""
    game, batch = Carousel(rounds=40, places=7), 500
    tables = tables_of(game)
    world = tables.open(table_keys(KEY, batch))
    places = [np.asarray(world.states[0])]
    still = (jnp.zeros(batch, jnp.int32),) * 3
    step = jax.jit(lambda world: tables.step(world, still)[0])
    for _ in range(game.rounds):
        world = step(world)
        places.append(np.asarray(world.states[0]))
    gusts = np.diff(np.array(places), axis=0) % 7  # [round, table]
    assert set(np.unique(gusts)) == {0, 1}
    error = np.sqrt(0.3 * 0.7)
    assert abs(gusts.mean() - 0.3) < 5 * error / np.sqrt(gusts.size)
    assert np.abs(gusts.mean(0) - 0.3).max() < 5 * error / np.sqrt(game.rounds)
    assert np.abs(gusts.mean(1) - 0.3).max() < 5 * error / np.sqrt(batch)
    assert len(np.unique(gusts, axis=1).T) > 0.9 * batch
    assert np.abs(np.bincount(places[0], minlength=7) / batch - 1 / 7).max() < 5 * np.sqrt(6 / 49 / batch)


def test_table_keys_are_distinct_and_a_function_of_the_key():
    one, other = (np.asarray(jax.random.key_data(table_keys(jax.random.key(k), 50))) for k in range(2))
    assert len(np.unique(np.concatenate([one, other]), axis=0)) == 100
    np.testing.assert_array_equal(one, jax.random.key_data(table_keys(jax.random.key(0), 50)))
