"""What every game must keep to: the protocol's members, shapes and ranges, and seats that are alike if it says so."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.game import Game, Symbol, Vector, check_game
from coplayer.games.matrix import MatrixGame
from coplayer.games.names import GAMES
from coplayer.games.public_goods import PublicGoods
from state_games import Carousel, Commons
from vault import Vault

ALL = GAMES | {
    "two tables": MatrixGame([[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]]),
    "four givers": PublicGoods(4, 2.5, rounds=3),
    "carousel": Carousel(),
    "commons": Commons(),
}


def play(game, seed, rounds=4):
    """Random actions at one table: (state, actions, state after, rewards) of each round."""
    state, course = game.reset(jax.random.key(seed)), []
    for t in range(rounds):
        key = jax.random.key(100 * seed + t)
        actions = jnp.asarray(np.random.default_rng([seed, t]).integers(game.num_actions, size=game.num_players))
        after, rewards = game.step(state, actions, key)
        course.append((state, actions, after, rewards))
        state = after
    return course


@pytest.mark.parametrize("name", ALL)
def test_states_rewards_observations_and_measures_have_their_forms(name):
    game = ALL[name]
    assert isinstance(game, Game) and hash(game) == hash(game)
    start = jax.eval_shape(game.reset, jax.random.key(0))
    for state, actions, after, rewards in play(game, 0):
        shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after)
        assert shapes == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), start)  # so that rounds can be scanned
        assert rewards.shape == (game.num_players,) and np.isfinite(rewards).all()
        for player in range(game.num_players):
            seen = game.observe(after, player)
            if isinstance(game.observation_space, Symbol):
                assert seen.shape == () and 0 <= int(seen) < game.observation_space.size
            else:
                assert seen.shape == (game.observation_space.size,)
            measured = game.measure(state, actions, after, player)
            assert tuple(measured) == game.measures and all(jnp.shape(value) == () for value in measured.values())


@pytest.mark.parametrize("name", ALL)
def test_many_tables_at_once_are_single_tables(name):
    """With the player's number traced, as the library does."""
    game, count = ALL[name], 5
    keys = jax.random.split(jax.random.key(1), count)
    actions = jnp.asarray(np.random.default_rng(0).integers(game.num_actions, size=(count, game.num_players)))

    @jax.jit
    def many(keys, actions, player):
        states = jax.vmap(game.reset)(keys)
        after, rewards = jax.vmap(game.step)(states, actions, keys)
        seats = jnp.broadcast_to(player, (count,))
        return rewards, jax.vmap(game.observe)(after, seats), jax.vmap(game.measure)(states, actions, after, seats)

    for player in range(game.num_players):
        together = many(keys, actions, jnp.asarray(player))
        for b in range(count):
            state = game.reset(keys[b])
            after, rewards = game.step(state, actions[b], keys[b])
            alone = (rewards, game.observe(after, player), game.measure(state, actions[b], after, player))
            for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
                np.testing.assert_allclose(one[b], other, rtol=1e-6)


CHANCE_BY_SEAT = ("cleanup-lite", "coin")  # where a key does not turn with the seats: see test_cleanup and test_coin


@pytest.mark.parametrize("name", [name for name, game in ALL.items() if game.symmetric and name not in CHANCE_BY_SEAT])
def test_where_seats_are_alike_rotating_the_players_rotates_all_they_see_and_earn(name):
    game = ALL[name]
    count = game.num_players
    states = [game.reset(jax.random.key(3)) for _ in range(count)]  # of the game with everybody moved on by k seats
    for t in range(4):
        key, actions = jax.random.key(t), np.random.default_rng(t).integers(game.num_actions, size=count)
        outcomes = [game.step(state, jnp.asarray(np.roll(actions, k)), key) for k, state in enumerate(states)]
        for k, player in itertools.product(range(count), range(count)):
            seat = (player + k) % count
            np.testing.assert_allclose(outcomes[k][1][seat], outcomes[0][1][player], rtol=1e-6)
            seen = [game.observe(after, at) for (after, _), at in ((outcomes[k], seat), (outcomes[0], player))]
            np.testing.assert_allclose(*seen, rtol=1e-6)
        states = [after for after, _ in outcomes]


def test_seats_that_differ_are_said_to():
    game = ALL["two tables"]
    assert not game.symmetric
    _, rewards = game.step(game.reset(jax.random.key(0)), jnp.array([0, 0]), jax.random.key(0))
    assert rewards[0] != rewards[1]


def test_what_lacks_a_member_is_no_game():
    class Half:
        num_players = 2
        num_actions = 2
        rounds = 3

    assert not isinstance(Half(), Game) and not isinstance(3, Game)


def test_kinds_of_observations_are_values():
    assert Symbol(5) == Symbol(5) != Symbol(6)
    assert Symbol(5) != Vector(5) and len({Symbol(5), Symbol(5), Vector(5)}) == 2


@pytest.mark.parametrize("game", ALL.values(), ids=ALL)
def test_what_keeps_to_the_protocol_is_accepted(game):
    check_game(game)


def faulty(**members):
    """A vault with one member of another kind."""
    return dataclasses.dataclass(frozen=True)(type("Faulty", (Vault,), members))()


FAULTS = {
    "a class": (Vault, "game: Vault is a class; give a game of this class, such as Vault()"),
    "a name": ("ipd", "game: str lacks what a game must have"),
    "no rounds": (Vault(rounds=0), "game.rounds: must be a whole number of at least 1, got 0"),
    "half a round": (Vault(rounds=2.5), "game.rounds: must be a whole number of at least 1, got 2.5"),
    "unhashable": (Vault(rounds=[3]), "game: the fields of Vault must be hashable"),
    "a setting called name": (
        dataclasses.make_dataclass("Faulty", [("name", str, "x")], bases=(Vault,), frozen=True)(),
        "game: Faulty must not have a setting called name",
    ),
    "measures in a text": (faulty(measures="m"), "game.measures: must be a tuple of names other than reward, got 'm'"),
    "a measure called reward": (faulty(measures=("reward",)), "game.measures: must be a tuple of names other than rew"),
    "perhaps symmetric": (faulty(symmetric=None), "game.symmetric: must be True or False, got None"),
    "no actions": (faulty(num_actions=0), "game.num_actions: must be a whole number of at least 1, got 0"),
    "no kind of observation": (faulty(observation_space=4), "game.observation_space: must be a Symbol or a Vector"),
    "another observation": (
        faulty(observation_space=Vector(3)),
        "game: Faulty.observe must give real numbers of shape (3,)",
    ),
    "a condition on the state": (
        faulty(observe=lambda self, state, player: state if state > 0 else 0),
        "game: JAX cannot trace Faulty.observe (TracerBoolConversionError",
    ),
    "no rewards": (faulty(step=lambda self, state, actions, key: state), "game: Faulty.step must give a state and"),
    "one reward for all": (
        faulty(step=lambda self, state, actions, key: (state, jnp.zeros(()))),
        "game: Faulty.step must give one reward per player, (2,)",
    ),
    "a state of another kind": (
        faulty(step=lambda self, state, actions, key: (1.0 * state, jnp.zeros(2))),
        "game: Faulty.step must give a state of the shapes and dtypes of Faulty.reset",
    ),
    "a measure without a number": (
        faulty(measures=("saving", "coins")),
        "game: Faulty.measure must give the names in measures, saving, coins, got saving",
    ),
    "a measure of several numbers": (
        faulty(measure=lambda self, before, actions, after, player: {"saving": actions == 0}),
        "game: Faulty.measure must give single numbers",
    ),
}


@pytest.mark.parametrize("game, message", FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_played_is_refused_in_one_line(game, message):
    with pytest.raises(CoplayerError) as refused:
        check_game(game)
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)
