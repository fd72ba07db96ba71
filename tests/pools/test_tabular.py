"""The tabular pool: laws of what is drawn and played, by exact probabilities; pools in words."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.play.trajectory import observations
from coplayer.pools import tabular
from state_games import Carousel, Commons

GAME = prisoners_dilemma()
THREE = MatrixGame([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], rounds=3)


class Duel(Carousel):
    """The carousel for two."""

    num_players = 2


def assert_within_five_sigma(draws, exact):
    """`draws` [many, ...] are independent along the first axis."""
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - exact) < 5 * error)


@pytest.mark.parametrize("n", [2, 3])
def test_drawn_tables_are_uniform_on_the_simplex(n):
    """Dirichlet(1, .., 1): mean 1/n, second moments (1 + [a = b]) / (n (n + 1)). Marginal CDF: 1 - (1 - x)^(n - 1)."""
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
    """P(one episode) when both tables are uniform and unknown, by Laplace's rule of succession. An action that was
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

    joint = np.asarray(tabular.play(jax.random.key(2), game, count).joint)
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
    own, other = np.divmod(tabular.play(jax.random.key(5), prisoners_dilemma(10), 300).joint, 2)
    np.testing.assert_array_equal(other, np.concatenate([np.zeros((1, 300)), own[:-1]]))
    assert abs(own.mean() - 0.5) < 5 * 0.5 / np.sqrt(own.size)


def test_mean_reward_of_the_pool():
    """Renaming a player's actions leaves the pool as it is, so every joint action is equally likely in every round. The
    mean reward is then the mean of the payoffs, (1 - 1 + 2 + 0) / 4.
    """
    joint = np.asarray(tabular.play(jax.random.key(4), prisoners_dilemma(30), 8000).joint)
    rewards = np.array([1.0, -1.0, 2.0, 0.0])[joint].T
    assert_within_five_sigma(rewards.mean(1), 0.5)
    for j in range(4):
        assert_within_five_sigma((joint == j).T.astype(float), 0.25)


def test_random_actions_are_uniform_whatever_was_seen():
    """Every joint action is equally likely after every other one."""
    count = 3000
    for game in (prisoners_dilemma(10), THREE):
        joint = np.asarray(tabular.play(jax.random.key(7), game, count, tabular.random_actions(game)).joint)
        chance = 1 / game.num_joint
        for before in range(game.num_joint):
            after = joint[1:][joint[:-1] == before]
            for j in range(game.num_joint):
                assert abs((after == j).mean() - chance) < 5 * np.sqrt(chance / after.size)


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


@pytest.mark.parametrize("entry", ["always_cooperate", "1,1,0,1,0"])
def test_named_players_need_a_game_whose_first_action_cooperates(entry):
    """In words action 0 cooperates; where the game says that action 1 does, the word would be false."""
    with pytest.raises(CoplayerError, match=r"^pool: .*of which action 0 cooperates"):
        tabular.pool_of((entry,), MatrixGame((0, 2, -1, 1), cooperation=1))
    assert tabular.pool_of(("uniform", "random"), MatrixGame((0, 2, -1, 1), cooperation=1)).fresh


def chance_of_answers(episode, n, table):
    """P(the co-player's actions) of a table, read in its own view; for None, of a uniformly random one. Each
    observation then gives the Dirichlet integral (n - 1)! k_1! .. k_n! / (m + n - 1)!.
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


def test_what_the_predictive_takes_for_observed_is_what_a_player_at_the_table_sees():
    game = prisoners_dilemma(3)
    joint = jnp.array([[1, 2], [2, 0], [3, 1]])
    seen = observations(game.swap(joint), game.rounds)
    np.testing.assert_array_equal(seen, [[0, 0], [3, 2], [2, 1]])  # CD is DC to the co-player, and DC is CD


def test_the_second_players_of_a_batch_can_be_had_apart():
    """The tables that `play` gave the second players: forced answers tell them."""
    game, pool, key = (
        prisoners_dilemma(6),
        tabular.pool_of(("always_defect", "always_cooperate"), GAME),
        jax.random.key(3),
    )
    own, other = np.divmod(np.asarray(tabular.play(key, game, 50, pool).joint), 2)
    tables = np.asarray(tabular.opponents(key, game, 50, pool))
    np.testing.assert_array_equal(other, np.broadcast_to(tables[0, 1], (6, 50)))
    assert 0 < tables[0, 1].mean() < 1 and (own[0] != other[0]).any()


@pytest.mark.parametrize("game", [PublicGoods(2, 1.6, 5), Duel()], ids=["goods", "carousel"])
def test_a_pool_plays_any_game_of_two_whose_observations_are_symbols(game):
    """The course of each episode, from both players' tables and the actions that were taken."""
    key, count = jax.random.key(8), 300
    trajectory = tabular.play(key, game, count)
    assert tabular.has_tables(game)
    views = [trajectory.view(player) for player in range(2)]
    first = tabular.draw_tables(jax.random.fold_in(key, 0), game, count)
    numbers = np.asarray(jax.random.uniform(jax.random.fold_in(key, 2), (game.rounds, 2, count)))
    for k, (view, tables) in enumerate(zip(views, (first, tabular.opponents(key, game, count)), strict=True)):
        seen, tables = np.asarray(view.observations), np.asarray(tables, float)
        assert seen.shape == (game.rounds, count) and seen.max() < game.observation_space.size
        for t in range(game.rounds):
            chances = np.cumsum(tables[seen[t], :, np.arange(count)], axis=1)[:, :-1]
            np.testing.assert_array_equal(view.actions[t], (numbers[t, k][:, None] >= chances).sum(1))


def test_random_actions_in_any_game_of_symbols():
    for game in (PublicGoods(2), Carousel()):
        pool = tabular.random_actions(game)
        assert not pool.fresh and np.shape(pool.fixed) == (1, game.observation_space.size, game.num_actions)
        np.testing.assert_allclose(pool.fixed, 1 / game.num_actions)
        assert tabular.pool_of(("random",), game) == pool
        assert tabular.pool_of(("uniform", "random"), game) == pool._replace(fresh=True)


def test_pools_and_games_that_do_not_fit_are_refused():
    assert not tabular.has_tables(Commons())
    with pytest.raises(CoplayerError, match=r"^pool: strangers need a game whose observations are symbols"):
        tabular.pool_of(("uniform",), Commons())
    for entry in ("tit_for_tat", "1,1,0,1,0"):
        with pytest.raises(CoplayerError, match=r"^pool: .* needs a matrix game of two actions"):
            tabular.pool_of((entry,), PublicGoods(2))


def test_a_trembling_hand_takes_each_other_action_equally_often():
    three = MatrixGame(np.arange(9).reshape(3, 3).tolist(), rounds=3)
    steady, noisy = (
        tabular.draw_tables(
            jax.random.key(3), three, 7, tabular.pool_of(("uniform", "random"), three)._replace(noise=p)
        )
        for p in (0.0, 0.2)
    )
    slips = np.full((3, 3), 0.1) + np.diag([0.7] * 3)  # from the action chosen to the action taken
    np.testing.assert_allclose(noisy, np.einsum("oab,ac->ocb", steady, slips), atol=1e-6)


def test_what_a_noisy_pool_predicts_is_not_known():
    with pytest.raises(CoplayerError, match="pool_noise"):
        tabular.predictive(jnp.zeros((GAME.rounds, 1), int), GAME, tabular.UNIFORM._replace(noise=0.1))
