"""What falls against its closed form, and Adam's steps by hand in plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.learning import optimisation
from coplayer.learning.optimisation import BoundedAdamWSettings, LossSettings, OptimiserSettings, falling, rate_in_phase


def test_schedules_by_hand():
    linear, cosine = (falling(0.2, 0.1, 100, shape) for shape in ("linear", "cosine"))
    for iteration, expected in ((0, 0.2), (50, 0.11), (100, 0.02), (1000, 0.02)):
        assert float(linear(jnp.asarray(iteration))) == pytest.approx(expected)
        assert float(cosine(jnp.asarray(iteration))) == pytest.approx(expected)
    assert float(linear(jnp.asarray(25))) == pytest.approx(0.155)
    later = falling(0.2, 0.1, 100, "linear", 50)
    assert [float(later(jnp.asarray(at))) for at in (0, 50, 75, 150)] == pytest.approx([0.2, 0.2, 0.155, 0.02])
    assert float(cosine(jnp.asarray(25))) == pytest.approx(0.02 + 0.18 * (1 + np.sqrt(0.5)) / 2)


def test_rate_in_a_phase_falls_by_a_cosine_from_end_to_end():
    rate = lambda end, at: float(rate_in_phase(BoundedAdamWSettings(0.2, learning_rate_end=end), jnp.asarray(at)))  # noqa: E731
    # .2 * (.25 + .75 * (1 + cos(pi p)) / 2)
    np.testing.assert_allclose([rate(0.25, p) for p in (0.0, 1 / 3, 0.5, 1.0)], [0.2, 0.1625, 0.125, 0.05], rtol=1e-6)
    assert rate(1.0, 0.4) == pytest.approx(0.2)


def closed_form(start, end, count, shape, begin, iteration):
    done = min(max((iteration - begin) / count, 0.0), 1.0)
    left = 1 - done if shape == "linear" else (1 + np.cos(np.pi * done)) / 2
    return start * (end + (1 - end) * left)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
@pytest.mark.parametrize(("start", "end", "count", "begin"), [(3.0, 0.25, 7, 0), (3.0, 0.0, 7, 5), (0.5, 1.0, 1, 2)])
def test_what_falls_has_its_closed_form_in_every_iteration(shape, start, end, count, begin):
    found = jax.jit(jax.vmap(falling(start, end, count, shape, begin)))(jnp.arange(20))
    expected = [closed_form(start, end, count, shape, begin, iteration) for iteration in range(20)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
@pytest.mark.parametrize(("begin", "count", "expected_count"), [(0, 0, 12), (4, 0, 8), (4, 5, 5)])
def test_a_fall_takes_all_iterations_that_are_left_unless_it_is_told_otherwise(shape, begin, count, expected_count):
    """Rate and entropy coefficient alike, each by its own settings."""
    optimiser = OptimiserSettings(
        learning_rate=0.4,
        learning_rate_end=0.1,
        learning_rate_from=begin,
        learning_rate_iterations=count,
        annealing=shape,
    )
    loss = LossSettings(entropy_coefficient=0.2, entropy_end=0.5, entropy_from=begin, entropy_iterations=count)
    at = jnp.arange(13)
    rates = jax.vmap(optimisation.learning_rate(optimiser, 12))(at)
    coefficients = jax.vmap(optimisation.entropy_coefficient(loss, shape, 12))(at)
    for found, start, end in ((rates, 0.4, 0.1), (coefficients, 0.2, 0.5)):
        expected = [closed_form(start, end, expected_count, shape, begin, iteration) for iteration in range(13)]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("bound", [0.5, 100.0])
@pytest.mark.parametrize("rule", optimisation.UPDATE_RULES)
def test_steps_by_hand(rule, bound):
    """Three gradients: each is bounded in the norm of all leaves together, then the rule's step, then the rate."""
    rng = np.random.default_rng(0)
    model = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=4)}
    gradients = [{name: rng.normal(size=leaf.shape) for name, leaf in model.items()} for _ in range(3)]
    transform = optimisation.bounded(OptimiserSettings(max_gradient_norm=bound, update_rule=rule))
    ours = jax.tree.map(jnp.asarray, model)
    state = transform.init(ours)
    expected = {name: leaf.copy() for name, leaf in model.items()}
    first, second = ({name: np.zeros(leaf.shape) for name, leaf in model.items()} for _ in range(2))
    for time, (gradient, rate) in enumerate(zip(gradients, (0.1, 0.05, 0.02), strict=True), start=1):
        steps, state = transform.update(jax.tree.map(jnp.asarray, gradient), state, ours)
        ours = optimisation.descend(ours, steps, rate)
        norm = np.sqrt(sum((leaf**2).sum() for leaf in gradient.values()))
        assert norm > 0.5
        for name, leaf in gradient.items():
            bounded = leaf * min(1.0, bound / norm)
            first[name] = 0.9 * first[name] + 0.1 * bounded
            second[name] = 0.999 * second[name] + 0.001 * bounded**2
            step = first[name] / (1 - 0.9**time) / (np.sqrt(second[name] / (1 - 0.999**time)) + 1e-5)
            expected[name] = expected[name] - rate * (step if rule == "adam" else bounded)
    for name, leaf in expected.items():
        np.testing.assert_allclose(ours[name], leaf, rtol=1e-4, atol=1e-5)
