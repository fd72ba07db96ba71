import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.memory1 import PRISONERS_DILEMMA_STRATEGIES, Memory1, cooperation, named_strategy, sample
from oracles import joint_distributions

C, D = 0, 1
JUST_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def match(own, other, game, batch, key):
    """Joint actions [rounds, batch] in the view of `own`."""

    def step(carry, key):
        states = carry
        joint = game.joint(
            own.act(states[0], jax.random.fold_in(key, 0)), other.act(states[1], jax.random.fold_in(key, 1))
        )
        states = (
            own.update(states[0], joint, game.reward(joint)),
            other.update(states[1], game.swap(joint), game.reward(game.swap(joint), 1)),
        )
        return states, joint

    start = (own.initial_state(batch), other.initial_state(batch))
    return np.asarray(jax.lax.scan(step, start, jax.random.split(key, game.rounds))[1])


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
        played = named_strategy(name).act(jnp.arange(5), jax.random.key(seed))
        np.testing.assert_array_equal(played, actions)


@pytest.mark.parametrize(
    ("name", "cooperates"), [("random", [1 / 2] * 5), ("generous_tit_for_tat", [1, 1, 1 / 3, 1, 1 / 3])]
)
def test_stochastic_strategies_by_frequency(name, cooperates):
    count = 20_000
    states = jnp.repeat(jnp.arange(5), count)
    played = np.asarray(named_strategy(name).act(states, jax.random.key(0))).reshape(5, count)
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

    payoffs = np.asarray(game.payoffs)
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
    after_cd = batch.act(jnp.full((3,), 2), jax.random.key(0))
    after_dc = batch.act(jnp.full((3,), 3), jax.random.key(0))
    np.testing.assert_array_equal(after_cd, [C, D, D])
    np.testing.assert_array_equal(after_dc, [C, D, C])


def test_a_player_can_be_built_under_jit_and_differentiated():
    @jax.jit
    def first_action(table):
        return Memory1(table).act(jnp.zeros((4,), dtype=jnp.int32), jax.random.key(0))

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


def test_sample_inverts_the_cumulative_distribution():
    p = np.array([0.2, 0.0, 0.5, 0.3], dtype=np.float32)
    count = 1000
    uniform = (np.arange(count) + 0.5) / count  # one point in the middle of every thousandth
    drawn = sample(jnp.broadcast_to(jnp.asarray(p)[:, None], (4, count)), jnp.asarray(uniform, jnp.float32))
    np.testing.assert_array_equal(drawn, [0] * 200 + [2] * 500 + [3] * 300)


@pytest.mark.parametrize(
    ("p", "at_zero", "below_one"),
    [
        ([1.0, 0.0], 0, 0),
        ([0.0, 1.0], 1, 1),
        ([0.5, 0.5], 0, 1),
        ([0.0, 1.0, 0.0], 1, 1),
        ([0.0, 0.0, 1.0], 2, 2),
        ([0.25, 0.25, 0.25, 0.25], 0, 3),
        ([0.3, 0.3, 0.3999], 0, 2),  # unnormalised by rounding: still a choice that exists
    ],
)
def test_sample_at_the_edges_of_the_unit_interval(p, at_zero, below_one):
    column = jnp.asarray(p)[:, None]
    assert int(sample(column, jnp.array([0.0]))[0]) == at_zero
    assert int(sample(column, jnp.array([JUST_BELOW_ONE]))[0]) == below_one


def test_sample_frequencies_of_random_draws():
    count, p = 50_000, np.array([0.05, 0.6, 0.35])
    column = jnp.broadcast_to(jnp.asarray(p, jnp.float32)[:, None], (3, count))
    drawn = np.asarray(sample(column, jax.random.uniform(jax.random.key(5), (count,))))
    frequency = np.bincount(drawn, minlength=3) / count
    assert np.all(np.abs(frequency - p) < 5 * np.sqrt(p * (1 - p) / count))
