"""Memory-1 players and tables: strategies by hand, matches against the exact Markov chain, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import (
    LEAST_PROBABILITY,
    PRISONERS_DILEMMA_STRATEGIES,
    Memory1,
    TabularPlayers,
    cooperation,
    identity_of,
    identity_size,
    named_strategy,
    rows,
)
from coplayer.pools import tabular
from oracles import joint_distributions
from state_games import Carousel, Commons

C, D = 0, 1
THREE = MatrixGame([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], rounds=3)


def match(own, other, game, batch, key):
    """Joint actions [rounds, batch] in the view of `own`."""
    return np.asarray(play_match((own, other), game, key, episodes=batch).joint)


def action(player, observation, key):
    """What a player does after these observations."""
    return player.act(player.begin(key, len(observation)), observation, key)[1]


def random_tables(seed, n):
    """Two tables [observation, action]."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n), (2, 1 + n * n))


@pytest.mark.parametrize(
    ("name", "actions"),  # after START, CC, CD, DC, DD
    [
        ("always_cooperate", (C, C, C, C, C)),
        ("always_defect", (D, D, D, D, D)),
        ("tit_for_tat", (C, C, D, C, D)),
        ("win_stay_lose_shift", (C, C, D, D, C)),
        ("grim_trigger", (C, C, D, D, D)),
    ],
)
def test_deterministic_strategies_by_hand(name, actions):
    for seed in range(20):
        played = action(named_strategy(name), jnp.arange(5), jax.random.key(seed))
        np.testing.assert_array_equal(played, actions)


@pytest.mark.parametrize(
    ("name", "cooperates"), [("random", [1 / 2] * 5), ("generous_tit_for_tat", [1, 1, 1 / 3, 1, 1 / 3])]
)
def test_stochastic_strategies_by_frequency(name, cooperates):
    count = 20_000
    states = jnp.repeat(jnp.arange(5), count)
    played = np.asarray(action(named_strategy(name), states, jax.random.key(0))).reshape(5, count)
    p = np.asarray(cooperates)
    assert np.all(np.abs((played == C).mean(1) - p) <= 5 * np.sqrt(p * (1 - p) / count))


@pytest.mark.parametrize(
    ("own", "other", "joint"),  # 0 CC, 1 CD, 2 DC, 3 DD
    [
        ("tit_for_tat", "always_defect", [1, 3, 3, 3, 3]),
        ("always_defect", "tit_for_tat", [2, 3, 3, 3, 3]),
        ("win_stay_lose_shift", "always_defect", [1, 3, 1, 3, 1]),
        ("grim_trigger", "win_stay_lose_shift", [0, 0, 0, 0, 0]),
        ("always_defect", "win_stay_lose_shift", [2, 3, 2, 3, 2]),
    ],
)
def test_named_matches_by_hand(own, other, joint):
    played = match(named_strategy(own), named_strategy(other), prisoners_dilemma(5), 3, jax.random.key(1))
    np.testing.assert_array_equal(played, np.repeat(np.array(joint)[:, None], 3, axis=1))


def test_every_name_is_a_player():
    for name in PRISONERS_DILEMMA_STRATEGIES:
        assert named_strategy(name).probabilities.shape == (5, 2)
    with pytest.raises(CoplayerError, match=r"^strategy: 'tit_for_two' is not one of always_cooperate, .*tit_for_tat"):
        named_strategy("tit_for_two")


GAMES = [
    prisoners_dilemma(40),
    MatrixGame([[[3.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.0, 3.0]]], rounds=2),
    MatrixGame(np.random.default_rng(7).normal(size=(2, 3, 3)), rounds=10),
]


@pytest.mark.parametrize("game", GAMES, ids=["dilemma", "two_rounds", "three_actions"])
@pytest.mark.parametrize("seed", [0, 1])
def test_mean_reward_of_a_match_against_the_exact_markov_chain(game, seed):
    own, other = random_tables(seed, game.num_actions)
    batch = 4000
    joint = match(Memory1(own), Memory1(other), game, batch, jax.random.key(seed))

    payoffs = game.tables
    exact = joint_distributions(own, other, game.rounds).mean(0).reshape(game.num_actions, -1)
    first, second = np.divmod(joint, game.num_actions)
    for rewards, expected in [
        (payoffs[0][first, second], (exact * payoffs[0]).sum()),
        (payoffs[1][second, first], (exact * payoffs[1].T).sum()),
    ]:
        means = rewards.mean(0)  # one a match; the matches are independent
        error = means.std(ddof=1) / np.sqrt(batch)
        assert 0 < error < 0.03
        assert abs(means.mean() - expected) < 5 * error


def test_the_first_round_uses_the_start_row():
    own, other = np.full((5, 2), [0.0, 1.0]), np.full((5, 2), [0.0, 1.0])
    own[0], other[0] = [0.25, 0.75], [0.9, 0.1]
    batch = 20_000
    joint = match(Memory1(own), Memory1(other), prisoners_dilemma(2), batch, jax.random.key(3))
    p = np.array([0.25 * 0.9, 0.25 * 0.1, 0.75 * 0.9, 0.75 * 0.1])
    frequency = np.array([(joint[0] == j).mean() for j in range(4)])
    assert np.all(np.abs(frequency - p) < 5 * np.sqrt(p * (1 - p) / batch))
    assert np.all(joint[1] == 3)


def test_a_batch_of_players_each_uses_its_own_table():
    names = ["always_cooperate", "always_defect", "tit_for_tat"]
    batch = Memory1(jnp.stack([named_strategy(name).probabilities for name in names]))
    after_cd = action(batch, jnp.full((3,), 2), jax.random.key(0))
    after_dc = action(batch, jnp.full((3,), 3), jax.random.key(0))
    np.testing.assert_array_equal(after_cd, [C, D, D])
    np.testing.assert_array_equal(after_dc, [C, D, C])


def test_a_player_can_be_built_under_jit_and_differentiated():
    @jax.jit
    def first_action(table):
        return action(Memory1(table), jnp.zeros((4,), dtype=jnp.int32), jax.random.key(0))

    np.testing.assert_array_equal(first_action(jnp.full((5, 2), jnp.array([0.0, 1.0]))), [D] * 4)


GOOD = np.full((5, 2), 0.5)


def changed(entry, row):
    table = GOOD.copy()
    table[entry] = row
    return table


@pytest.mark.parametrize(
    ("build", "given"),
    [
        (Memory1, changed(2, [1.5, -0.5])),
        (Memory1, changed(0, [-0.1, 1.1])),
        (Memory1, changed(4, [float("nan"), 0.5])),
        (Memory1, changed(4, [0.5, 0.4])),
        (Memory1, np.full((4, 2), 0.5)),
        (Memory1, np.full((5, 3), 1 / 3)),
        (Memory1, np.full((2,), 0.5)),
        (Memory1, 0.5),
        (Memory1, [[0.5, 0.5]] * 4 + [[1.0]]),
        (Memory1, [["much", "little"]] * 5),
        (cooperation, [0.5] * 4),
        (cooperation, [0.5] * 6),
        (cooperation, 0.5),
        (cooperation, [0.5, 0.5, 1.01, 0.5, 0.5]),
        (cooperation, [0.5, 0.5, -0.01, 0.5, 0.5]),
        (cooperation, [0.5, 0.5, float("nan"), 0.5, 0.5]),
        (cooperation, [0.5, 0.5, "often", 0.5, 0.5]),
    ],
)
def test_bad_tables_are_refused_on_one_line(build, given):
    with pytest.raises(CoplayerError) as caught:
        build(given)
    assert str(caught.value).startswith("probabilities:")
    assert "\n" not in str(caught.value)


def test_uniform_numbers_or_a_key_that_draws_them():
    key, seen = jax.random.key(4), jnp.arange(5)
    numbers = jax.random.uniform(key, (5,))
    for player in (named_strategy("random"), TabularPlayers(jnp.full((5, 2, 5), 0.5))):
        assert player.takes_uniforms
        np.testing.assert_array_equal(action(player, seen, key), action(player, seen, numbers))
        np.testing.assert_array_equal(action(player, seen, numbers), numbers >= 0.5)


@pytest.mark.parametrize(
    "game", [prisoners_dilemma(), THREE, PublicGoods(3)], ids=["dilemma", "three_actions", "goods"]
)
def test_tables_of_a_batch_agree_with_each_players_own_row(game):
    """Inverting the cumulative distribution by hand; in a matrix game a batch of `Memory1` says the same."""
    batch, key = 200, jax.random.key(6)
    tables = tabular.draw_tables(jax.random.fold_in(key, 0), game, batch)
    observation = jax.random.randint(jax.random.fold_in(key, 1), (batch,), 0, game.observation_space.size)
    numbers = jax.random.uniform(jax.random.fold_in(key, 2), (batch,))
    found = action(TabularPlayers(tables), observation, numbers)
    for b in range(batch):
        chances = np.cumsum(np.asarray(tables[int(observation[b]), :, b], float))
        assert int(found[b]) == (float(numbers[b]) >= chances[:-1]).sum()
    assert len(np.unique(found)) == game.num_actions
    if isinstance(game, MatrixGame):
        np.testing.assert_array_equal(action(Memory1(jnp.moveaxis(tables, -1, 0)), observation, numbers), found)


def test_actions_of_tables_by_hand():
    tables = jnp.stack([jnp.array([[0.1, 0.9]] * 4 + [[0.8, 0.2]]), jnp.array([[0.6, 0.4]] * 5)], axis=-1)
    player, uniform = TabularPlayers(tables), jnp.array([0.7, 0.7])
    np.testing.assert_array_equal(action(player, jnp.array([4, 4]), uniform), [0, 1])
    np.testing.assert_array_equal(action(player, jnp.array([0, 0]), jnp.array([0.05, 0.55])), [0, 0])
    np.testing.assert_array_equal(action(player, jnp.array([3, 1]), jnp.array([0.15, 0.65])), [1, 1])


def test_rows_of_a_table_each_or_of_one_for_all():
    tables = jnp.arange(20.0).reshape(5, 2, 2)
    np.testing.assert_array_equal(rows(tables, jnp.array([3, 2])), np.stack([tables[3, :, 0], tables[2, :, 1]], axis=1))
    np.testing.assert_array_equal(
        rows(tables[..., :1], jnp.array([3, 2])), np.stack([tables[3, :, 0], tables[2, :, 0]], 1)
    )


def test_identity_by_hand():
    """log pi(a | o), observation by observation; a probability of 0 counts as the least one."""
    table = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5], [0, 1], [0.1, 0.9]])
    least = LEAST_PROBABILITY
    expected = np.log([0.25, 0.75, 1, least, 0.5, 0.5, least, 1, 0.1, 0.9])
    found = identity_of(jnp.asarray(table)[:, :, None])
    assert found.shape == (identity_size(prisoners_dilemma()), 1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5, atol=1e-7)
    assert identity_size(PublicGoods(3)) == 14


def test_five_symbols_of_another_game_have_other_meanings():
    """Two players of public goods see five symbols too, but 1 + 2 * (own action) + (the other gave): not CC, CD."""
    TabularPlayers(jnp.full((5, 2, 3), 0.5)).check(PublicGoods(2))
    with pytest.raises(CoplayerError, match=r"^player: a Memory1 plays matrix games, .*; use TabularPlayers$"):
        named_strategy("tit_for_tat").check(PublicGoods(2))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (np.full((5, 2), 0.5), r"tables: shape must be \(o, a, batch\), got \(5, 2\)"),
        (np.full((5, 2, 3), 7.0), r"probabilities: every entry must lie in \[0, 1\]"),
        (np.full((5, 2, 3), np.nan), r"probabilities: every entry must lie in \[0, 1\]"),
        (np.full((5, 2, 3), 0.4), "tables: every action distribution must sum to 1"),
    ],
)
def test_tables_that_are_no_probabilities_are_refused(tables, message):
    with pytest.raises(CoplayerError, match=message):
        TabularPlayers(tables)


GOOD_TABLES = {"memory-1": named_strategy("random"), "tables": TabularPlayers(jnp.full((5, 2, 3), 0.5))}


@pytest.mark.parametrize("player", GOOD_TABLES.values(), ids=GOOD_TABLES)
@pytest.mark.parametrize(
    ("game", "message"),
    [
        (prisoners_dilemma(), None),
        (MatrixGame(np.eye(3)), "player: its table is made for 2 actions, this game has 3"),
        (PublicGoods(3), "player: its table is made for 5 observations, this game has 7"),
        (Carousel(), "player: its table is made for 2 actions, this game has 3"),
        (Commons(), "player: a table of probabilities needs a game whose observations are symbols"),
    ],
)
def test_which_games_a_table_can_play(player, game, message):
    if message is None:
        return player.check(game)
    with pytest.raises(CoplayerError, match=f"^{message}") as caught:
        player.check(game)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "player",
    [cooperation(np.full((3, 5), 0.5)), TabularPlayers(jnp.full((5, 2, 3), 0.5))],
    ids=["memory-1", "tables"],
)
def test_a_batch_of_players_needs_as_many_tables(player):
    assert player.begin(jax.random.key(0), 3) is None
    with pytest.raises(CoplayerError, match=r"^player: is a batch of 3 players, one per table, at 4 tables$"):
        player.begin(jax.random.key(0), 4)
    one_for_all = TabularPlayers(jnp.full((5, 2, 1), 0.5))
    for anywhere in (named_strategy("random"), one_for_all):
        assert play_match((anywhere, player), prisoners_dilemma(2), jax.random.key(0), episodes=3).joint.shape == (2, 3)
