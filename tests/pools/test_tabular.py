import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.memory1 import Memory1
from coplayer.pools import tabular

THREE = MatrixGame([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], rounds=3)


def assert_within_five_sigma(draws, exact):
    """`draws` [many, ...] are independent along the first axis."""
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - exact) < 5 * error)


@pytest.mark.parametrize("n", [2, 3])
def test_drawn_tables_are_uniform_on_the_simplex(n):
    """Dirichlet(1, .., 1): mean 1/n, second moments (1 + [a = b]) / (n (n + 1)), marginal CDF 1 - (1 - x)^(n - 1)."""
    game = MatrixGame(np.zeros((n, n)))
    count = 20_000
    tables = np.asarray(tabular.draw_tables(jax.random.key(0), game, count), dtype=np.float64)
    assert tables.shape == (1 + n * n, n, count)
    assert tables.min() >= 0
    np.testing.assert_allclose(tables.sum(1), 1, atol=1e-6)
    rows = tables.transpose(2, 0, 1)  # [episode, observation, action]

    assert_within_five_sigma(rows, 1 / n)
    for a, b in itertools.product(range(n), repeat=2):
        assert_within_five_sigma(rows[..., a] * rows[..., b], (1 + (a == b)) / (n * (n + 1)))
    for o, p in itertools.combinations(range(1 + n * n), 2):  # different observations are independent
        assert_within_five_sigma(rows[:, o, 0] * rows[:, p, 0], 1 / n**2)

    steps = np.arange(1, count + 1) / count
    bound = np.sqrt(np.log(2 / 1e-6) / (2 * count))  # Dvoretzky-Kiefer-Wolfowitz
    for o, a in itertools.product(range(1 + n * n), range(n)):
        cdf = 1 - (1 - np.sort(rows[:, o, a])) ** (n - 1)
        assert np.abs(cdf - steps).max() < bound


def test_tables_differ_between_episodes_and_between_keys():
    game = prisoners_dilemma()
    tables = np.asarray(tabular.draw_tables(jax.random.key(0), game, 50))
    assert len(np.unique(tables[0, 0])) == 50
    assert not np.any(tables[:, 0] == np.asarray(tabular.draw_tables(jax.random.key(1), game, 50))[:, 0])


def episode_probability(joint, n):
    """P(one episode) when both tables are uniform and unknown: by Laplace's rule of succession, an action that was
    played k times in the m earlier rounds with the same observation has probability (k + 1) / (m + n).
    """
    probability = 1.0
    for player in range(2):
        played = [(j // n, j % n) if player == 0 else (j % n, j // n) for j in joint]
        observations = [0] + [1 + own * n + other for own, other in played[:-1]]
        counts = np.zeros((1 + n * n, n))
        for observation, (own, _) in zip(observations, played, strict=True):
            probability *= (counts[observation, own] + 1) / (counts[observation].sum() + n)
            counts[observation, own] += 1
    return probability


@pytest.mark.parametrize("game", [prisoners_dilemma(4), THREE], ids=["dilemma", "three_actions"])
def test_whole_episodes_against_their_exact_probabilities(game):
    """Shows at once: uniform tables, one for each player and episode, kept over its rounds."""
    n, count = game.num_actions, 100_000
    episodes = list(itertools.product(range(n * n), repeat=game.rounds))
    exact = np.array([episode_probability(episode, n) for episode in episodes])
    np.testing.assert_allclose(exact.sum(), 1)

    joint = np.asarray(tabular.play(jax.random.key(2), game, count))
    assert joint.shape == (game.rounds, count)
    codes = np.ravel_multi_index(joint, [n * n] * game.rounds)
    counts = np.bincount(codes, minlength=len(episodes))
    chi_squared = ((counts - count * exact) ** 2 / (count * exact)).sum()
    freedom = len(episodes) - 1
    assert abs(chi_squared - freedom) < 5 * np.sqrt(2 * freedom)


def test_each_player_reads_its_own_view(monkeypatch):
    """A coin against tit-for-tat. (Uniform tables would not tell: their law is the same with CD and DC exchanged.)"""
    cooperates = iter([[0.5] * 5, [1, 1, 0, 1, 0]])

    def draw_tables(key, game, batch, *pool):
        p = jnp.repeat(jnp.asarray(next(cooperates), jnp.float32)[:, None], batch, axis=1)
        return jnp.stack([p, 1 - p], axis=1)

    monkeypatch.setattr(tabular, "draw_tables", draw_tables)
    own, other = np.divmod(tabular.play(jax.random.key(5), prisoners_dilemma(10), 300), 2)
    np.testing.assert_array_equal(other, np.concatenate([np.zeros((1, 300)), own[:-1]]))
    assert abs(own.mean() - 0.5) < 5 * 0.5 / np.sqrt(own.size)


def test_mean_reward_of_the_pool():
    """Renaming a player's actions leaves the pool as it is, so every joint action is equally likely in every round and
    the mean reward is the mean of the payoffs, (1 - 1 + 2 + 0) / 4.
    """
    joint = np.asarray(tabular.play(jax.random.key(4), prisoners_dilemma(30), 8000))
    rewards = np.array([1.0, -1.0, 2.0, 0.0])[joint].T
    assert_within_five_sigma(rewards.mean(1), 0.5)
    for j in range(4):
        assert_within_five_sigma((joint == j).T.astype(float), 0.25)


@pytest.mark.parametrize("game", [prisoners_dilemma(), THREE], ids=["dilemma", "three_actions"])
def test_act_agrees_with_memory1(game):
    batch = 200
    key = jax.random.key(6)
    tables = tabular.draw_tables(jax.random.fold_in(key, 0), game, batch)
    observation = jax.random.randint(jax.random.fold_in(key, 1), (batch,), 0, game.num_observations)
    draw = jax.random.fold_in(key, 2)
    players = Memory1(jnp.moveaxis(tables, -1, 0))
    expected = players.act(observation, draw)
    np.testing.assert_array_equal(tabular.act(tables, observation, jax.random.uniform(draw, (batch,))), expected)
    assert len(np.unique(expected)) == game.num_actions


def test_random_actions_are_uniform_whatever_was_seen():
    """Every joint action is equally likely after every other one."""
    count = 3000
    for game in (prisoners_dilemma(10), THREE):
        joint = np.asarray(tabular.play(jax.random.key(7), game, count, tabular.random_actions(game)))
        chance = 1 / game.num_joint
        for before in range(game.num_joint):
            after = joint[1:][joint[:-1] == before]
            for j in range(game.num_joint):
                assert abs((after == j).mean() - chance) < 5 * np.sqrt(chance / after.size)


def test_act_by_hand():
    tables = jnp.stack([jnp.array([[0.1, 0.9]] * 4 + [[0.8, 0.2]]), jnp.array([[0.6, 0.4]] * 5)], axis=-1)
    uniform = jnp.array([0.7, 0.7])
    np.testing.assert_array_equal(tabular.act(tables, jnp.array([4, 4]), uniform), [0, 1])
    np.testing.assert_array_equal(tabular.act(tables, jnp.array([0, 0]), jnp.array([0.05, 0.55])), [0, 0])
    np.testing.assert_array_equal(tabular.act(tables, jnp.array([3, 1]), jnp.array([0.15, 0.65])), [1, 1])


def test_every_entry_of_a_pool_is_equally_likely():
    count = 20_000
    game = prisoners_dilemma()
    pool = tabular.pool_of(("uniform", "tit_for_tat", "0.25,0.25,0.5,0.75,1"), game)
    cooperates = np.asarray(tabular.draw_tables(jax.random.key(0), game, count, pool))[:, 0]
    fixed = [np.all(cooperates == np.array(p)[:, None], axis=0) for p in ([1, 1, 0, 1, 0], [0.25, 0.25, 0.5, 0.75, 1])]
    for drawn in fixed:
        assert abs(drawn.mean() - 1 / 3) < 5 * np.sqrt(2 / 9 / count)
    fresh = cooperates[:, ~(fixed[0] | fixed[1])].T
    assert_within_five_sigma(fresh, 1 / 2)
    assert_within_five_sigma(fresh**2, 1 / 3)  # still uniform: not tied to the choice of the entry
    assert len(np.unique(fresh[:, 0])) > 0.99 * len(fresh)


@pytest.mark.parametrize(
    "entries", [(), ("tit_for_two",), ("0.5,0.5",), ("0.5,0.5,2,0.5,0.5",), ("uniform", ""), ("uniform", "uniform")]
)
def test_bad_pools_are_refused_on_one_line(entries):
    with pytest.raises(CoplayerError, match=r"^pool: ") as caught:
        tabular.pool_of(entries, prisoners_dilemma())
    assert "\n" not in str(caught.value)


def test_named_players_need_a_game_of_two_actions():
    with pytest.raises(CoplayerError, match=r"^pool: .*two actions"):
        tabular.pool_of(("tit_for_tat",), THREE)
    assert tabular.pool_of(("uniform",), THREE) == tabular.UNIFORM


def test_identity_by_hand():
    """log pi(a | o), observation by observation; a probability of 0 counts as the least one."""
    table = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5], [0, 1], [0.1, 0.9]])
    least = tabular.LEAST_PROBABILITY
    expected = np.log([0.25, 0.75, 1, least, 0.5, 0.5, least, 1, 0.1, 0.9])
    np.testing.assert_allclose(tabular.identity(jnp.asarray(table)[:, :, None])[:, 0], expected, rtol=1e-5, atol=1e-7)


def chance_of_answers(episode, n, table):
    """P(the co-player's actions) of a table, read in its own view; for None, of a uniformly random one: for each
    observation the Dirichlet integral (n - 1)! k_1! .. k_n! / (m + n - 1)!.
    """
    chance, counts, observation = 1.0, np.zeros((1 + n * n, n), int), 0
    for own, other in (divmod(joint, n) for joint in episode):
        counts[observation, other] += 1
        chance *= 1 if table is None else table[observation][other]
        observation = 1 + other * n + own
    if table is not None:
        return chance
    count = math.factorial
    return math.prod(count(n - 1) * math.prod(map(count, k)) / count(sum(k) + n - 1) for k in counts.tolist())


@pytest.mark.parametrize(
    ("game", "entries"),
    [
        (prisoners_dilemma(3), ("uniform",)),
        (prisoners_dilemma(3), ("uniform", "tit_for_tat", "0.9,0.2,0.6,0.3,0.7")),
        (prisoners_dilemma(3), ("0.4,0.2,0.6,0.3,0.7", "0.5,0.9,0.8,0.1,0.7")),
        (MatrixGame(np.zeros((3, 3)), rounds=2), ("uniform",)),
    ],
)
def test_the_predictive_against_the_probabilities_of_whole_episodes(game, entries):
    """Products over the rounds are the mixture of the entries' probabilities of all the answers together."""
    pool = tabular.pool_of(entries, game)
    n = game.num_actions
    episodes = list(itertools.product(range(n * n), repeat=game.rounds))
    tables = [None] * pool.fresh + list(pool.fixed)
    exact = [np.mean([chance_of_answers(episode, n, table) for table in tables]) for episode in episodes]
    joint = jnp.asarray(np.array(episodes).T)
    predicted = np.asarray(tabular.predictive(joint, game, pool))
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)
    answers = np.take_along_axis(predicted, np.asarray(joint % n)[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(answers.prod(0), exact, rtol=1e-4)


def test_rows_and_observations_are_those_of_a_player_at_the_table():
    game = prisoners_dilemma(3)
    joint = jnp.array([[1, 2], [2, 0], [3, 1]])
    seen = tabular.observations(joint, game)
    np.testing.assert_array_equal(seen, [[0, 0], [3, 2], [2, 1]])  # CD is DC to the co-player, and DC is CD
    tables = jnp.arange(20.0).reshape(5, 2, 2)
    rows = tabular.rows(tables, seen[1])
    np.testing.assert_array_equal(rows, np.stack([tables[3, :, 0], tables[2, :, 1]], axis=1))
