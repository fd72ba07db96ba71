"""The shaping game played again by hand: deterministic agents and co-players, one game and one round at a time."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import START, MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.learning import a2c, optimisation
from coplayer.learning.a2c import A2CSettings
from coplayer.learning.optimisation import OptimiserSettings
from coplayer.networks.actor_critic import ActorCritic, Trace
from coplayer.play.player import Player
from coplayer.play.seating import OneOf
from coplayer.play.trajectory import JointActions
from coplayer.players.naive import NaiveLearner
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import shaping
from oracles import ActorCriticOracle, with_random_weights

ROUNDS, EPISODES, BATCH = 4, 3, 3
GAME = prisoners_dilemma(ROUNDS)
UPDATING = a2c.Updating(
    A2CSettings(gamma=0.9),
    OptimiserSettings(learning_rate=0.3, learning_rate_end=0.5),  # falls, which tells the inner episodes apart
    iterations=2,
)


def network(seed, decided=1.0):
    """One whose policy is, with a large `decided`, deterministic."""
    plain = with_random_weights(lambda: ActorCritic(GAME, 3, key=jax.random.key(0)), seed)
    return eqx.tree_at(lambda n: n.head_weights, plain, plain.head_weights * decided)


def stacked(networks):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)


AGENT = network(12, decided=1e4)


class HabitState(NamedTuple):
    habit: jax.Array
    episode: jax.Array


class Habit(Player):
    """Begins game b of an inner episode with action b mod 2, and then plays its habit. The habit is at first one by
    chance. Later it is what the agent did most in the last inner episode, its first round not counted.
    """

    @property
    def takes_uniforms(self):
        return True

    def begin(self, key, batch):
        return HabitState(jax.random.randint(key, (), 0, 2), jnp.zeros((), jnp.int32))

    def act(self, state, observation, key):
        games = jnp.arange(observation.shape[0])
        return state, jnp.where(observation == START, games % 2, state.habit), observation

    def learn(self, state, episode, notes, key):
        defects = (jnp.concatenate([notes[2:], episode.beyond[None]]) - 1) % 2  # the agent's, by what was seen next
        return HabitState((2 * defects.sum() > defects.size).astype(jnp.int32), state.episode + 1)


class HabitByHand:
    """The same, of one co-player."""

    def __init__(self, habit):
        self.habit = habit

    def act(self, past):
        return [b % 2 for b in range(BATCH)] if not past else [self.habit] * BATCH

    def learn(self, episode):
        later = [own for round in episode[1:] for own, _ in round]
        self.habit = int(sum(later) > len(later) / 2)


class Thresholds(Player):
    """A co-player whose draws are known: the uniform numbers are one for each game."""

    inner: Player

    @property
    def takes_uniforms(self):
        return True

    def begin(self, key, batch):
        return self.inner.begin(key, batch)

    def act(self, state, observation, key):
        batch = len(observation)
        return self.inner.act(state, observation, (jnp.arange(batch) + 0.5) / batch)

    def learn(self, state, episode, notes, key):
        return self.inner.learn(state, episode, notes, key)


class NaiveByHand:
    """Such a naive learner: its policy in numpy, its learning by `a2c.update` on the inner episode just played."""

    def __init__(self, network):
        self.learner = optimisation.new_state(network, UPDATING.optimiser)
        self.episode = 0

    def act(self, past):
        oracle, actions = ActorCriticOracle(self.learner.network), []
        for b in range(BATCH):
            state = oracle.start()
            for round in past:
                agent, own = round[b]
                state = oracle.after(state, own, agent)
            actions.append(int((b + 0.5) / BATCH >= oracle.policy(state)[0]))
        return actions

    def learn(self, episode):
        joint = jnp.array([[2 * own + agent for agent, own in round] for round in episode])
        self.learner = updated(self.learner, joint, jnp.asarray(self.episode))
        self.episode += 1


class LastingByHand:
    """Another decided agent."""

    def __init__(self, network, lasting=True):
        self.oracle, self.states, self.lasting = ActorCriticOracle(network), None, lasting

    def act(self, past):
        if self.states is None or (not past and not self.lasting):
            self.states = [np.zeros(3)] * BATCH
        seen = [1 + 2 * own + agent for agent, own in past[-1]] if past else [START] * BATCH
        self.states = [self.oracle.see(state, at, np.zeros(0)) for state, at in zip(self.states, seen, strict=True)]
        return [int(np.argmax(self.oracle.policy(state))) for state in self.states]

    def learn(self, episode):
        pass


@jax.jit
def updated(learner, joint, episode):
    """`a2c.update` on an inner episode in the learner's view, with the trace made step by step."""
    observations = [jnp.full(joint.shape[1:], START), *(1 + joint[:-1])]
    memory, rounds = learner.network.initial_state(joint.shape[1]), []
    none = jnp.zeros((0, joint.shape[1]))
    for observation in observations:
        rounds.append(learner.network.step(memory, observation, none))
        memory = rounds[-1].state
    trace: Trace = stacked(rounds)
    rewards = jnp.array([1.0, -1.0, 2.0, 0.0])[joint]
    batch = a2c.Batch(joint // 2, rewards, 1 + joint[-1], none, trace)
    return a2c.update(learner, batch, joint.shape[1], UPDATING, episode)[0]


def by_hand(agent, co_player):
    """(joint [M T, B], logits and values [M T, B, 3]) of one replica; the agent's memory is never reset."""
    oracle = ActorCriticOracle(agent)
    states, joint, outputs = [np.zeros(3)] * BATCH, [], []
    for _ in range(EPISODES):
        past = []
        for t in range(ROUNDS):
            seen = [1 + 2 * agent + own for agent, own in past[-1]] if t else [START] * BATCH
            states = [oracle.see(state, at, np.zeros(0)) for state, at in zip(states, seen, strict=True)]
            outputs.append([oracle.weights @ (s / (1 + np.exp(-s))) + oracle.bias for s in states])
            past.append(list(zip([int(np.argmax(o[:2])) for o in outputs[-1]], co_player.act(past), strict=True)))
            joint.append([2 * own + other for own, other in past[-1]])
        co_player.learn(past)
    return np.array(joint), np.array(outputs)


@eqx.filter_jit
def play(agent, groups, key, batch=BATCH):
    """The shaping game with an agent that remembers all."""
    agent = RecurrentPlayer(agent, lasting=True)
    return shaping.play(GAME, agent, groups, key, batch=batch, inner_episodes=EPISODES)


def joint_of(played):
    """Joint actions in the agent's view [M T, R, B], from both sides' actions."""
    return 2 * np.asarray(played.own.actions) + np.asarray(played.others.actions)


def replica(played, r):
    return joint_of(played)[:, r]


def naive(networks):
    """One of these naive learners."""
    return OneOf(NaiveLearner(stacked(networks), UPDATING))


def others_of(networks, own, lasting=True):
    """One of these agents, but not the one of this number."""
    return OneOf(RecurrentPlayer(stacked(networks), lasting=lasting), jnp.delete(jnp.arange(len(networks)), own))


HABITS, LASTING = 8, 4
RIVALS = [AGENT, network(4, decided=1e4), network(10, decided=1e4)]
NAIVE = [network(13), network(12)]


@pytest.fixture(scope="module")
def played():
    """Three groups side by side: any rule, learners by gradient, other agents."""
    groups = [
        shaping.Group(Habit(), HABITS),
        shaping.Group(Thresholds(naive(NAIVE)), 4),
        shaping.Group(others_of(RIVALS, 0), LASTING),
    ]
    return play(AGENT, groups, jax.random.key(3))


def test_any_rule_of_learning_is_played_as_by_hand(played):
    """Every replica of the habit, given the first habit, in games, logits and values."""
    habits, found = [], played.notes.outputs.reshape(EPISODES * ROUNDS, 3, -1, BATCH)
    for r in range(HABITS):
        first = int(played.others.actions[1, r, 0])
        expected = HabitByHand(first)
        joint, outputs = by_hand(AGENT, expected)
        np.testing.assert_array_equal(replica(played, r), joint)
        np.testing.assert_allclose(np.moveaxis(np.asarray(found[:, :, r]), 1, 2), outputs, rtol=1e-3)
        habits.append((first, expected.habit))
    assert {first for first, _ in habits} == {0, 1}  # replicas are independent
    assert any(first != last for first, last in habits)  # and learn
    second = np.asarray(played.others.actions[1::ROUNDS, :HABITS])
    assert (second == second[..., :1]).all()  # one learner for all games


def test_naive_learners_side_by_side_play_as_by_hand(played):
    courses = [by_hand(AGENT, NaiveByHand(network))[0] for network in NAIVE]
    assert (courses[0] != courses[1]).any()
    drawn = set()
    for r in range(HABITS, HABITS + 4):
        matching = [i for i, course in enumerate(courses) if (replica(played, r) == course).all()]
        assert len(matching) == 1
        drawn |= set(matching)
    assert drawn == {0, 1}
    unlearned = [NaiveByHand(network) for network in NAIVE]
    for one in unlearned:
        one.learn = lambda episode: None
    assert all((by_hand(AGENT, one)[0] != course).any() for one, course in zip(unlearned, courses, strict=True))


def test_other_agents_side_by_side_remember_and_are_never_oneself(played):
    courses = [by_hand(AGENT, LastingByHand(network))[0] for network in RIVALS]
    for r in range(HABITS + 4, HABITS + 4 + LASTING):
        assert sum((replica(played, r) == course).all() for course in courses[1:]) == 1
        assert (replica(played, r) != courses[0]).any()
    forgetful = [by_hand(AGENT, LastingByHand(network, lasting=False))[0] for network in RIVALS]
    assert all((one != other).any() for one, other in zip(courses[1:], forgetful[1:], strict=True))


def test_observations_begin_anew_with_every_inner_episode(played):
    """Of both sides; and rewards, what is measured, and what is seen after the last round."""
    joint, payoffs = joint_of(played), np.array([1.0, -1.0, 2.0, 0.0])
    for view, rounds in ((played.own, joint), (played.others, np.array([0, 2, 1, 3])[joint])):
        for t in range(EPISODES * ROUNDS):
            expected = START if t % ROUNDS == 0 else 1 + rounds[t - 1]
            np.testing.assert_array_equal(view.observations[t], np.broadcast_to(expected, rounds[t].shape))
        np.testing.assert_array_equal(view.rewards, payoffs[rounds])
        np.testing.assert_array_equal(view.measures["cooperation"], rounds < 2)
        np.testing.assert_array_equal(view.beyond, 1 + rounds[-1])
    flat = JointActions(jnp.asarray(joint[:, 0, 0]), prisoners_dilemma(6)).view(0).observations
    assert flat[0] == flat[6] == START and (np.asarray(flat)[[1, 5, 7]] > 0).all()


@pytest.mark.parametrize("own", [0, 1, 2])
def test_another_agent_is_each_of_the_others_equally_often(own):
    count, pool = 3000, others_of(RIVALS, own)
    keys = jax.random.split(jax.random.key(own), count)
    drawn = jax.vmap(lambda key: pool.begin(key, 2).player.network.head_bias)(keys)
    shares = [(np.asarray(drawn) == np.asarray(one.head_bias)).all(1).mean() for one in RIVALS]
    assert shares[own] == 0
    assert all(abs(share - 0.5) < 5 * np.sqrt(0.25 / count) for i, share in enumerate(shares) if i != own)


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (MatrixGame(np.eye(3)), "player {}: its network is made for 2 actions, this game has 3"),
        (PublicGoods(), "players: this game has 3 seats, got 2 players"),
    ],
)
def test_players_who_do_not_fit_the_game_are_refused_before_it_begins(game, message):
    """Of the agent, and of a co-player."""
    fits_any, made_for_two = Habit(), RecurrentPlayer(AGENT)
    for number, agent, other in ((1, made_for_two, fits_any), (2, fits_any, made_for_two)):
        with pytest.raises(CoplayerError, match=message.format(number)):
            shaping.play(game, agent, [shaping.Group(other, 1)], jax.random.key(0), batch=1, inner_episodes=1)


@pytest.mark.parametrize(
    ("groups", "size", "message"),
    [
        (3, {}, "groups: must be one or more of pools.shaping.Group in a list, got 3"),
        ([], {}, "groups: must be one or more of pools.shaping.Group in a list"),
        (shaping.Group(None, 1), {}, "groups: must be one or more of pools.shaping.Group in a list"),
        ([(3, 1)], {}, r"groups: must be pools.shaping.Group, got \(3, 1\)"),
        ([shaping.Group(3, 1)], {}, "groups: int is not a coplayer.Player"),
        ([shaping.Group(NaiveLearner, 0)], {}, "groups: .* is not a coplayer.Player"),
        (None, {"replicas": 0}, "replicas: must be a whole number of at least 1, got 0"),
        (None, {"batch": 0}, "batch: must be a whole number of at least 1, got 0"),
        (None, {"inner_episodes": 1.5}, "inner_episodes: must be a whole number of at least 1, got 1.5"),
    ],
)
def test_what_is_no_shaping_game_is_one_line(groups, size, message):
    size = {"replicas": 1, "batch": 1, "inner_episodes": 1} | size
    replicas = size.pop("replicas")
    groups = [shaping.Group(Habit(), replicas)] if groups is None else groups
    with pytest.raises(CoplayerError, match=f"^{message}") as refused:
        shaping.play.__wrapped__(GAME, Habit(), groups, jax.random.key(0), **size)
    assert "\n" not in str(refused.value)


class Wild(Player):
    """Takes an action that there is not."""

    def begin(self, key, batch):
        return None

    def act(self, state, observation, key):
        return state, jnp.full(observation.shape, 5), None


@pytest.mark.parametrize("wild", [1, 2])
def test_actions_that_the_game_does_not_have_are_one_line(wild):
    agent, other = (Wild(), Habit()) if wild == 1 else (Habit(), Wild())
    with pytest.raises(CoplayerError, match=f"^player {wild}: this game has the actions 0 to 1, the player took 5$"):
        shaping.play(GAME, agent, [shaping.Group(other, 2)], jax.random.key(0), batch=2, inner_episodes=2)


def test_actions_are_drawn_from_the_agents_policy():
    """An undecided agent against habits: its rate of cooperation by its logits, in every round."""
    replicas, batch = 200, 20
    played = play(network(1), [shaping.Group(Habit(), replicas)], jax.random.key(0), batch)
    logits = played.notes.outputs[:, :2].reshape(-1, 2, replicas, batch)
    chances = np.asarray(jax.nn.softmax(logits, axis=1)[:, 0])
    cooperates = np.asarray(played.own.actions) == 0
    excess = (cooperates - chances).sum((1, 2))
    deviation = np.sqrt((chances * (1 - chances)).sum((1, 2)))
    assert (np.abs(excess) < 4.5 * deviation).all() and (deviation > 10).all()
    first = cooperates[0].mean(1)  # of games that share a co-player, and not their luck
    expected = chances[0, 0, 0] * (1 - chances[0, 0, 0]) / batch
    assert first.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / replicas))
