"""LOLA-DiCE of recurrent agents against differences of the exact look-ahead, by enumeration of two rounds in numpy;
play by agents who forget.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import MatrixGame
from coplayer.learning import lola
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.seating import OneOf
from coplayer.play.trajectory import JointActions
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import shaping
from coplayer.pools.lookahead import DiceSettings, course, gradient
from oracles import ActorCriticOracle, with_random_weights

GAME = MatrixGame([[1.0, -1.0], [2.0, 0.0]], rounds=2)
COURSES = list(itertools.product(range(4), repeat=GAME.rounds))
RATE, GAMMA, LEARNER_GAMMA, REWARD_SCALE = 3.0, 0.9, 0.8, 0.05


def network(seed, hidden=2):
    return with_random_weights(lambda: ActorCritic(GAME, hidden, key=jax.random.key(0)), seed)


def enumerated():
    """Every course once, side by side."""
    return JointActions(jnp.asarray(COURSES).T, GAME)


def exact_value(own, other, player, gamma):
    """A player's expected discounted reward per round: every course, its probability from both networks' steps."""
    sides, value = [ActorCriticOracle(own), ActorCriticOracle(other)], 0.0
    for joint in COURSES:
        states, chance, total = [side.start() for side in sides], 1.0, 0.0
        for t, (first, second) in enumerate(divmod(j, 2) for j in joint):
            actions = ((first, second), (second, first))
            chance *= np.prod([s.policy(x)[a[0]] for s, x, a in zip(sides, states, actions, strict=True)])
            total += gamma**t * GAME.tables[player][actions[player][0]][actions[player][1]] / GAME.rounds
            states = [s.after(x, *a) for s, x, a in zip(sides, states, actions, strict=True)]
        value += chance * total
    return value


def along(function, tree, direction, step=1e-4):
    """The derivative of `function` in a direction, by differences in float64."""
    values = [function(jax.tree.map(lambda x, d, s=s: np.float64(x) + s * d, tree, direction)) for s in (step, -step)]
    return (values[0] - values[1]) / (2 * step)


def exact_steps(own, other, rate):
    """The co-player after one naive step, its gradient by differences in each weight."""
    leaves, build = jax.tree.flatten(jax.tree.map(np.float64, other))
    slopes = []
    for i, leaf in enumerate(leaves):
        slope = np.zeros_like(leaf)
        for at in np.ndindex(leaf.shape):
            unit = [np.zeros_like(x) for x in leaves]
            unit[i][at] = 1.0
            slope[at] = along(lambda other: exact_value(own, other, 1, LEARNER_GAMMA), other, build.unflatten(unit))
        slopes.append(slope)
    return build.unflatten([leaf + rate * slope for leaf, slope in zip(leaves, slopes, strict=True)])


def exact_objective(own, other, steps):
    learned = exact_steps(own, other, RATE) if steps else other
    return exact_value(own, learned, 0, GAMMA)


def direction_like(tree):
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), tree)


def inner(one, other):
    return sum(float(np.vdot(x, y)) for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


@pytest.mark.parametrize("steps", [0, 1])
def test_the_gradient_without_noise_against_differences_of_the_exact_objective(steps):
    """Every course, weighted by its probability, in the place of sampled ones: float64, both networks recurrent."""
    with jax.enable_x64(True):
        own, other = (jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), network(seed)) for seed in (1, 2))

        def evaluate(own, other, weights):
            played = course(GAME, own, other, enumerated(), reward_scale=REWARD_SCALE)
            return played._replace(rewards=weights * played.rewards, baselines=weights * played.baselines)

        def sample(key, own, other):
            logs = course(GAME, own, other, enumerated(), reward_scale=1.0).log_probabilities
            return len(COURSES) * jnp.exp(logs.sum((0, 1)))

        found = jax.jit(
            lambda: lola.lookahead(
                sample,
                evaluate,
                jax.random.key(0),
                own,
                other,
                steps=steps,
                rate=RATE,
                gamma=GAMMA,
                learner_gamma=LEARNER_GAMMA,
            )
        )()
        expected = along(lambda own: exact_objective(own, other, steps), own, direction_like(own))
        assert abs(expected) > 1e-2
        assert inner(found, direction_like(own)) == pytest.approx(expected, rel=1e-4)


def test_baselines_are_both_players_values_in_rewards_per_round():
    own, other = network(1), network(2)
    found = course(GAME, own, other, enumerated(), reward_scale=0.5)
    for c, rounds in enumerate(COURSES):
        oracles = [ActorCriticOracle(own), ActorCriticOracle(other)]
        states = [oracle.start() for oracle in oracles]
        for t, j in enumerate(rounds):
            for player, actions in enumerate((divmod(j, 2), divmod(j, 2)[::-1])):
                value = oracles[player].value(states[player])
                assert float(found.baselines[player, t, c]) == pytest.approx(value / (0.5 * 2), abs=1e-5)
                assert float(found.rewards[player, t, c]) == GAME.tables[player][actions[0]][actions[1]] / 2
                states[player] = oracles[player].after(states[player], *actions)


def enumerated_value(own, other, player, gamma):
    """`exact_value`, differentiable."""
    played = course(GAME, own, other, enumerated(), reward_scale=1.0)
    discounted = played.rewards[player] * gamma ** jnp.arange(GAME.rounds)[:, None]
    return (jnp.exp(played.log_probabilities.sum((0, 1))) * discounted).sum()


def test_the_sampled_gradient_agrees_with_the_exact_one():
    """Of a co-player met twice, half look-ahead and half plain. The agreement is to 4.5 standard errors of the
    gradient's product with what the two differ by. Neither alone comes near.
    """
    own, others = network(13), [network(23)] * 2
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *others)

    def objective(own, other, steps):
        if steps:
            slope = jax.grad(lambda other: enumerated_value(own, other, 1, LEARNER_GAMMA))(other)
            other = jax.tree.map(lambda x, slope: x + RATE * slope, other, slope)
        return enumerated_value(own, other, 0, GAMMA)

    def exact(steps):
        slopes = jax.vmap(jax.grad(lambda own, other: objective(own, other, steps)), (None, 0))(own, stacked)
        return jax.tree.map(lambda leaf: leaf.mean(0), slopes)

    ahead, plain = jax.tree.map(np.asarray, jax.jit(lambda: (exact(1), exact(0)))())
    apart = jax.tree.map(np.subtract, ahead, plain)
    half = DiceSettings(lookaheads=1, lookahead_rate=RATE, lookahead_share=0.5)

    @jax.jit
    @jax.vmap
    def many(key):
        discounts = {"gamma": GAMMA, "learner_gamma": LEARNER_GAMMA}
        return gradient(GAME, own, stacked, key, batch=1024, lookahead=half, **discounts, reward_scale=REWARD_SCALE)

    found = jax.tree.map(np.asarray, many(jax.random.split(jax.random.key(0), 64)))
    draws = np.array([inner(jax.tree.map(lambda leaf, i=i: leaf[i], found), apart) for i in range(64)])
    error = draws.std() / np.sqrt(len(draws))
    assert abs(draws.mean() - inner(plain, apart) - inner(apart, apart) / 2) < 4.5 * error
    for alone in (ahead, plain):
        assert abs(draws.mean() - inner(alone, apart)) > 8 * error


@pytest.mark.parametrize("lasting", [True, False])
def test_an_agent_that_is_not_lasting_begins_each_inner_episode_without_a_memory(lasting):
    agent, everyone = network(1, 3), jax.tree.map(lambda leaf: leaf[None].repeat(2, 0), network(2, 3))
    others = [shaping.Group(OneOf(RecurrentPlayer(everyone, lasting=lasting), among=jnp.array([1])), 2)]
    player = RecurrentPlayer(agent, lasting=lasting)
    played = jax.jit(lambda key: shaping.play(GAME, player, others, key, batch=3, inner_episodes=4))(jax.random.key(5))
    own, other = (np.asarray(view.actions).reshape(4, GAME.rounds, 6) for view in (played.own, played.others))
    values = played.notes.outputs[:, 2].reshape(4, GAME.rounds, 6)
    oracle, gap = ActorCriticOracle(agent), 0.0
    for column in range(6):
        for episode in range(4):
            state = oracle.start()
            for t in range(GAME.rounds):
                gap = max(gap, abs(float(values[episode, t, column]) - oracle.value(state)))
                state = oracle.after(state, int(own[episode, t, column]), int(other[episode, t, column]))
    assert gap > 0.05 if lasting else gap < 1e-5


def test_a_forgetful_co_player_begins_each_inner_episode_without_a_memory():
    everyone = jax.tree.map(lambda leaf: leaf[None].repeat(2, 0), network(2, 3))
    episode, seen = JointActions(jnp.zeros((2, 5), jnp.int32), GAME).view(0), jnp.zeros(5, jnp.int32)
    for lasting in (True, False):
        other = OneOf(RecurrentPlayer(everyone, lasting=lasting), among=jnp.array([1]))
        begun = other.begin(jax.random.key(0), 5)
        state, _, notes = other.act(begun, seen, jnp.zeros(5))
        notes = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), notes)
        after = other.learn(state, episode, notes, jax.random.key(1))
        assert np.array_equal(after.state.state, begun.state.state) != lasting
        assert after.state.opens != lasting
