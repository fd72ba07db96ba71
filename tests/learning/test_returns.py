"""The recursions against the sums they stand for, written out."""

import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.learning.returns import generalised_advantages, lambda_returns

TIME, BATCH = 6, 3


def example(seed):
    """rewards [time, batch], values [time, batch], final value [batch]."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape) for shape in ((TIME, BATCH), (TIME, BATCH), (BATCH,)))


def n_step(rewards, values, t, n, gamma):
    """r_t + ... + gamma^(n-1) r_{t+n-1} + gamma^n V_{t+n} of one trajectory; `values` has T + 1 entries."""
    return sum(gamma**k * rewards[t + k] for k in range(n)) + gamma**n * values[t + n]


@pytest.mark.parametrize(("gamma", "lambda_"), [(0.9, 0.7), (1.0, 1.0), (0.5, 0.0)])
def test_lambda_return_is_the_weighted_sum_of_the_n_step_returns(gamma, lambda_):
    rewards, values, final = example(0)
    ours = lambda_returns(*map(jnp.asarray, (rewards, values, final)), gamma=gamma, lambda_=lambda_)
    for b in range(BATCH):
        extended = np.append(values[:, b], final[b])
        for t in range(TIME):
            last = TIME - t
            expected = lambda_ ** (last - 1) * n_step(rewards[:, b], extended, t, last, gamma)
            for n in range(1, last):
                expected += (1 - lambda_) * lambda_ ** (n - 1) * n_step(rewards[:, b], extended, t, n, gamma)
            assert ours[t, b] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("gamma", "lambda_"), [(0.9, 0.7), (1.0, 1.0), (0.5, 0.0)])
def test_advantage_is_the_discounted_sum_of_one_step_errors(gamma, lambda_):
    rewards, values, final = example(1)
    ours = generalised_advantages(*map(jnp.asarray, (rewards, values, final)), gamma=gamma, lambda_=lambda_)
    for b in range(BATCH):
        extended = np.append(values[:, b], final[b])
        for t in range(TIME):
            expected = 0.0
            for k in range(t, TIME):
                error = rewards[k, b] + gamma * extended[k + 1] - extended[k]
                expected += (gamma * lambda_) ** (k - t) * error
            assert ours[t, b] == pytest.approx(expected, abs=1e-5)


def test_two_rounds_by_hand():
    rewards, values, final = jnp.array([1.0, 2]), jnp.array([0.5, 4]), jnp.array(8.0)
    # G_1 = 2 + .5 * 8 = 6;  G_0 = 1 + .5 * (.75 * 4 + .25 * 6) = 3.25
    np.testing.assert_allclose(lambda_returns(rewards, values, final, gamma=0.5, lambda_=0.25), [3.25, 6])
    # delta_1 = 2 + 4 - 4 = 2;  delta_0 = 1 + 2 - .5 = 2.5;  A_0 = 2.5 + .125 * 2
    np.testing.assert_allclose(generalised_advantages(rewards, values, final, gamma=0.5, lambda_=0.25), [2.75, 2])
