"""The loop of rounds against a slow one in plain Python: one table and one round at a time, the same random numbers."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play import rollout
from coplayer.play.player import Player, uniform
from coplayer.play.rollout import (
    BEGIN,
    LEARN,
    TABLES,
    begin,
    check_players,
    keys_of_rounds,
    play_episodes,
    play_match,
    play_rounds,
)
from coplayer.play.tables import table_keys, tables_of
from coplayer.players.memory1 import Memory1, TabularPlayers, named_strategy
from coplayer.players.recurrent import RecurrentPlayer
from state_games import Carousel, Commons

SEXES = [[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]]
KEY = jax.random.key(7)
fold = jax.random.fold_in


class Moody(Player):
    """Acts by chance on a running sum of what it saw. After an episode its mood moves with its rewards, and a random
    number; its memory starts anew.
    """

    weights: Float[Array, " size"]

    def begin(self, key, batch):
        return jnp.zeros(batch), jax.random.normal(key)

    def act(self, state, observation, key):
        memory, mood = state
        seen = observation if observation.ndim == 2 else observation[:, None] == jnp.arange(len(self.weights))
        memory = 0.5 * memory + seen @ self.weights
        action = uniform(key, memory.shape) < jax.nn.sigmoid(memory + mood)
        return (memory, mood), action.astype(jnp.int32), {"memory": memory, "mood": mood}

    def learn(self, state, episode, notes, key):
        weighted = (episode.rewards * (1 + episode.actions) * jnp.tanh(notes["memory"])).mean()
        return jnp.zeros(episode.actions.shape[1]), state[1] + weighted + 0.1 * jax.random.normal(key)


class MoodyByHand:
    """The same in numpy."""

    def __init__(self, player):
        self.weights = np.asarray(player.weights, dtype=float)

    def begin(self, key, batch):
        self.memory, self.mood = np.zeros(batch), float(jax.random.normal(key))

    def act(self, b, seen, draw):
        seen = np.asarray(seen, dtype=float) if np.ndim(seen) else np.eye(len(self.weights))[int(seen)]
        self.memory[b] = 0.5 * self.memory[b] + seen @ self.weights
        return int(draw < 1 / (1 + np.exp(-self.memory[b] - self.mood))), self.memory[b]

    def learn(self, rewards, actions, notes, key):
        weighted = (np.array(rewards) * (1 + np.array(actions)) * np.tanh(notes)).mean()
        self.memory, self.mood = np.zeros_like(self.memory), self.mood + weighted + 0.1 * float(jax.random.normal(key))


class RowsByHand:
    """A table of probabilities [observation, action] for each game table."""

    def __init__(self, tables):
        self.tables = np.asarray(tables, dtype=float)

    def begin(self, key, batch):
        pass

    def act(self, b, seen, draw):
        return int((draw >= np.cumsum(self.tables[b][int(seen)])[:-1]).sum()), 0.0

    def learn(self, rewards, actions, notes, key):
        pass


class Course(NamedTuple):
    """What one player went through, `[round][table]`."""

    observations: list
    actions: list
    rewards: list
    measures: list
    notes: list


def by_hand(game, players, batch, inner_episodes=1, turned=0):
    """Courses of all players, and what each sees at the end `[player][table]`."""
    count = game.num_players
    step, observe = jax.jit(game.step), jax.jit(game.observe)
    measure, reset = jax.jit(game.measure), jax.jit(game.reset)
    courses = [Course([], [], [], [], []) for _ in players]
    for k, player in enumerate(players):
        player.begin(fold(fold(KEY, BEGIN), k), batch)
    for m in range(inner_episodes):
        own = fold(KEY, TABLES)
        if inner_episodes > 1:
            own = fold(own, m)
            tables = jax.random.split(fold(own, TABLES), batch)
        else:
            tables = jax.random.split(own, batch)
        states = [reset(fold(table, 0)) for table in tables]
        for t in range(game.rounds):
            of_round = fold(KEY, m * game.rounds + t)
            draws = [np.asarray(jax.random.uniform(fold(of_round, k), (batch,))) for k in range(count)]
            for course in courses:
                for rows in course:
                    rows.append([])
            for b, table in enumerate(tables):
                seat = [(k + turned) % count for k in range(count)]
                seated = [0] * count
                for k, player in enumerate(players):
                    seen = np.asarray(observe(states[b], seat[k]))
                    seated[seat[k]], note = player.act(b, seen, draws[k][b])
                    courses[k].observations[-1].append(seen)
                    courses[k].actions[-1].append(seated[seat[k]])
                    courses[k].notes[-1].append(note)
                actions = jnp.array(seated)
                after, rewards = step(states[b], actions, fold(table, t + 1))
                for k in range(count):
                    courses[k].rewards[-1].append(float(rewards[seat[k]]))
                    courses[k].measures[-1].append(measure(states[b], actions, after, seat[k]))
                states[b] = after
        for k, player in enumerate(players):
            recent = [rows[-game.rounds :] for rows in (courses[k].rewards, courses[k].actions, courses[k].notes)]
            player.learn(*recent, fold(own, LEARN - k))
    return courses, [[np.asarray(observe(state, (k + turned) % count)) for state in states] for k in range(count)]


def assert_same(trajectory, courses, ends):
    for k, course in enumerate(courses):
        view = trajectory.view(k)
        np.testing.assert_array_equal(view.actions, course.actions)
        np.testing.assert_allclose(view.observations, course.observations, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(view.rewards, course.rewards, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(view.beyond, ends[k], rtol=1e-5, atol=1e-6)
        for name, values in view.measures.items():
            expected = [[at[name] for at in row] for row in course.measures]
            np.testing.assert_allclose(np.asarray(values, float), np.asarray(expected, float), rtol=1e-5, atol=1e-6)
        assert set(view.measures) == set(course.measures[0][0])


def moody(size, seed):
    return Moody(jnp.asarray(np.random.default_rng(seed).normal(size=size), jnp.float32))


def tabular(game, seed, batch):
    tables = np.random.default_rng(seed).dirichlet(np.ones(game.num_actions), (batch, game.observation_space.size))
    return TabularPlayers(jnp.moveaxis(jnp.asarray(tables, jnp.float32), 0, -1)), RowsByHand(tables)


@pytest.mark.parametrize("turned", [0, 2])
@pytest.mark.parametrize("inner_episodes", [1, 3])
def test_a_game_of_symbols_with_state_against_the_slow_loop(inner_episodes, turned):
    """Tables of three actions, and one player who remembers and learns."""
    game, batch = Carousel(rounds=5), 4
    (one, one_by_hand), (two, two_by_hand) = (tabular(game, seed, batch) for seed in range(2))
    three = moody(game.observation_space.size, 3)
    players = (one, three, two)
    found = play_match(players, game, KEY, episodes=batch, inner_episodes=inner_episodes, turned=turned)
    hands = (one_by_hand, MoodyByHand(three), two_by_hand)
    assert_same(found, *by_hand(game, hands, batch, inner_episodes, turned))


@pytest.mark.parametrize("inner_episodes", [1, 3])
def test_a_game_of_vectors_with_state_against_the_slow_loop(inner_episodes):
    game, batch = Commons(rounds=5), 4
    players = tuple(moody(game.observation_space.size, seed) for seed in range(3))
    found = play_match(players, game, KEY, episodes=batch, inner_episodes=inner_episodes)
    hands = tuple(map(MoodyByHand, players))
    assert_same(found, *by_hand(game, hands, batch, inner_episodes))
    actions = np.stack([found.view(k).actions for k in range(3)])
    assert 0.1 < actions.mean() < 0.9


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("inner_episodes", [1, 2])
def test_a_matrix_game_against_the_slow_loop(inner_episodes, turned):
    """Its fast path too draws the same numbers, and its joint actions are those of the first player's view."""
    game, batch = MatrixGame(SEXES, rounds=6, cooperation=1), 5
    one, one_by_hand = tabular(game, 0, batch)
    two = moody(5, 4)
    found = play_match((one, two), game, KEY, episodes=batch, inner_episodes=inner_episodes, turned=turned)
    courses, ends = by_hand(game, (one_by_hand, MoodyByHand(two)), batch, inner_episodes, turned)
    assert_same(found, courses, ends)
    assert found.joint.dtype == np.uint8
    np.testing.assert_array_equal(found.joint, 2 * np.array(courses[0].actions) + courses[1].actions)


def test_a_game_of_five_seats():
    game, batch = PublicGoods(5, 2.0, rounds=4), 3
    pairs = [tabular(game, seed, batch) for seed in range(5)]
    found = play_match([player for player, _ in pairs], game, KEY, episodes=batch)
    assert_same(found, *by_hand(game, [hand for _, hand in pairs], batch))


class Spy(Player):
    """Writes down what it is asked, in a loop that is not compiled."""

    calls: list = eqx.field(static=True)

    def begin(self, key, batch):
        return jnp.asarray(0)

    def act(self, state, observation, key):
        return state + 1, jnp.full(observation.shape[:1], int(state) % 2, jnp.int32), {"state": state}

    def learn(self, state, episode, notes, key):
        self.calls.append((state, episode, notes, key))
        return state + 100


def test_a_player_learns_once_per_episode_from_its_own_view_and_notes():
    game, batch, episodes = Carousel(rounds=3), 2, 4
    spies = tuple(Spy([]) for _ in range(3))
    with jax.disable_jit():
        trajectory, notes = play_episodes(
            tables_of(game),
            spies,
            begin(spies, KEY, batch),
            lambda index: keys_of_rounds(KEY, index * 3 + jnp.arange(3), 3),
            KEY,
            batch=batch,
            episodes=episodes,
        )
    keys = set()
    for k, spy in enumerate(spies):
        view = trajectory.view(k)
        assert len(spy.calls) == episodes
        for m, (state, episode, own_notes, key) in enumerate(spy.calls):
            at = slice(3 * m, 3 * m + 3)
            assert int(state) == 103 * m + 3  # the state after the episode's last round, not one before
            for name in ("observations", "actions", "rewards"):
                np.testing.assert_array_equal(getattr(episode, name), getattr(view, name)[at])
            assert episode.measures.keys() == view.measures.keys()
            np.testing.assert_array_equal(own_notes["state"], 103 * m + np.arange(3))
            np.testing.assert_array_equal(notes[k]["state"][at], own_notes["state"])
            np.testing.assert_array_equal(trajectory.ends[k][m], episode.beyond)
            keys.add(tuple(np.asarray(jax.random.key_data(key)).tolist()))
        np.testing.assert_array_equal(spy.calls[-1][1].beyond, view.beyond)
    assert len(keys) == 3 * episodes  # every learning has a key of its own


def test_rounds_go_on_from_where_they_stood():
    """In two parts, or at once."""
    game, batch = Carousel(rounds=7), 4
    players = (tabular(game, 0, batch)[0], moody(15, 1), moody(15, 2))
    tables, states = tables_of(game), begin(players, KEY, batch)
    world = tables.open(table_keys(KEY, batch))
    chance = keys_of_rounds(KEY, jnp.arange(7), 3)
    whole = play_rounds(tables, players, world, states, chance)
    first = play_rounds(tables, players, world, states, tuple(keys[:3] for keys in chance))
    second = play_rounds(tables, players, first.world, first.states, tuple(keys[3:] for keys in chance))
    joined = jax.tree.map(lambda *parts: jnp.concatenate(parts), first.records, second.records)
    for one, other in zip(jax.tree.leaves(joined), jax.tree.leaves(whole.records), strict=True):
        np.testing.assert_array_equal(one, other)
    for k in range(3):
        np.testing.assert_array_equal(second.trajectory(tables).view(k).beyond, whole.trajectory(tables).view(k).beyond)
    np.testing.assert_array_equal(
        jnp.concatenate([first.notes[1]["memory"], second.notes[1]["memory"]]), whole.notes[1]["memory"]
    )


def test_what_is_met_elsewhere_is_what_is_played():
    game, batch = prisoners_dilemma(5), 3
    players = (named_strategy("tit_for_tat"), named_strategy("always_cooperate"))
    tables = tables_of(game)
    played = play_rounds(
        tables,
        players,
        tables.open(table_keys(KEY, batch)),
        begin(players, KEY, batch),
        keys_of_rounds(KEY, jnp.arange(5), 2),
        meet=lambda actions: (actions[0], 1 - actions[1]),
    )
    np.testing.assert_array_equal(played.trajectory(tables).joint, [[1] * 3] + [[3] * 3] * 4)


def test_every_round_and_player_has_a_key_of_its_own():
    keys = keys_of_rounds(KEY, jnp.arange(4, 9), 3)
    assert len(keys) == 3 and all(of_player.shape == (5,) for of_player in keys)
    for k, t in np.ndindex(3, 5):
        assert keys[k][t] == fold(fold(KEY, 4 + t), k)
    numbers = np.stack([jax.random.key_data(of_player) for of_player in keys])
    assert len(np.unique(numbers.reshape(15, -1), axis=0)) == 15


def test_a_match_is_a_function_of_its_key():
    even, game = named_strategy("random"), prisoners_dilemma(6)
    one, again, other = (play_match((even, even), game, jax.random.key(k), episodes=50).joint for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_inner_episodes_have_draws_of_their_own():
    even = named_strategy("random")
    joint = play_match((even, even), prisoners_dilemma(6), KEY, episodes=500, inner_episodes=3).joint
    joint = joint.reshape(3, 6, 500)
    assert all(np.mean(np.asarray(joint[0] == joint[m])) == pytest.approx(0.25, abs=0.05) for m in (1, 2))


def test_inner_episodes_in_a_row_are_episodes_for_those_who_forget():
    pair, game = (named_strategy("tit_for_tat"), named_strategy("always_defect")), prisoners_dilemma(6)
    assert play_match(pair, game, KEY).joint[:, 0].tolist() == [1, 3, 3, 3, 3, 3]
    assert play_match(pair, game, KEY, inner_episodes=3).joint[:, 0].tolist() == [1, 3, 3, 3, 3, 3] * 3


TIT_FOR_TAT = named_strategy("tit_for_tat")
THREE_ACTIONS = Memory1(np.full((10, 3), 1 / 3))


def network_player(game):
    return RecurrentPlayer(jax.eval_shape(lambda: ActorCritic(game, 4, key=KEY)))


@pytest.mark.parametrize(
    ("players", "game", "message"),
    [
        ((TIT_FOR_TAT,), prisoners_dilemma(), "players: this game has 2 seats, got 1 players"),
        ((TIT_FOR_TAT,) * 3, prisoners_dilemma(), "players: this game has 2 seats, got 3 players"),
        ((TIT_FOR_TAT,) * 2, PublicGoods(3), "players: this game has 3 seats, got 2 players"),
        ((TIT_FOR_TAT, "tit_for_tat"), prisoners_dilemma(), "player 2: str is not a coplayer.Player"),
        ((np.eye(2), TIT_FOR_TAT), prisoners_dilemma(), "player 1: ndarray is not a coplayer.Player"),
        (({1}, TIT_FOR_TAT), prisoners_dilemma(), "player 1: set is not a coplayer.Player"),
        (
            (TIT_FOR_TAT, THREE_ACTIONS),
            prisoners_dilemma(),
            "player 2: its table is made for 3 actions, this game has 2",
        ),
        ((TIT_FOR_TAT,) * 2, MatrixGame(np.eye(3)), "player 1: its table is made for 2 actions, this game has 3"),
        ((TIT_FOR_TAT,) * 3, PublicGoods(3), "player 1: its table is made for 5 observations, this game has 7"),
        (
            (TIT_FOR_TAT,) * 3,
            Commons(),
            "player 1: a table of probabilities needs a game whose observ",
        ),
        (
            (network_player(prisoners_dilemma()),) * 2,
            MatrixGame(np.eye(3)),
            "player 1: its network is made for 2 actions, this game has 3",
        ),
        (
            (network_player(prisoners_dilemma()),) * 3,
            Commons(),
            r"player 1: its network is made for observations of Symbol\(size=5\), this game has Vector\(size=4\)",
        ),
    ],
)
def test_players_who_do_not_fit_the_game_are_refused_in_one_line(players, game, message):
    check = check_players.__wrapped__ if "coplayer.Player" in message else check_players  # past the tests' own types
    with pytest.raises(CoplayerError, match=f"^{message}") as caught:
        check(players, game)
    assert "\n" not in str(caught.value)


def test_a_match_refuses_players_who_do_not_fit(monkeypatch):
    with pytest.raises(CoplayerError, match=r"^player 2: its table is made for 3 actions"):
        play_match((TIT_FOR_TAT, THREE_ACTIONS), prisoners_dilemma(), KEY)
    monkeypatch.setattr(rollout, "check_players", check_players.__wrapped__)
    with pytest.raises(CoplayerError, match=r"^player 2: set is not a coplayer\.Player"):
        play_match.__wrapped__((TIT_FOR_TAT, {1}), prisoners_dilemma(), KEY)


@pytest.mark.parametrize("name", ["episodes", "inner_episodes"])
@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_episode_is_one_line(name, count):
    players = (named_strategy("tit_for_tat"),) * 2
    with pytest.raises(CoplayerError, match=f"^{name}: must be a whole number of at least 1, got {count}$"):
        play_match(players, prisoners_dilemma(2), jax.random.key(0), **{name: count})


class Acting(Player):
    """Takes the same action everywhere, in whatever form."""

    action: object = eqx.field(static=True)

    def begin(self, key, batch):
        return None

    def act(self, state, observation, key):
        return state, self.action(observation.shape[:1]), None


def always(value):
    return lambda shape: jnp.full(shape, value)


@pytest.mark.parametrize("game", [prisoners_dilemma(3), PublicGoods(2, rounds=3)])
@pytest.mark.parametrize("inner_episodes", [1, 2])
@pytest.mark.parametrize(
    ("action", "message"),
    [
        (always(2), "player 2: this game has the actions 0 to 1, the player took 2"),
        (always(-1), "player 2: this game has the actions 0 to 1, the player took -1"),
        (always(0.0), "player 2: must take one whole number per table as its actions, (4,), took float32 (4,)"),
        (lambda shape: jnp.zeros((), int), "player 2: must take one whole number per table as its actions, (4,), took"),
    ],
)
def test_actions_that_a_game_does_not_have_are_one_line(action, message, inner_episodes, game):
    players, play = (Acting(always(1)), Acting(action)), play_match.__wrapped__  # past the tests' own types
    with pytest.raises(CoplayerError) as refused:
        play(players, game, jax.random.key(0), episodes=4, inner_episodes=inner_episodes)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("key", [0, None, (1, 2)])
def test_what_is_no_key_is_one_line(key):
    with pytest.raises(CoplayerError, match=r"^key: must be one random key such as jax\.random\.key\(0\), got"):
        play_match.__wrapped__((named_strategy("tit_for_tat"),) * 2, prisoners_dilemma(2), key)


def test_a_class_in_place_of_a_game_is_one_line():
    with pytest.raises(CoplayerError, match="game: must be a game"):
        play_match((named_strategy("tit_for_tat"),) * 2, MatrixGame, jax.random.key(0))
