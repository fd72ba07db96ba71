"""Measures of predictive equilibrium against enumeration of every episode, and against closed forms."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, norm

from coplayer.analysis.predictive_equilibrium import (
    divergence,
    entropy,
    excess_loss,
    mean_policy_entropy,
    policy_gap,
    probe,
    spread_rounds,
    subjective_gap,
    take,
)
from coplayer.games.matrix import prisoners_dilemma
from coplayer.networks.world_model import RoundModel, TokenModel
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.pools import tabular
from oracles import RoundOracle, TokenOracle, softmax, with_random_weights

ROUNDS, TEMPERATURE = 3, 0.7
GAME = prisoners_dilemma(ROUNDS)
EVERY_EPISODE = list(itertools.product(range(4), repeat=ROUNDS))
EXACT = PlannerSettings(1, 1, TEMPERATURE, expected_rewards=True, common_random_numbers=True)  # Q without noise


def random_player(seed, settings=EXACT):
    return PPIPlayer(with_random_weights(lambda: RoundModel(GAME, 4, key=jax.random.key(0)), seed), settings)


def ask_everywhere(player, episodes, plans=2):
    """A probe at all rounds of these episodes; its histories are [rounds, episodes], flattened."""
    joint = jnp.asarray(np.array(episodes).T)
    at = jnp.broadcast_to(jnp.arange(ROUNDS)[:, None], joint.shape)
    return probe(player, joint, at, jax.random.key(1), plans=plans)


def swapped(episode):
    return [2 * (j % 2) + j // 2 for j in episode]


class PlayerOracle:
    """A player whose Q is exact for one round, along one episode: lists by round, in float64."""

    def __init__(self, player, episode):
        oracle = RoundOracle(player.model)
        self.prior, self.policy, self.q, state = [], [], [], oracle.start()
        for joint in episode:
            prior, replies, rewards = oracle.outputs(state)
            q = (replies * rewards).sum(1)
            self.prior.append(prior)
            self.q.append(q)
            self.policy.append(softmax(np.log(prior) + q / TEMPERATURE))
            state = oracle.after(state, *divmod(joint, 2), None)
        self.chance = np.prod([p[j // 2] for p, j in zip(self.policy, episode, strict=True)])
        observation, action, _ = oracle.losses(np.array(episode), np.zeros(ROUNDS))
        self.model_logs = -(observation + action)  # log p(whole episode)
        self.observation_loss = observation


def tabular_chance(episode):
    """P(the co-player's actions) of a uniformly random table. Each observation gives the integral over its probability
    of cooperation, by a quadrature that is exact for polynomials.
    """
    x, weights = np.polynomial.legendre.leggauss(ROUNDS + 2)
    x = (x + 1) / 2
    seen = [0, *(1 + j for j in swapped(episode)[:-1])]
    integrand = np.ones((5, len(x)))
    for observation, joint in zip(seen, episode, strict=True):
        integrand[observation] *= x if joint % 2 == 0 else 1 - x
    return np.prod(integrand @ weights / 2)


def weighted(values, chances):
    """The mean over the path of `values` [rounds * episodes], by the chance of each episode."""
    return float(np.asarray(values, np.float64).reshape(ROUNDS, -1).mean(0) @ chances)


def test_against_tabular_players_by_enumeration():
    player = random_player(9)
    oracles = [PlayerOracle(player, episode) for episode in EVERY_EPISODE]
    chances = np.array([o.chance * tabular_chance(e) for o, e in zip(oracles, EVERY_EPISODE, strict=True)])
    assert chances.sum() == pytest.approx(1)
    probed = ask_everywhere(player, EVERY_EPISODE)
    guess = np.asarray(tabular.predictive(jnp.asarray(np.array(EVERY_EPISODE).T), GAME))
    guess = jnp.asarray(guess.transpose(1, 0, 2).reshape(2, -1))

    whole = chances @ (np.log(chances) - [o.model_logs for o in oracles]) / ROUNDS  # KL of the episodes' distributions
    action, observation = excess_loss(probed.policies, probed.prior), divergence(guess, probed.replies)
    assert whole > 0.1
    assert weighted(action, chances) + weighted(observation, chances) == pytest.approx(whole, abs=1e-5)
    loss = chances @ [o.observation_loss for o in oracles] / ROUNDS
    assert weighted(observation, chances) + weighted(entropy(guess), chances) == pytest.approx(loss, abs=1e-5)

    gap = chances @ [
        np.mean([p @ np.log(p / prior) for p, prior in zip(o.policy, o.prior, strict=True)]) for o in oracles
    ]
    assert gap > 0.1
    assert weighted(policy_gap(probed.policies, probed.prior), chances) == pytest.approx(gap, abs=1e-5)
    subjective = chances @ [np.mean([q.max() - p @ q for p, q in zip(o.policy, o.q, strict=True)]) for o in oracles]
    assert subjective > 0.1
    assert weighted(subjective_gap(probed.policies, probed.q), chances) == pytest.approx(subjective, abs=1e-5)


def test_against_a_learner_by_enumeration():
    one, other = random_player(4), random_player(5)
    mine = [PlayerOracle(one, episode) for episode in EVERY_EPISODE]
    chances = np.array(
        [o.chance * PlayerOracle(other, swapped(e)).chance for o, e in zip(mine, EVERY_EPISODE, strict=True)]
    )
    assert chances.sum() == pytest.approx(1)
    whole = chances @ (np.log(chances) - [o.model_logs for o in mine]) / ROUNDS
    probed = ask_everywhere(one, EVERY_EPISODE)
    met = ask_everywhere(other, [swapped(episode) for episode in EVERY_EPISODE])
    excess = weighted(excess_loss(probed.policies, probed.prior), chances)
    excess += weighted(excess_loss(met.policies, probed.replies), chances)
    assert excess == pytest.approx(whole, abs=1e-5)


def noisy_player():
    """Q is one sampled reward: 0.9 and 0.7 chances of cooperation, values far enough apart for the noise to matter."""
    model = random_player(0).model
    bias = [0.4, -0.4, *np.log([0.9, 0.1, 0.7, 0.3]), 1.0, -1.0, 3.0, 0.6]
    model = eqx.tree_at(
        lambda m: (m.head_weights, m.head_bias),
        model,
        (jnp.zeros_like(model.head_weights), jnp.asarray(bias, jnp.float32)),
    )
    return PPIPlayer(model, PlannerSettings(1, 1, TEMPERATURE, False, False))


def test_the_rollouts_noise_by_enumeration_of_its_outcomes():
    prior = softmax(np.array([0.4, -0.4]))
    outcomes = [
        (p * r, np.array([x, y])) for (p, x), (r, y) in itertools.product([(0.9, 1), (0.1, -1)], [(0.7, 3), (0.3, 0.6)])
    ]
    policies = [softmax(np.log(prior) + q / TEMPERATURE) for _, q in outcomes]
    chances = np.array([chance for chance, _ in outcomes])
    mean, q = chances @ policies, chances @ [q for _, q in outcomes]
    exact = {
        "entropy": -mean @ np.log(mean),
        "excess": mean @ np.log(mean / prior),
        "policy": chances @ [p @ np.log(p / prior) for p in policies],
        "subjective": q.max() - mean @ q,
    }
    count = 3000
    joint = jnp.zeros((ROUNDS, count), jnp.int32)
    probed = probe(noisy_player(), joint, joint[:1], jax.random.key(0), plans=16)
    measured = {
        "entropy": mean_policy_entropy(probed.policies),
        "excess": excess_loss(probed.policies, probed.prior),
        "policy": policy_gap(probed.policies, probed.prior),
        "subjective": subjective_gap(probed.policies, probed.q),
    }
    off = {name: off_by(values, exact[name]) for name, values in measured.items()}
    assert all(abs(sigmas) < 5 for sigmas in off.values()), off
    assert exact["policy"] > exact["excess"] + 0.05  # what the noise alone decides
    # what the corrections are for
    assert off_by(divergence(probed.policies.mean(0), probed.prior), exact["excess"]) > 5
    naive = (probed.q.max(1) - (probed.policies * probed.q).sum(1)).mean(0)
    assert abs(off_by(naive, exact["subjective"])) > 5


def off_by(values, exact):
    """How many standard errors the mean of independent `values` is above `exact`."""
    values = np.asarray(values, np.float64)
    return (values.mean() - exact) / (values.std(ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("difference", [0.0, 0.5, 3.0])
def test_the_subjective_gap_of_greedy_plans_with_normal_noise(difference):
    """Q = (0, d) plus standard normal noise, each plan greedy in its own. A plan errs with chance Phi(-d / sqrt 2).
    What the other plans say errs with chance Phi(-d sqrt((M - 1) / 2)). The estimate is the gap less the latter's loss.
    """
    plans, count = 8, 40_000
    noise = jax.random.normal(jax.random.key(0), (plans, 2, count))
    q = noise + jnp.array([0.0, difference])[:, None]
    policies = jax.nn.one_hot(q.argmax(1), 2, axis=1)
    gap = difference * norm.cdf(-difference / np.sqrt(2))
    too_low = difference * norm.cdf(-difference * np.sqrt((plans - 1) / 2))
    assert abs(off_by(subjective_gap(policies, q), gap - too_low)) < 5
    if difference < 3:  # the maximum of the mean, and each policy valued by its own noise, would not do
        assert abs(off_by(q.mean(0).max(0) - (policies * q).sum(1).mean(0), gap)) > 50


def test_a_probe_asks_at_the_states_of_play_with_the_rewards_of_the_players_seat():
    """A token model remembers rewards: its states and its loss on rewards against an oracle."""

    def build():
        return TokenModel(GAME, 4, 3, key=jax.random.key(0))

    model, payoffs = with_random_weights(build, 3), np.array([4.0, 3.0, 2.0, 1.0])
    player = PPIPlayer(model, dataclasses.replace(EXACT, expected_rewards=False), payoffs=jnp.asarray(payoffs))
    probed, oracle = ask_everywhere(player, EVERY_EPISODE), TokenOracle(model)
    losses, priors = [], []
    for episode in EVERY_EPISODE:
        losses.append(oracle.losses(episode, payoffs[list(episode)])[2] / ROUNDS)
        states = [oracle.start()]
        for joint in episode[:-1]:
            states.append(oracle.after(states[-1], *divmod(joint, 2), payoffs[joint]))
        priors.append([np.log(oracle.prior(state)) for state in states])
    expected = np.moveaxis(np.array(priors), 0, 1).reshape(-1, 2).T  # [actions, rounds * episodes]
    np.testing.assert_allclose(probed.prior, expected, atol=1e-5)
    assert float(probed.reward_loss) == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_jackknife_against_the_bias_of_the_plug_in():
    """Greedy plans that choose action 0 with chance p: exact expectations by the binomial distribution."""
    plans = 32
    for p in (0.0, 0.01, 0.05, 0.2, 0.5):
        chosen = np.arange(plans + 1)
        policies = np.zeros((plans, 2, plans + 1), np.float32)
        policies[:, 0] = np.arange(plans)[:, None] < chosen
        policies[:, 1] = 1 - policies[:, 0]
        weights = binom.pmf(chosen, plans, p)
        exact = float(entropy(jnp.array([p, 1 - p])))
        policies = jnp.asarray(policies)
        jackknife = weights @ np.asarray(mean_policy_entropy(policies), np.float64) - exact
        plug_in = weights @ np.asarray(entropy(policies.mean(0)), np.float64) - exact
        assert abs(jackknife) < 0.006
        assert p == 0 or abs(jackknife) < 0.5 * abs(plug_in)


def test_what_does_not_matter():
    """The order of plans, the names of actions, a constant in Q; a scale of Q scales the subjective gap alone."""
    keys = [jax.random.key(i) for i in range(3)]
    q = jax.random.normal(keys[0], (6, 3, 20))
    policies = jax.nn.softmax(jax.random.normal(keys[1], (6, 3, 20)), axis=1)
    prior = jax.nn.log_softmax(jax.random.normal(keys[2], (3, 20)), axis=0)

    def all_three(policies, q, prior):
        return [excess_loss(policies, prior), policy_gap(policies, prior), subjective_gap(policies, q)]

    expected = all_three(policies, q, prior)
    plans, actions = np.array([3, 0, 5, 1, 4, 2]), np.array([2, 0, 1])
    for changed in (
        all_three(policies[plans], q[plans], prior),
        all_three(policies[:, actions], q[:, actions], prior[actions]),
        all_three(policies, q + 7.0, prior),
    ):
        np.testing.assert_allclose(changed, expected, atol=1e-5)
    np.testing.assert_allclose(subjective_gap(policies, 3 * q), 3 * expected[2], atol=1e-5)


def test_excess_loss_and_policy_gap_of_plans_that_agree_are_one():
    policy = jax.nn.softmax(jax.random.normal(jax.random.key(0), (3, 20)), axis=0)
    prior = jax.nn.log_softmax(jax.random.normal(jax.random.key(1), (3, 20)), axis=0)
    policies = jnp.stack([policy] * 4)
    np.testing.assert_allclose(excess_loss(policies, prior), policy_gap(policies, prior), atol=1e-5)
    np.testing.assert_allclose(excess_loss(policies, jnp.log(policy)), 0, atol=1e-5)


def test_impossible_actions_cost_nothing():
    logs = jnp.array([[0.0], [-jnp.inf]])
    policies = jnp.array([[[1.0], [0.0]]] * 3)
    assert float(divergence(policies[0], logs)[0]) == float(excess_loss(policies, logs)[0]) == 0
    assert float(divergence(policies[0, ::-1], logs)[0]) == np.inf


def test_spread_rounds():
    everywhere = np.asarray(spread_rounds(jax.random.key(0), 7, 50, 7))
    np.testing.assert_array_equal(np.sort(everywhere, axis=0), np.arange(7)[:, None].repeat(50, 1))
    count = 7000
    some = np.asarray(spread_rounds(jax.random.key(1), 7, count, 3))
    assert (np.diff(np.sort(some, axis=0), axis=0) >= 2).all()
    for chosen in some:
        shares = np.bincount(chosen, minlength=7) / count
        assert np.abs(shares - 1 / 7).max() < 5 * np.sqrt(1 / 7 / count)


def test_take():
    values = np.arange(24).reshape(4, 3, 2)  # [round, episode, anything]
    at = np.array([[0, 2, 3], [1, 1, 0]])
    taken = take(jnp.asarray(values), jnp.asarray(at))
    np.testing.assert_array_equal(taken, [values[r, e] for row in at for e, r in enumerate(row)])
