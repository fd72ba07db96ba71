import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from coplayer.errors import CoplayerError
from coplayer.games.matrix import START, MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.networks.layers import sample
from coplayer.networks.world_model import RoundModel, TokenModel
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import cooperation, named_strategy
from coplayer.players.planner import PlannerSettings, PPIPlayer, estimate_q, improved_policy, uniform_draws
from oracles import RoundOracle, TokenOracle, joint_distributions, with_random_weights

C, D = 0, 1
SWITCHES = list(itertools.product([False, True], repeat=2))  # expected rewards, common random numbers
STRATIFIED = [(False, False, 0.01, True), (True, True, 0.01, True)]  # the same, temperature, stratified
THREE_ACTIONS = MatrixGame(np.random.default_rng(3).normal(size=(2, 3, 3)), rounds=4)


class KnownCoPlayer(eqx.Module):
    """A world model that is exactly right about a memory-1 co-player; one's own prior is uniform. The state is the last
    observation.
    """

    table: jax.Array  # the co-player's [observation, action], in its own view
    game: MatrixGame = eqx.field(static=True)
    identity_size: int = eqx.field(static=True, default=0)
    gives_expected_rewards: bool = eqx.field(static=True, default=True)

    def initial_state(self, batch):
        return jnp.zeros((batch,), dtype=jnp.int32)

    def see(self, state, observation, reward, identity=None):
        return observation

    def action_logits(self, state):
        return jnp.zeros((self.game.num_actions, *state.shape))

    def replies(self, state):
        n = self.game.num_actions
        last = jnp.maximum(state - 1, 0)
        return self.table[jnp.where(state == 0, 0, 1 + (last % n) * n + last // n)].T

    def imagine(self, state, action, uniform):
        joint = action * self.game.num_actions + sample(self.replies(state), uniform)
        return joint + 1, jnp.asarray(self.game.tables[0], jnp.float32).reshape(-1)[joint]

    def expected_reward(self, state):
        return jnp.asarray(self.game.tables[0], jnp.float32) @ self.replies(state)

    def reply_logs(self, state, action):
        raise NotImplementedError

    def episode_loss(self, joint, reward, identity=None):
        raise NotImplementedError


RECIPROCATOR = np.array([[0.9, 0.1], [0.95, 0.05], [0.3, 0.7], [0.8, 0.2], [0.1, 0.9]])


def settings(
    rollouts, horizon, expected_rewards=False, common_random_numbers=False, temperature=0.01, stratified=False, **more
):
    return PlannerSettings(rollouts, horizon, temperature, expected_rewards, common_random_numbers, stratified, **more)


def estimates(model, state, settings, count, seed=0):
    """`count` independent estimates of Q, [count, action, batch]."""
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(estimate_many(model, state, keys, settings), dtype=np.float64)


@eqx.filter_jit
def estimate_many(model, state, keys, settings):
    return jax.vmap(lambda key: estimate_q(model, state, key, settings))(keys)


def assert_mean_within_five_sigma(draws, exact, one_round_less):
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert 5 * error.max() < 0.5 * np.ptp(exact, axis=0).max()  # fine enough to tell the actions apart,
    assert 5 * error.max() < np.abs(exact - one_round_less).max()  # and the horizons
    assert np.all(np.abs(draws.mean(0) - exact) < 5 * error + 1e-5)


def enumerated_q(oracle, state, action, horizon):
    """Q by the sum over every branch of the imagined tree."""
    total = 0.0
    for probability, reward, following in oracle.branches(state, action):
        later = 0.0
        if horizon > 1:
            for own, share in enumerate(oracle.prior(following)):
                later += share * enumerated_q(oracle, following, own, horizon - 1)
        total += probability * (reward + later)
    return total


@functools.cache
def model_and_states(kind, game):
    """A model whose prior and values depend on the history, the same as an oracle, and three of its states."""

    def build():
        key = jax.random.key(0)
        return RoundModel(game, 4, key=key) if kind == "round" else TokenModel(game, 4, 3, key=key)

    model = with_random_weights(build, 8)
    oracle = (RoundOracle if kind == "round" else TokenOracle)(model)
    start = oracle.start()
    return model, oracle, [start, oracle.after(start, 0, 1, -1.0), oracle.after(start, 1, 1, 0.5)]


@functools.cache
def exact_q(kind, game, horizon):
    _, oracle, states = model_and_states(kind, game)
    n = game.num_actions
    return np.array([[enumerated_q(oracle, state, a, horizon) for state in states] for a in range(n)])


@pytest.mark.parametrize(
    ("game", "switches"),
    [(prisoners_dilemma(), switches) for switches in SWITCHES + STRATIFIED]
    + [(THREE_ACTIONS, (False, False)), (THREE_ACTIONS, (True, True))],
)
def test_q_in_a_round_model_against_full_enumeration(game, switches):
    model, _, states = model_and_states("round", game)
    exact = exact_q("round", game, 3)
    q = estimates(model, jnp.asarray(states, jnp.float32), settings(32, 3, *switches), 200)
    assert_mean_within_five_sigma(q, exact, exact_q("round", game, 2))


@pytest.mark.parametrize("common_random_numbers", [False, True])
def test_q_in_a_token_model_against_full_enumeration(common_random_numbers):
    model, _, states = model_and_states("token", prisoners_dilemma())
    exact = exact_q("token", prisoners_dilemma(), 3)
    q = estimates(model, jnp.asarray(states, jnp.float32), settings(32, 3, False, common_random_numbers), 200)
    assert_mean_within_five_sigma(q, exact, exact_q("token", prisoners_dilemma(), 2))


def test_horizon_one_with_expected_rewards_is_exact():
    model, _, states = model_and_states("round", prisoners_dilemma())
    q = estimates(model, jnp.asarray(states, jnp.float32), settings(1, 1, True), 1)[0]
    np.testing.assert_allclose(q, exact_q("round", prisoners_dilemma(), 1), atol=1e-5)


def test_horizon_one_by_sampling_is_a_possible_reward():
    """One rollout of one round against the true game: the payoff of one of the two replies."""
    model = KnownCoPlayer(jnp.asarray(RECIPROCATOR, jnp.float32), prisoners_dilemma())
    q = estimates(model, jnp.zeros((4,), jnp.int32), settings(1, 1), 50)
    assert set(np.unique(q[:, C])) == {-1.0, 1.0}
    assert set(np.unique(q[:, D])) == {0.0, 2.0}


def known_q(table, payoffs, observation, action, horizon):
    """Exact Q against a memory-1 co-player: `action` first, then uniform play, as a Markov chain over joint actions."""
    n = table.shape[1]
    own, other = divmod(observation - 1, n)
    seen = 0 if observation == 0 else 1 + other * n + own
    forced, uniform = np.zeros((1 + n * n, n)), np.full((1 + n * n, n), 1 / n)
    forced[1:] = uniform[1:]
    forced[0, action] = 1.0
    begins_here = table.copy()  # the co-player's next reply, in the place of its reply to START
    begins_here[0] = table[seen]
    return (joint_distributions(forced, begins_here, horizon) @ payoffs.reshape(-1)).sum()


@pytest.mark.parametrize("switches", SWITCHES + STRATIFIED)
def test_q_against_a_known_co_player_over_the_papers_horizon(switches):
    game = prisoners_dilemma()
    model = KnownCoPlayer(jnp.asarray(RECIPROCATOR, jnp.float32), game)
    payoffs = game.tables[0]
    exact, one_round_less = (
        np.array([[known_q(RECIPROCATOR, payoffs, o, a, horizon) for o in range(5)] for a in range(2)])
        for horizon in (15, 14)
    )
    q = estimates(model, jnp.arange(5, dtype=jnp.int32), settings(100, 15, *switches), 150)
    assert_mean_within_five_sigma(q, exact, one_round_less)


def test_both_switches_lower_the_spread_of_the_difference():
    """Standard deviation of Q(D) - Q(C) from one pair of rollouts."""
    model = KnownCoPlayer(jnp.asarray(RECIPROCATOR, jnp.float32), prisoners_dilemma())
    spread = {}
    for switches in SWITCHES:
        q = estimates(model, jnp.zeros((1,), jnp.int32), settings(1, 15, *switches), 2000)
        spread[switches] = (q[:, D, 0] - q[:, C, 0]).std()
    # Each is known to 1 / sqrt(2 * 2000) = 1.6 %.
    assert spread[True, False] < 0.9 * spread[False, False]
    assert spread[False, True] < 0.9 * spread[False, False]
    assert spread[True, True] < 0.9 * min(spread[True, False], spread[False, True])


def test_each_switch_lowers_the_spread_in_a_round_model():
    """Each alone. Both together need not beat common random numbers alone. Expected rewards differ as soon as the two
    states do, while sampled ones may still be equal.
    """
    model, _, states = model_and_states("round", prisoners_dilemma())
    state = jnp.asarray(states[:1], jnp.float32)
    spread = {}
    for switches in SWITCHES:
        q = estimates(model, state, settings(1, 15, *switches), 2000)
        spread[switches] = (q[:, D, 0] - q[:, C, 0]).std()
    assert spread[True, False] < 0.9 * spread[False, False]
    assert spread[False, True] < 0.9 * spread[False, False]


def test_more_rollouts_average_independent_draws():
    model = KnownCoPlayer(jnp.asarray(RECIPROCATOR, jnp.float32), prisoners_dilemma())
    one = estimates(model, jnp.zeros((1,), jnp.int32), settings(1, 15), 2000).std(0)
    sixteen = estimates(model, jnp.zeros((1,), jnp.int32), settings(16, 15), 500).std(0)
    np.testing.assert_allclose(sixteen, one / 4, rtol=0.2)


def test_stratified_draws_fall_in_every_interval_once():
    draws = np.asarray(uniform_draws(jax.random.key(0), (2, 12, 300), stratified=True))
    assert draws.shape == (2, 2, 12, 300) and draws.min() >= 0 and draws.max() < 1
    intervals = np.floor(draws * 12).astype(int)
    np.testing.assert_array_equal(np.sort(intervals, axis=2), np.broadcast_to(np.arange(12)[:, None], draws.shape))
    place = (draws * 12) % 1  # one for a decision, another for each decision, set and use
    np.testing.assert_allclose(place, np.broadcast_to(place[:, :, :1], place.shape), atol=1e-5)
    assert len(np.unique(place[:, :, 0].round(4))) > 1100


def test_the_stratified_draws_of_one_rollout_are_independent():
    """Of two imagined rounds, and of own action and reply: the cells of a 4 x 4 grid by chi-square."""
    keys = jax.random.split(jax.random.key(1), 4000)
    drawn = jax.vmap(lambda key: uniform_draws(key, (1, 4, 1), stratified=True))(keys)
    one = np.asarray(drawn)[..., 0]  # [key, use, set, rollout]
    pairs = [(one[:, 0, 0, 2], one[:, 1, 0, 2]), (one[:-1, 0, 0, 2], one[1:, 0, 0, 2])]
    for first, second in pairs:
        cells = np.histogram2d(first, second, bins=4, range=[[0, 1], [0, 1]])[0]
        assert chisquare(cells.reshape(-1)).pvalue > 1e-4


@pytest.mark.parametrize("kind", ["round", "token"])
def test_stratified_draws_lower_the_spread_of_the_difference(kind):
    model, _, states = model_and_states(kind, prisoners_dilemma())
    spread = {}
    for stratified in (False, True):
        q = estimates(
            model, jnp.asarray(states, jnp.float32), settings(12, 15, False, True, stratified=stratified), 2000
        )
        spread[stratified] = np.sqrt((q[:, D] - q[:, C]).var(0).mean())
    assert spread[True] < 0.9 * spread[False]


def test_states_of_a_batch_are_planned_for_independently():
    model = KnownCoPlayer(jnp.asarray(RECIPROCATOR, jnp.float32), prisoners_dilemma())
    q = estimates(model, jnp.zeros((2,), jnp.int32), settings(1, 15, False, True), 2000)
    assert abs(np.corrcoef(q[:, C, 0], q[:, C, 1])[0, 1]) < 5 / np.sqrt(2000)


def test_open_choices_are_looked_at_once_more():
    """Two of eight decisions are open. Their Q is the mean over the first and the further rollouts; all others keep
    theirs.
    """
    model, _, states = model_and_states("round", prisoners_dilemma())
    states = jnp.asarray(np.tile(states, (8, 1))[:8], jnp.float32)
    key, twice = jax.random.key(4), settings(3, 15, open_rollouts=5)
    first = np.asarray(estimate_q(model, states, key, settings(3, 15)))
    found = np.asarray(estimate_q(model, states, key, twice))
    at = np.flatnonzero((found != first).any(0))
    assert len(at) == 2
    further = jax.random.fold_in(key, 15)
    expected = [
        (3 * first[:, order] + 5 * np.asarray(estimate_q(model, states[order], further, settings(5, 15)))) / 8
        for order in (at, at[::-1])
    ]
    assert any(np.allclose(found[:, order], q, atol=1e-5) for order, q in zip((at, at[::-1]), expected, strict=True))
    assert twice.rollouts_alone == 8


@pytest.mark.parametrize("game", [prisoners_dilemma(), pytest.param(THREE_ACTIONS, marks=pytest.mark.long)])
def test_further_rollouts_for_open_choices_lose_less_than_as_many_everywhere(game):
    """Four rollouts, and twelve more in a quarter of the decisions, against seven everywhere: as many in all. What is
    lost is the best action's Q less that of the action that was found best.
    """
    model = model_and_states("round", game)[0]
    states = 3 * jax.random.normal(jax.random.key(1), (60, 4))
    exact = np.asarray(estimate_q(model, states, jax.random.key(9), settings(500, 15, True)))
    lost = {}
    for name, how in (("open", settings(4, 15, True, open_rollouts=12)), ("everywhere", settings(7, 15, True))):
        q = estimates(model, states, how, 60)
        best = q.argmax(1)
        lost[name] = (exact.max(0) - np.take_along_axis(exact, best, axis=0)).mean()
    assert lost["open"] < 0.75 * lost["everywhere"]


# --- the improved policy ---


@pytest.mark.parametrize("temperature", [1e-2, 0.7, 5.0, 1e6])
@pytest.mark.parametrize("n", [2, 3])
def test_improved_policy_against_its_definition(n, temperature):
    rng = np.random.default_rng(n)
    logits, q = 2 * rng.normal(size=(n, 50)), rng.normal(size=(n, 50))
    prior = np.exp(logits) / np.exp(logits).sum(0)
    weights = prior * np.exp((q - q.max(0)) / temperature)
    expected = weights / weights.sum(0)
    logs = np.asarray(improved_policy(jnp.asarray(logits, jnp.float32), jnp.asarray(q, jnp.float32), temperature))
    np.testing.assert_allclose(np.exp(logs), expected, atol=5e-5)
    np.testing.assert_allclose(np.exp(logs).sum(0), 1, rtol=1e-5)


def test_improved_policy_by_hand():
    """Prior (3/4, 1/4), Q(D) - Q(C) = ln 6: weights 3 and 6."""
    logs = improved_policy(jnp.log(jnp.array([[3.0], [1.0]])), jnp.array([[0.0], [np.log(6.0)]]), 1.0)
    np.testing.assert_allclose(np.exp(logs)[:, 0], [1 / 3, 2 / 3], rtol=1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1e-6, 1e-20, 1e-30])
def test_a_small_temperature_is_greedy_without_nan(temperature):
    logits = jnp.array([[5.0, -5.0, 0.0], [-5.0, 5.0, 0.0]])
    q = jnp.array([[-14.0, 3.0, 1.0], [-15.0, 2.0, 30.0]])
    policy = np.exp(improved_policy(logits, q, temperature))
    np.testing.assert_allclose(policy, [[1, 1, 0], [0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 1e-2, 1e-4, 1e-6, 1e-20])
def test_actions_of_equal_value_keep_their_prior(temperature):
    """At any temperature: only differences of Q matter."""
    prior = np.array([0.8, 0.2])
    logits = jnp.asarray(np.log(prior), jnp.float32)[:, None]
    policy = np.exp(improved_policy(logits, jnp.full((2, 1), 13.7), temperature))
    np.testing.assert_allclose(policy[:, 0], prior, rtol=1e-3)


def test_an_action_the_prior_excludes_is_never_played():
    logits = jnp.array([[-jnp.inf], [0.0]])
    np.testing.assert_allclose(np.exp(improved_policy(logits, jnp.array([[1.0], [0.0]]), 0.01)), [[0], [1]])


# --- the player ---


@eqx.filter_jit
def first_actions(player, count, key):
    """What the player does in the first round of `count` episodes."""
    return player.act(player.begin(key, count), jnp.full((count,), START), key)[1]


def test_a_player_plays_the_improved_policy():
    """With horizon 1 and expected rewards Q is exact, and so is the share of cooperation."""
    model = KnownCoPlayer(jnp.asarray(RECIPROCATOR, jnp.float32), prisoners_dilemma())
    player = PPIPlayer(model, settings(1, 1, True, True, temperature=1.5))
    count = 20_000
    played = np.asarray(first_actions(player, count, jax.random.key(0)))
    # against .9 cooperation: Q(C) = .8, Q(D) = 1.8; uniform prior
    p = 1 / (1 + np.exp(1.0 / 1.5))
    assert abs((played == C).mean() - p) < 5 * np.sqrt(p * (1 - p) / count)


def test_a_patient_player_cooperates_with_a_reciprocator_and_a_myopic_one_defects():
    """Exact values with the prior uniform: the forced action is answered once, then forgotten behind uniform play."""
    table = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])  # tit-for-tat
    model = KnownCoPlayer(jnp.asarray(table, jnp.float32), MatrixGame([[2.0, -1.0], [2.5, 0.0]]))
    payoffs = model.game.tables[0]
    gain = [known_q(table, payoffs, 0, D, h) - known_q(table, payoffs, 0, C, h) for h in (1, 15)]
    assert gain[0] > 0.4
    assert gain[1] < -0.4
    for horizon, action in ((1, D), (15, C)):
        player = PPIPlayer(model, settings(400, horizon, True, True))
        np.testing.assert_array_equal(first_actions(player, 8, jax.random.key(1)), [action] * 8)


def see_one_round(player, joint, batch=2):
    """The player's state where it acts for the second time, after one round of these joint actions."""
    before = player.see(player.begin(jax.random.key(0), batch), jnp.full((batch,), START))
    return player.see(before, 1 + jnp.asarray(joint))


def test_a_player_remembers_what_its_model_sees():
    model, oracle, _ = model_and_states("token", prisoners_dilemma())
    player = PPIPlayer(model, settings(1, 1))
    state = see_one_round(player, [1, 2])
    expected = [oracle.after(oracle.start(), 0, 1, -1.0), oracle.after(oracle.start(), 1, 0, 2.0)]
    np.testing.assert_allclose(state, expected, atol=1e-5)


def test_the_state_after_acting_is_the_one_in_which_the_player_planned():
    model, _, _ = model_and_states("token", prisoners_dilemma())
    player = PPIPlayer(model, settings(2, 3))
    before = player.begin(jax.random.key(0), 2)
    observation = jnp.full((2,), START)
    state, actions, notes = player.act(before, observation, jax.random.key(1))
    np.testing.assert_array_equal(state, player.see(before, observation))
    assert actions.shape == (2,) and notes is None and not player.takes_uniforms


def test_in_the_second_seat_a_player_is_told_the_rewards_of_that_seat():
    game = MatrixGame([[[1.0, -1.0], [2.0, 0.0]], [[5.0, 6.0], [7.0, 8.0]]])
    model, oracle, _ = model_and_states("token", game)
    first = PPIPlayer(model, settings(1, 1))
    seen = jnp.array([START, 1, 2, 3, 4])
    for player, rewards in ((first, [0, 1, -1, 2, 0]), (first.in_seat(0), [0, 1, -1, 2, 0])):
        np.testing.assert_array_equal(player.rewards(seen), rewards)
    second = first.in_seat(1)
    np.testing.assert_array_equal(second.rewards(seen), [0, 5, 6, 7, 8])
    expected = [oracle.after(oracle.start(), 0, 1, 6.0), oracle.after(oracle.start(), 1, 0, 7.0)]
    np.testing.assert_allclose(see_one_round(second, [1, 2]), expected, atol=1e-5)


def test_a_player_who_is_told_its_co_player_sees_the_name_and_keeps_its_seat():
    def build():
        return TokenModel(prisoners_dilemma(), 4, 3, identity_size=10, key=jax.random.key(0))

    model = with_random_weights(build, 8)
    oracle, tables = TokenOracle(model), np.random.default_rng(2).uniform(0.1, 0.9, size=(2, 5))
    names = np.log(np.stack([tables, 1 - tables], axis=-1)).reshape(2, 10)
    player = PPIPlayer(model, settings(1, 1), payoffs=jnp.array([4.0, 3.0, 2.0, 1.0]))
    told = player.told(cooperation(tables).probabilities)
    starts = [oracle.start(name) for name in names]
    expected = [oracle.after(starts[0], 0, 0, 4.0), oracle.after(starts[1], 1, 1, 1.0)]
    np.testing.assert_allclose(see_one_round(told, [0, 3]), expected, atol=1e-5)
    expected = [oracle.after(oracle.start(), 0, 0, 4.0), oracle.after(oracle.start(), 1, 1, 1.0)]
    np.testing.assert_allclose(see_one_round(player, [0, 3]), expected, atol=1e-5)
    plain = PPIPlayer(model_and_states("token", prisoners_dilemma())[0], settings(1, 1))
    assert plain.told(cooperation(tables).probabilities) is plain


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (THREE_ACTIONS, "player 1: its model is made for 2 actions, this game has 3"),
        (MatrixGame((3.0, 0.0, 5.0, 1.0)), "player 1: its model was fitted to a game of other payoffs"),
        (PublicGoods(), "player 1: a planner needs a matrix game"),
    ],
)
def test_a_game_that_the_model_does_not_know_is_refused(game, message):
    player = PPIPlayer(model_and_states("round", prisoners_dilemma())[0], settings(1, 1))
    with pytest.raises(CoplayerError, match=message):
        play_match((player,) * game.num_players, game, jax.random.key(0))


def test_a_player_plays_episodes_of_another_length_and_from_both_seats():
    game = MatrixGame([[[1.0, -1.0], [2.0, 0.0]], [[5.0, 6.0], [7.0, 8.0]]], rounds=4)
    model = with_random_weights(lambda: RoundModel(game, 4, key=jax.random.key(0)), 8)
    player, other = PPIPlayer(model, settings(1, 1, True)), named_strategy("tit_for_tat")
    for seats in (game, MatrixGame(game.tables, rounds=3), game.seen_by(1)):
        assert play_match((player, other), seats, jax.random.key(0), episodes=2).joint.shape == (seats.rounds, 2)


def test_a_model_that_gives_no_expected_rewards_is_not_asked_for_them():
    player = PPIPlayer(model_and_states("token", prisoners_dilemma())[0], settings(1, 1, True))
    with pytest.raises(CoplayerError, match="expected_rewards: a TokenModel cannot give them; use a RoundModel"):
        first_actions(player, 2, jax.random.key(0))
