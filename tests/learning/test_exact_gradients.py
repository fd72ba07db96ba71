"""Exact methods against finite differences and against their formulas on full Hessians, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.experiments.exact_ipd import values_of
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.learning.exact_gradients import (
    lola,
    lookahead,
    mixture,
    naive,
    naive_learning,
    rescaled,
    shaping,
    sos,
    swapped,
)

LOPSIDED = MatrixGame([[[1.0, -1.0], [2.0, 0.0]], [[0.5, -2.0], [1.5, 0.3]]])


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def setting(seed=0, game=LOPSIDED):
    draws = np.random.default_rng(seed)
    values = values_of(game, 0.9)
    return values, *(jnp.asarray(draws.normal(size=5)) for _ in range(2))


def finite_differences(function, x, step=1e-6):
    moves = step * np.eye(len(x))
    return np.array([(float(function(x + m)) - float(function(x - m))) / (2 * step) for m in moves])


def naive_step(values, own, other, rate):
    """The co-player's step, its gradient by finite differences."""
    return other + rate * finite_differences(lambda y: values(own, y)[1], other)


def test_naive_is_the_gradient_of_ones_own_value():
    values, own, other = setting()
    np.testing.assert_allclose(
        naive(values, own, other), finite_differences(lambda x: values(x, other)[0], own), atol=1e-8
    )


def test_the_other_seat():
    values, own, other = setting()
    np.testing.assert_allclose(
        naive(swapped(values), other, own), finite_differences(lambda y: values(own, y)[1], other), atol=1e-8
    )


def test_naive_learning_step_by_step():
    values, own, other = setting(1)
    history, last = naive_learning(values, own, other, steps=3, rate=2.0)
    learner = other
    for row in np.asarray(history):
        np.testing.assert_allclose(row, values(own, learner), atol=1e-7)
        learner = naive_step(values, own, learner, 2.0)
    np.testing.assert_allclose(last, learner, atol=1e-7)
    assert history.shape == (3, 2)


def test_shaping_is_the_gradient_of_the_mean_over_the_learners_episodes():
    values, own, other = setting(2)

    def mean_value(own):
        return naive_learning(values, own, other, steps=4, rate=2.0)[0][:, 0].mean()

    found = shaping(values, own, other, steps=4, rate=2.0)
    np.testing.assert_allclose(found, finite_differences(mean_value, own), atol=1e-7)
    assert np.abs(found - naive(values, own, other)).max() > 1e-3


def test_lookahead_of_several_steps_against_finite_differences():
    values, own, other = setting(3)

    def ahead(own):
        return values(own, naive_learning(values, own, other, steps=3, rate=2.0)[1])[0]

    found = lookahead(values, own, other, steps=3, rate=2.0)
    np.testing.assert_allclose(found, finite_differences(ahead, own), atol=1e-7)


def hessian(values, player, own, other):
    """d^2 V_player / d own d other, rows own."""
    return np.asarray(jax.jacfwd(jax.grad(lambda x, y: values(x, y)[player], 0), 1)(own, other))


def gradient(values, player, which, own, other):
    return np.asarray(jax.grad(lambda x, y: values(x, y)[player], which)(own, other))


def test_one_lookahead_against_the_closed_form_of_second_order():
    """d/dx V_1(x, y + rate g(x)) = d_x V_1 + rate (d_x d_y V_2) d_y V_1, the first derivatives after the step."""
    values, own, other = setting(4)
    stepped = other + 1.5 * gradient(values, 1, 1, own, other)
    closed = gradient(values, 0, 0, own, stepped) + 1.5 * hessian(values, 1, own, other) @ gradient(
        values, 0, 1, own, stepped
    )
    np.testing.assert_allclose(lookahead(values, own, other, steps=1, rate=1.5), closed, atol=1e-12)


def test_lola_against_its_formula():
    values, own, other = setting(5)
    closed = gradient(values, 0, 0, own, other) + 0.7 * hessian(values, 1, own, other) @ gradient(
        values, 0, 1, own, other
    )
    np.testing.assert_allclose(lola(values, own, other, rate=0.7), closed, atol=1e-12)


def gradients_and_hessians(values, own, other):
    """Gradients [player, 10] and Hessians [player, 10, 10] of both players' losses in all parameters."""

    def gradients(z):
        losses = [lambda z, i=i: -values(z[:5], z[5:])[i] for i in range(2)]
        return jnp.stack([jax.grad(loss)(z) for loss in losses])

    z = jnp.concatenate([own, other])
    return gradients(z), jax.jacobian(gradients)(z)


def by_hand_direction(parts, rate):
    """Both players' direction by the published formulas, in losses. The parts are xi, the off-diagonal Hessian H_o, and
    chi = diag(H_o^T grad L). Last comes p by two criteria, which are returned beside.
    """
    first, (full_1, full_2) = (np.asarray(part) for part in parts)
    xi = np.concatenate([first[0, :5], first[1, 5:]])
    h_o = np.zeros((10, 10))
    h_o[:5, 5:], h_o[5:, :5] = full_1[:5, 5:], full_2[5:, :5]
    xi_0 = xi - rate * h_o @ xi
    chi = np.concatenate([h_o[5:, :5].T @ first[0, 5:], h_o[:5, 5:].T @ first[1, :5]])
    along = (-rate * chi) @ xi_0
    p_1 = 1.0 if along >= 0 else min(1.0, -0.5 * (xi_0 @ xi_0) / along)
    p_2 = xi @ xi if np.linalg.norm(xi) < 0.1 else 1.0
    return -(xi_0 - min(p_1, p_2) * rate * chi), p_1, p_2


def test_sos_against_its_formula_on_the_full_hessian():
    """Among many games, some where shaping is cut back by the first criterion, by the second, and not at all."""
    values, rate = values_of(prisoners_dilemma(), 0.9), 100.0
    draws = np.random.default_rng(0)
    own, other = (jnp.asarray(2 * draws.normal(size=(5, 400))) for _ in range(2))
    first = np.asarray(sos(values, own, other, rate=rate))
    second = np.asarray(sos(swapped(values), other, own, rate=rate))
    by_hand = jax.jit(partial(gradients_and_hessians, values))
    kinds = set()
    for k in range(400):
        direction, p_1, p_2 = by_hand_direction(by_hand(own[:, k], other[:, k]), rate)
        np.testing.assert_allclose(np.concatenate([first[:, k], second[:, k]]), direction, atol=1e-9)
        kinds.add((p_1 < 1 and p_1 < p_2, p_2 < 1 and p_2 < p_1))
    assert kinds == {(True, False), (False, True), (False, False)}


def test_a_mixture_is_the_weighted_sum():
    values, own, other = setting(6)
    ahead = partial(lookahead, steps=2, rate=1.0)
    mixed = mixture((0.4, ahead), (0.6, naive))(values, own, other)
    np.testing.assert_allclose(mixed, 0.4 * ahead(values, own, other) + 0.6 * naive(values, own, other), atol=1e-14)


def test_in_other_units_a_step_size_goes_with_the_inverse():
    values, own, other = setting(8)
    plain = lola(values, own, other, rate=3.0)
    np.testing.assert_allclose(rescaled(partial(lola, rate=0.3), 10.0)(values, own, other), 10 * plain, rtol=1e-10)
    near, far = (rescaled(partial(sos, rate=0.3), factor)(values, own, other) / factor for factor in (10.0, 0.01))
    assert np.abs(near - far).max() > 1e-6  # sos has a radius, in the values' units


@pytest.mark.parametrize(
    "method",
    [
        naive,
        partial(lookahead, steps=2, rate=1.0),
        partial(shaping, steps=2, rate=1.0),
        pytest.param(partial(lola, rate=1.0), marks=pytest.mark.long),  # sos has lola's terms
        partial(sos, rate=1.0),
    ],
)
def test_the_games_of_a_batch_are_independent(method):
    values = values_of(prisoners_dilemma(), 0.95)
    draws = np.random.default_rng(7)
    own, other = (jnp.asarray(draws.normal(size=(5, 3, 2))) for _ in range(2))
    together = method(values, own, other)
    for index in np.ndindex(3, 2):
        alone = method(values, own[:, *index], other[:, *index])
        np.testing.assert_allclose(together[:, *index], alone, atol=1e-12)
