"""The recursions against literal sums, and against the exact shaping gradient of memory-1 players. Their gradients, and
that of a network's whole training, against the enumeration of every course of short games in which the co-player
learns.
"""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coplayer.analysis.exact import mean_rewards
from coplayer.errors import CoplayerError
from coplayer.experiments import coala_ipd
from coplayer.experiments.axes import LEARNERS
from coplayer.games.game import Symbol
from coplayer.games.matrix import START, MatrixGame, observe, prisoners_dilemma
from coplayer.learning import coala, exact_gradients, optimisation
from coplayer.learning.estimators import ESTIMATORS as METHODS
from coplayer.learning.returns import generalised_advantages, lambda_returns
from coplayer.play.player import Player, uniform
from coplayer.players.memory1 import Memory1
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import shaping
from coplayer.settings import adjust
from oracles import softmax, with_random_weights
from tiny import TINY_COALA

EPISODES, ROUNDS, BATCH = 3, 4, 5
STEPS = EPISODES * ROUNDS
ESTIMATORS = {"COALA": coala.COALA, "M-FOS": coala.M_FOS, "batch-unaware": coala.BATCH_UNAWARE}
OTHER_SWITCHES = coala.Switches(average_future_episodes=False, normalize_current_episode=True)

every_estimator = pytest.mark.parametrize("switches", ESTIMATORS.values(), ids=ESTIMATORS)


def example(seed):
    """rewards [time, batch], values [time, batch], final value [batch]."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape) for shape in ((STEPS, BATCH), (STEPS, BATCH), (BATCH,)))


def as_jax(arrays):
    return tuple(map(jnp.asarray, arrays))


def algorithm_one(rewards, values, final, gamma, lambda_, switches):
    """The printed loop, one game and one step at a time."""
    steps, batch = rewards.shape
    norm = batch if switches.normalize_current_episode else 1
    values = np.concatenate([values, final[None]])
    own, mean, out = [float(x) for x in final], final.mean(), np.zeros(rewards.shape)
    for t in reversed(range(steps)):
        following = 0.0
        for b in range(batch):
            if switches.average_future_episodes and t % ROUNDS == ROUNDS - 1:
                own[b] = mean
            own[b] = rewards[t, b] / norm + gamma * ((1 - lambda_) * values[t + 1, b] + lambda_ * own[b])
            following += rewards[t, b] + gamma * ((1 - lambda_) * values[t + 1, b] + lambda_ * mean)
            out[t, b] = own[b]
        mean = following / batch
    return out


def parts_by_sums(errors, decay, switches):
    """(current, future) weights of `errors` by triple sums, no recursion."""
    steps, batch = errors.shape
    current, future = np.zeros(errors.shape), np.zeros(errors.shape)
    for t, b in np.ndindex(steps, batch):
        end = (t // ROUNDS + 1) * ROUNDS
        for k in range(t, steps):
            for other in range(batch):
                share = float(other == b)
                if k < end and switches.normalize_current_episode:
                    share /= batch
                if k >= end and switches.average_future_episodes:
                    share = 1 / batch
                part = current if k < end else future
                part[t, b] += share * decay ** (k - t) * errors[k, other]
    return current, future


@every_estimator
@pytest.mark.parametrize(("gamma", "lambda_"), [(0.9, 0.7), (1.0, 1.0), (0.5, 0.0)])
def test_batch_lambda_returns_against_the_printed_loop(switches, gamma, lambda_):
    given = example(0)
    settings = {"episode_length": ROUNDS, "gamma": gamma, "lambda_": lambda_, "switches": switches}
    ours = coala.batch_lambda_returns(*as_jax(given), **settings)
    np.testing.assert_allclose(ours, algorithm_one(*given, gamma, lambda_, switches), atol=1e-5)


def test_every_pair_of_switches_is_taken_apart():
    given = example(1)
    settings = {"episode_length": ROUNDS, "gamma": 0.9, "lambda_": 0.7}
    estimators = [*ESTIMATORS.values(), OTHER_SWITCHES]
    ours = [np.asarray(coala.batch_lambda_returns(*as_jax(given), **settings, switches=e)) for e in estimators]
    for one, two in itertools.combinations(ours, 2):
        assert np.abs(one - two).max() > 0.1
    np.testing.assert_allclose(ours[-1], algorithm_one(*given, 0.9, 0.7, OTHER_SWITCHES), atol=1e-5)


@every_estimator
@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 1.0), (0.9, 0.7)])
def test_advantages_and_their_parts_against_triple_sums(switches, gamma, gae_lambda):
    rewards, values, final = example(2)
    errors = rewards + gamma * np.concatenate([values[1:], final[None]]) - values
    current, future = parts_by_sums(errors, gamma * gae_lambda, switches)
    settings = {"episode_length": ROUNDS, "gamma": gamma, "gae_lambda": gae_lambda, "switches": switches}
    given = as_jax((rewards, values, final))
    np.testing.assert_allclose(coala.advantages(*given, **settings), current + future, atol=1e-5)
    parts = coala.advantage_parts(*given, **settings)
    np.testing.assert_allclose(parts.current, current, atol=1e-5)
    np.testing.assert_allclose(parts.future, future, atol=1e-5)


def test_coala_weights_are_those_of_the_theorem():
    rewards, zeros = example(3)[0], np.zeros((STEPS, BATCH))
    ours = coala.advantages(
        *as_jax((rewards, zeros, zeros[0])), episode_length=ROUNDS, gamma=1.0, gae_lambda=1.0, switches=coala.COALA
    )
    for t, b in np.ndindex(STEPS, BATCH):
        end = (t // ROUNDS + 1) * ROUNDS
        expected = sum(rewards[k, b] for k in range(t, end)) / BATCH
        expected += sum(rewards[k, other] for k in range(end, STEPS) for other in range(BATCH)) / BATCH
        assert ours[t, b] == pytest.approx(expected, abs=1e-5)


def test_batch_unaware_is_the_plain_estimator_of_each_game():
    given = as_jax(example(4))
    ours = coala.advantages(*given, episode_length=ROUNDS, gamma=0.9, gae_lambda=0.7, switches=coala.BATCH_UNAWARE)
    np.testing.assert_array_equal(ours, generalised_advantages(*given, gamma=0.9, lambda_=0.7))
    targets = coala.value_targets(*given, gamma=0.9, td_lambda=0.6)
    np.testing.assert_array_equal(targets, lambda_returns(*given, gamma=0.9, lambda_=0.6))


@every_estimator
def test_a_batch_of_one_makes_all_estimators_the_same(switches):
    given = [array[..., :1] for array in as_jax(example(5))]
    ours = coala.advantages(*given, episode_length=ROUNDS, gamma=0.9, gae_lambda=0.7, switches=switches)
    np.testing.assert_allclose(ours, generalised_advantages(*given, gamma=0.9, lambda_=0.7), atol=1e-5)
    assert coala.policy_scale(switches, 1) == 1


@every_estimator
def test_a_single_inner_episode_weighs_the_same_in_all_estimators(switches):
    """As against a meta co-player, whose part of the gradient is added to it, and beside an entropy bonus."""
    given = as_jax(example(8))
    ours = coala.advantages(*given, episode_length=len(given[0]), gamma=0.9, gae_lambda=0.7, switches=switches)
    scale = coala.policy_scale(switches, given[0].shape[1])
    np.testing.assert_allclose(scale * ours, generalised_advantages(*given, gamma=0.9, lambda_=0.7), atol=1e-5)


@every_estimator
def test_replicas_never_mix(switches):
    """Under vmap each replica's advantages are what it has alone."""

    def of(*given):
        return coala.advantages(*given, episode_length=ROUNDS, gamma=0.9, gae_lambda=1.0, switches=switches)

    replicas = [as_jax(example(seed)) for seed in (6, 7)]
    together = jax.vmap(of)(*(jnp.stack(both) for both in zip(*replicas, strict=True)))
    for ours, given in zip(together, replicas, strict=True):
        np.testing.assert_allclose(ours, of(*given), atol=1e-6)


@pytest.mark.parametrize("length", [0, 5, 24])
def test_the_episode_length_must_divide_the_steps(length):
    with pytest.raises(CoplayerError, match=f"episode_length: must divide the 12 steps .*, got {length}"):
        coala.advantages(*as_jax(example(0)), episode_length=length, gamma=1.0, gae_lambda=1.0, switches=coala.COALA)


# Short games against a co-player that learns, every course of which is enumerated, in float64.

PAYOFFS = np.array([[1.0, -1.0], [2.0, 0.3]])
THEIRS = np.array([[2.0, -1.0], [-1.5, 1.2]])  # [own, other], the co-player's reward: it should do as the agent does
FIRST_LOGIT = 0.4  # of the co-player's action 0, whatever it sees


class Courses:
    """Every course of B games of M inner episodes of T rounds. The co-player plays action 0 with probability
    logistic(phi). After each inner episode it makes one REINFORCE step on its B trajectories:

        phi <- phi + rate / B sum_b sum_t (1[action 0] - logistic(phi)) (sum of its later rewards in the episode)
    """

    def __init__(self, rounds, episodes, batch, rate):
        self.rounds, self.batch, steps = rounds, batch, rounds * episodes
        joint = np.array(list(itertools.product(range(4), repeat=steps * batch)))
        self.joint = joint.reshape(-1, steps, batch)  # [course, time, batch]
        self.rewards = PAYOFFS.ravel()[self.joint]
        theirs, first = THEIRS.ravel()[self.joint], (self.joint % 2 == 0)
        phi, self.chance = np.full(len(joint), FIRST_LOGIT), np.ones(len(joint))  # of the co-player's actions
        for start in range(0, steps, rounds):
            p, now = 1 / (1 + np.exp(-phi)), slice(start, start + rounds)
            self.chance *= np.where(first[:, now], p[:, None, None], 1 - p[:, None, None]).prod((1, 2))
            later = theirs[:, now][:, ::-1].cumsum(1)[:, ::-1]
            phi = phi + rate * ((first[:, now] - p[:, None, None]) * later).sum((1, 2)) / batch
        # A history is a number: base 4 digits behind a leading 1.
        self.history, seen = np.zeros_like(self.joint), np.ones_like(self.joint[:, 0])
        for t in range(steps):
            self.history[:, t] = seen
            seen = 4 * seen + self.joint[:, t]
        self.histories = 2 * 4 ** (steps - 1)

    def log_probabilities(self, table):
        """[course, time, batch] of the meta agent's actions, from `table` [history, action]."""
        logs = jax.nn.log_softmax(table)
        return logs[self.history, self.joint // 2]

    def objective(self, table):
        """E[1/B sum_b sum_l r_l^b], by the probabilities of the courses themselves."""
        own = jnp.exp(self.log_probabilities(table).sum((1, 2)))
        return (own * self.chance * self.rewards.sum(1).mean(1)).sum()

    def expected_estimate(self, table, values, switches):
        """E[scale mean_b sum_l grad log pi A], the mean over all courses; `values` [history]."""
        chance = np.exp(self.log_probabilities(table).sum((1, 2))) * self.chance
        assert chance.sum() == pytest.approx(1, abs=1e-12)
        settings = {"episode_length": self.rounds, "gamma": 1.0, "gae_lambda": 1.0, "switches": switches}
        given = jnp.asarray(self.rewards), jnp.asarray(values[self.history]), jnp.zeros((len(chance), self.batch))
        weights = jax.vmap(lambda *one: coala.advantages(*one, **settings))(*given)
        scale = coala.policy_scale(switches, self.batch)

        def surrogate(table):
            per_course = scale * (self.log_probabilities(table) * weights).sum(1).mean(1)
            return (chance * per_course).sum()

        return np.asarray(jax.grad(surrogate)(table))


def alignment(one, two):
    return (one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum())


@pytest.mark.parametrize(
    ("rounds", "episodes", "batch", "critic"),
    [(1, 2, 2, False), (1, 3, 2, True), (1, 2, 3, True), (2, 2, 2, True)],
)
def test_coala_alone_is_unbiased_against_a_co_player_that_learns(rounds, episodes, batch, critic):
    """Theorem 3.1, to float64's accuracy; and with a value that is any function of the history, it stays so."""
    with jax.enable_x64(True):
        courses = Courses(rounds, episodes, batch, rate=6.0)
        rng = np.random.default_rng(0)
        table = jnp.asarray(rng.normal(size=(courses.histories, 2)))
        values = rng.normal(size=courses.histories) * critic
        exact = np.asarray(jax.grad(courses.objective)(table))
        found = {name: courses.expected_estimate(table, values, e) for name, e in ESTIMATORS.items()}
    np.testing.assert_allclose(found["COALA"], exact, atol=1e-12)
    for name in ("M-FOS", "batch-unaware"):
        assert np.linalg.norm(found[name] - exact) > 0.5 * np.linalg.norm(exact)
        assert alignment(found[name], exact) < 0.9  # not a matter of scale either


@every_estimator
def test_batch_unaware_is_unbiased_where_the_co_player_stands_still(switches):
    """COALA too, there; M-FOS weighs the current episode B times."""
    with jax.enable_x64(True):
        courses = Courses(1, 2, 2, rate=0.0)
        rng = np.random.default_rng(1)
        table, values = jnp.asarray(rng.normal(size=(courses.histories, 2))), rng.normal(size=courses.histories)
        exact = np.asarray(jax.grad(courses.objective)(table))
        found = courses.expected_estimate(table, values, switches)
    if switches == coala.M_FOS:
        assert np.linalg.norm(found - exact) > 0.1 * np.linalg.norm(exact)
    else:
        np.testing.assert_allclose(found, exact, atol=1e-12)


def test_the_enumerated_co_player_by_hand():
    """One course: both games C against C, then the co-player's step, then the chance of what it does next."""
    courses = Courses(1, 2, 2, rate=1.5)
    p = softmax(np.array([FIRST_LOGIT, 0.0]))[0]
    at = 0b0000_0001  # joint actions (0, 0) first, (0, 1) second
    np.testing.assert_array_equal(courses.joint[at], [[0, 0], [0, 1]])
    after = softmax(np.array([FIRST_LOGIT + 1.5 * 2.0 * (1 - p), 0.0]))[0]
    assert courses.chance[at] == pytest.approx(p**2 * after * (1 - after))


# The same courses, sampled, for networks that are trained on them as in the experiment.

TRAINING = adjust(
    TINY_COALA,
    game=MatrixGame([PAYOFFS, THEIRS.T], rounds=2),
    inner_episodes=2,
    replicas=4096,
    naive_share=1.0,
    meta_agents=3,
    methods=tuple(METHODS),
    minibatches=1,
    epochs=1,
    value_coefficient=0.0,
    reward_scale=1.0,
    max_gradient_norm=1e6,
)
ITERATIONS, STEP = 60, 6.0


class Logit(Player):
    """The co-player of `Courses`, as the pool has it."""

    @property
    def takes_uniforms(self):
        return True

    def begin(self, key, batch):
        return jnp.asarray(FIRST_LOGIT, jnp.float32)

    def act(self, state, observation, key):
        return state, (uniform(key, observation.shape) >= jax.nn.sigmoid(state)).astype(jnp.int32), None

    def learn(self, state, episode, notes, key):
        later = jnp.cumsum(episode.rewards[::-1], axis=0)[::-1]
        return state + STEP * (((episode.actions == 0) - jax.nn.sigmoid(state)) * later).sum(0).mean()


def logits_by_history(network, rounds, steps):
    """[history, action], with the histories of `Courses`, one step after the other."""
    course = jnp.arange(4 ** (steps - 1))
    memory, table = network.initial_state(course.size), jnp.zeros((2 * course.size, 2))
    for t in range(steps):
        same = 4 ** (steps - 1 - t)  # courses in a row that have one history
        now = network.step(memory, observe(course // same % 4) if t % rounds else jnp.full(course.shape, START))
        memory, table = now.state, table.at[4**t : 2 * 4**t].set(now.outputs[:2, ::same].T)
    return table


def flat(tree):
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@partial(jax.jit, static_argnums=0)
def gradients_of_training(settings, network, key):
    """[method, weight]: what agents of this network and of each method climb in an iteration of one update, by the
    first moment that Adam keeps.
    """
    size = settings.shaping
    agent, others = RecurrentPlayer(network, lasting=True), [shaping.Group(Logit(), size.replicas)]
    games = {"batch": size.batch, "inner_episodes": size.inner_episodes}
    met = shaping.play(settings.game, agent, others, key, **games)
    outputs = met.notes.outputs.reshape(*met.notes.outputs.shape[:2], size.replicas, size.batch)
    played = coala_ipd.AgentPlay(met.own, met.others, jnp.moveaxis(outputs[:, :2], 1, 0), outputs[:, 2])
    learner, first = optimisation.new_state(network, settings.optimiser), jnp.zeros((), int)

    def improve(_):
        moments = coala_ipd.improve_by_ppo(settings, learner, played, key, first).learner.optimiser
        return -len(outputs) * flat(optax.tree.get(moments, "mu")) / 0.1  # the loss is a mean over the steps

    return jax.vmap(improve, axis_name=LEARNERS)(jnp.arange(len(settings.by_agent)))


def standard_errors(settings, network, exact):
    """[method]: by how many standard errors the trained gradient misses the exact one, in the worst weight."""
    keys = jax.random.split(jax.random.key(1), ITERATIONS)
    found = np.stack([gradients_of_training(settings, network, key) for key in keys], axis=1)
    errors = found.std(1) / np.sqrt(ITERATIONS)
    return (np.abs(found.mean(1) - exact) / (errors + 1e-6)).max(1)


def test_training_climbs_the_exact_gradient_through_the_steps_of_the_co_player_and_the_memory():
    """COALA to five standard errors in each weight; the others miss by far."""
    rounds, size = TRAINING.game.rounds, TRAINING.shaping
    network = with_random_weights(lambda: coala_ipd.new_network(TRAINING, jax.random.key(0)), 2)
    courses = Courses(rounds, size.inner_episodes, size.batch, rate=STEP)
    table = partial(logits_by_history, rounds=rounds, steps=rounds * size.inner_episodes)
    exact = flat(jax.jit(jax.grad(lambda network: courses.objective(table(network))))(network))
    misses = standard_errors(TRAINING, network, exact)
    assert misses[0] < 5 and (misses[1:] > 30).all(), misses


# A game with state: what an action pays depends on the state, which is drawn anew for each inner episode of one round.

SECOND_STATE = 0.3  # its probability
OWN_PAY = np.stack([PAYOFFS, [[-0.5, 1.5], [0.8, -1.0]]])  # [state, own, other]
THEIR_PAY = np.stack([THEIRS, [[-1.0, 0.6], [2.0, 0.1]]])


@dataclass(frozen=True)
class TwoStates:
    """All that players see is the state."""

    rounds: int = 1
    num_players: ClassVar[int] = 2
    num_actions: ClassVar[int] = 2
    symmetric: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ()
    observation_space: ClassVar[Symbol] = Symbol(2)

    def reset(self, key):
        return jax.random.bernoulli(key, SECOND_STATE).astype(jnp.int32)

    def step(self, state, actions, key):
        pay = jnp.stack([jnp.asarray(OWN_PAY, jnp.float32), jnp.asarray(THEIR_PAY, jnp.float32)])
        return state, pay[:, state, actions[0], actions[1]]

    def observe(self, state, player):
        return state

    def measure(self, before, actions, after, player):
        return {}


def objective_of_two_states(network):
    """E[1/B sum_b sum_l r_l^b] for M = 2, B = 2, the sum over all 8^4 courses of states and actions."""
    courses = np.array(list(itertools.product(range(8), repeat=4))).reshape(-1, 2, 2)  # [course, episode, game]
    state, own, other = courses // 4, courses // 2 % 2, courses % 2
    chance = np.where(state == 1, SECOND_STATE, 1 - SECOND_STATE).prod((1, 2))
    phi = np.full(len(courses), FIRST_LOGIT)
    for episode in range(2):
        p, now = 1 / (1 + np.exp(-phi))[:, None], other[:, episode]
        chance *= np.where(now == 0, p, 1 - p).prod(1)
        phi = phi + STEP * (((now == 0) - p) * THEIR_PAY[state[:, episode], own[:, episode], now]).mean(1)
    memory = network.initial_state(4)  # of the four pairs of states that one game may show
    logs, total = [], 0.0
    for seen in (jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1])):
        now = network.step(memory, seen)
        memory = now.state
        logs.append(jax.nn.log_softmax(now.outputs[:2], axis=0))
    pair = 2 * state[:, 0] + state[:, 1]
    for episode in range(2):
        total = total + logs[episode][own[:, episode], pair].sum(1)
    return (jnp.exp(total) * chance * OWN_PAY[state, own, other].sum(1).mean(1)).sum()


def test_training_climbs_the_exact_gradient_in_a_game_with_state():
    settings = adjust(TRAINING, game=TwoStates())
    network = with_random_weights(lambda: coala_ipd.new_network(settings, jax.random.key(0)), 2)
    exact = flat(jax.jit(jax.grad(objective_of_two_states))(network))
    misses = standard_errors(settings, network, exact)
    assert misses[0] < 5 and (misses[1:] > 30).all(), misses


# Against the exact shaping gradient of memory-1 players. It is defined for a learner that follows its exact gradient;
# with many games the sampled step is nearly that one.

GAME = prisoners_dilemma(rounds=4)
RATE, INNER, GAMES, REPLICAS = 3.0, 3, 64, 2048


def table_of(logits):
    """[observation, action] of logits of action 0."""
    cooperate = jax.nn.sigmoid(logits)
    return jnp.stack([cooperate, 1 - cooperate], axis=-1)


def values_of(own, other):
    """Both players' expected sums of rewards over one episode."""
    return GAME.rounds * mean_rewards(Memory1(table_of(own)), Memory1(table_of(other)), GAME)


def log_probability(logits, observation, action):
    return jax.nn.log_sigmoid(jnp.where(action == 0, 1, -1) * logits[observation])


def play_episode(own, other, key):
    """(observations, joint actions) [time, games], in the first one's view."""

    def step(observation, key):
        theirs = jnp.where(observation == 0, 0, 1 + GAME.swap(observation - 1))
        draws = jax.random.uniform(key, (2, GAMES))
        mine, yours = draws[0] > jax.nn.sigmoid(own[observation]), draws[1] > jax.nn.sigmoid(other[theirs])
        joint = GAME.joint(mine.astype(int), yours.astype(int))
        return 1 + joint, (observation, joint)

    return jax.lax.scan(step, jnp.zeros(GAMES, int), jax.random.split(key, GAME.rounds))[1]


def naive_step(learner, observation, joint):
    """REINFORCE on the games of one inner episode, in the learner's view."""
    seen, done = jnp.where(observation == 0, 0, 1 + GAME.swap(observation - 1)), GAME.swap(joint)
    later = jnp.cumsum(GAME.reward(done)[::-1], axis=0)[::-1]

    def surrogate(learner):
        return (log_probability(learner, seen, GAME.own_action(done)) * later).sum(0).mean()

    return learner + RATE * jax.grad(surrogate)(learner)


def sampled_gradients(own, learner, values, key):
    """One replica's estimates of the gradient of the mean over its games of the sum of all rewards, by estimator."""

    def episode(learner, key):
        observation, joint = play_episode(own, learner, key)
        return naive_step(learner, observation, joint), (observation, joint)

    _, courses = jax.lax.scan(episode, learner, jax.random.split(key, INNER))
    observation, joint = (x.reshape(-1, GAMES) for x in courses)
    given = GAME.reward(joint), jnp.broadcast_to(values[:, None], joint.shape), jnp.zeros(GAMES)
    settings = {"episode_length": GAME.rounds, "gamma": 1.0, "gae_lambda": 1.0}
    _, weighted_by = jax.vjp(lambda own: log_probability(own, observation, GAME.own_action(joint)), own)
    return {
        name: weighted_by(coala.policy_scale(e, GAMES) * coala.advantages(*given, **settings, switches=e) / GAMES)[0]
        for name, e in ESTIMATORS.items()
    }


@jax.jit
def exact_gradients_of(own, learner):
    """The shaping gradient of the sum of all rewards. Then the gradient as if `own` did not turn the learner's steps,
    and the value of each inner episode.
    """
    settings = {"steps": INNER, "rate": RATE}
    shaping = INNER * exact_gradients.shaping(values_of, own, learner, **settings)
    plain = jnp.zeros_like(own)
    for steps in range(INNER):
        learned = exact_gradients.naive_learning(values_of, own, learner, steps=steps, rate=RATE)[1]
        plain += exact_gradients.naive(values_of, own, learned)
    return shaping, plain, exact_gradients.naive_learning(values_of, own, learner, **settings)[0][:, 0]


def test_coala_follows_the_exact_shaping_gradient_of_memory_one_players():
    """To four standard errors in each coordinate; the shaping part is more than that, and the others miss by far."""
    rng = np.random.default_rng(0)
    own, learner = (jnp.asarray(rng.normal(size=5), jnp.float32) for _ in range(2))
    shaping, plain, worth = exact_gradients_of(own, learner)
    ahead = np.repeat(np.asarray(worth) / GAME.rounds, GAME.rounds)[::-1].cumsum()[::-1]  # a value, for less noise
    keys = jax.random.split(jax.random.key(1), REPLICAS)
    sample = jax.jit(jax.vmap(sampled_gradients, in_axes=(None, None, None, 0)))
    sampled = sample(own, learner, jnp.asarray(ahead.copy()), keys)

    def misses(name, target):
        """By how many standard errors each coordinate's mean misses `target`."""
        found = np.asarray(sampled[name])
        return np.abs(found.mean(0) - target) / (found.std(0) / np.sqrt(REPLICAS))

    assert misses("COALA", shaping).max() < 4
    assert misses("COALA", plain).max() > 7
    assert misses("M-FOS", shaping).max() > 50
    assert misses("batch-unaware", shaping).max() > 50
    assert misses("batch-unaware", plain).max() < 4  # it sees the learner move, and not who moves it
