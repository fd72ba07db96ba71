"""The weights of every published estimator against the literal sums of the table in `learning.coala`."""

import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.learning.estimators import ESTIMATORS, Outcome

EPISODES, ROUNDS, BATCH = 3, 2, 4
STEPS = EPISODES * ROUNDS
PUBLISHED = {"coala": "COALA-PG", "m_fos": "M-FOS", "batch_unaware": "batch-unaware"}


def example(seed):
    rng = np.random.default_rng(seed)
    return Outcome(
        rewards=rng.normal(size=(STEPS, BATCH)),
        values=rng.normal(size=(STEPS, BATCH)),
        final_value=rng.normal(size=BATCH),
        other_rewards=rng.normal(size=(STEPS, BATCH)),
    )


def weights_by_sums(outcome, method, gamma, gae_lambda):
    """[time, game]: what a *mean* over the games takes; the table's columns, of errors in the place of rewards."""
    values = np.concatenate([outcome.values, outcome.final_value[None]])
    errors, decay = outcome.rewards + gamma * values[1:] - values[:-1], gamma * gae_lambda
    weights = np.zeros((STEPS, BATCH))
    for step, game in np.ndindex(STEPS, BATCH):
        end = ROUNDS * (step // ROUNDS + 1)
        current = sum(decay ** (k - step) * errors[k, game] for k in range(step, end))
        own = sum(decay ** (k - step) * errors[k, game] for k in range(end, STEPS))
        everyone = sum(decay ** (k - step) * errors[k, other] for k in range(end, STEPS) for other in range(BATCH))
        weights[step, game] = {
            "coala": BATCH * (current / BATCH + everyone / BATCH),  # the table has a sum over the games
            "m_fos": current + everyone / BATCH,
            "batch_unaware": current + own,
        }[method]
    return weights


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 1.0), (0.9, 0.7)])
@pytest.mark.parametrize("method", PUBLISHED)
def test_weights_against_literal_sums_and_against_agents_each_game_by_itself(method, gamma, gae_lambda):
    outcome, settings = example(0), {"episode_length": ROUNDS, "gamma": gamma, "gae_lambda": gae_lambda}
    given = Outcome(*map(jnp.asarray, outcome))
    found = ESTIMATORS[method].against_naive(given, **settings)
    np.testing.assert_allclose(found, weights_by_sums(outcome, method, gamma, gae_lambda), rtol=1e-4, atol=1e-5)
    found = ESTIMATORS[method].against_agents(given, **settings)
    expected = weights_by_sums(outcome, "batch_unaware", gamma, gae_lambda)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", PUBLISHED)
def test_no_published_estimator_looks_at_the_co_players_rewards(method):
    settings = {"episode_length": ROUNDS, "gamma": 0.9, "gae_lambda": 0.7}
    one = Outcome(*map(jnp.asarray, example(0)))
    other = one._replace(other_rewards=-3 * one.other_rewards)
    for weights in (ESTIMATORS[method].against_naive, ESTIMATORS[method].against_agents):
        np.testing.assert_array_equal(weights(one, **settings), weights(other, **settings))


def test_the_published_estimators_have_the_papers_names():
    assert {method: ESTIMATORS[method].label for method in PUBLISHED} == PUBLISHED
    assert len({estimator.label for estimator in ESTIMATORS.values()}) == len(ESTIMATORS)
