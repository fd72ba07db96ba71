"""Populations against closed forms: fixation of a mutant of two types, neutral drift, and the replicator's logistic."""

import itertools

import jax
import numpy as np
import pytest

from coplayer.analysis.populations import fixation_of_a_mutant, moran, replicator
from coplayer.errors import CoplayerError

DILEMMA = np.array([[1.0, -1.0], [2.0, 0.0]])
SNOWDRIFT = np.array([[1.0, 0.5], [1.5, 0.0]])
RUNS = 4000


def by_products(payoffs, size, intensity):
    """The closed form term by term, as it is printed."""
    total = 1.0
    for k in range(1, size):
        product = 1.0
        for i in range(1, k + 1):
            f = np.exp(intensity * (payoffs[0, 0] * (i - 1) + payoffs[0, 1] * (size - i)) / (size - 1))
            g = np.exp(intensity * (payoffs[1, 0] * i + payoffs[1, 1] * (size - i - 1)) / (size - 1))
            product *= g / f
        total += product
    return 1 / total


@pytest.mark.parametrize("payoffs", [DILEMMA, DILEMMA[::-1, ::-1], SNOWDRIFT])
@pytest.mark.parametrize(("size", "intensity"), [(2, 1.0), (5, 0.5), (10, 0.2)])
def test_one_mutant_of_two_types(payoffs, size, intensity):
    expected = by_products(payoffs, size, intensity)
    assert fixation_of_a_mutant(payoffs, size, intensity=intensity) == pytest.approx(expected)
    found = moran(payoffs, np.array([1, size - 1]), jax.random.key(size), runs=RUNS, intensity=intensity)
    assert (found.fixed >= 0).all() and (found.steps >= 1).all()
    error = np.sqrt(expected * (1 - expected) / RUNS)
    assert found.fixation(2)[0] == pytest.approx(expected, abs=4 * error + 1e-9)


def by_enumeration(payoffs, counts, intensity):
    """Fixation of each type, and the mean number of steps, from the chain over all populations of this size."""
    size, types = sum(counts), len(counts)
    states = [state for state in itertools.product(range(size + 1), repeat=types) if sum(state) == size]
    moves = np.zeros((len(states), len(states)))
    for at, state in enumerate(states):
        fitness = [
            sum(payoffs[i, j] * (state[j] - (i == j)) for j in range(types)) * intensity / (size - 1)
            for i in range(types)
        ]
        births = np.array([count * np.exp(value) for count, value in zip(state, fitness, strict=True)])
        for born, died in itertools.product(range(types), repeat=2):
            following = list(state)
            following[born] += 1
            following[died] -= 1
            chance = births[born] / births.sum() * state[died] / size
            if chance:
                moves[at, states.index(tuple(following))] += chance
    alone = [states.index(tuple(size * (i == j) for j in range(types))) for i in range(types)]
    mixed = [at for at in range(len(states)) if at not in alone]
    visits = np.linalg.inv(np.eye(len(mixed)) - moves[np.ix_(mixed, mixed)])[mixed.index(states.index(tuple(counts)))]
    return visits @ moves[np.ix_(mixed, alone)], visits.sum()


def test_three_types_by_enumeration_of_all_populations():
    payoffs, counts = np.array([[0.0, 1.0, -1.0], [-1.0, 0.5, 2.0], [1.5, -0.5, 0.0]]), (2, 1, 3)
    fixation, steps = by_enumeration(payoffs, counts, 0.7)
    found = moran(payoffs, np.array(counts), jax.random.key(1), runs=RUNS, intensity=0.7)
    np.testing.assert_allclose(found.fixation(3), fixation, atol=4 * np.sqrt(0.25 / RUNS))
    assert found.steps.mean() == pytest.approx(steps, abs=4 * found.steps.std() / np.sqrt(RUNS))


def test_without_selection_a_type_takes_over_as_often_as_it_is_there():
    counts = np.array([1, 2, 5])
    found = moran(np.arange(9.0).reshape(3, 3), counts, jax.random.key(0), runs=RUNS, intensity=0.0)
    np.testing.assert_allclose(found.fixation(3), counts / 8, atol=4 * np.sqrt(0.25 / RUNS))


def test_who_is_alone_has_taken_over_and_who_has_no_time_has_not():
    alone = moran(DILEMMA, np.array([0, 4]), jax.random.key(0), runs=3)
    assert (alone.fixed == 1).all() and (alone.steps == 0).all()
    cut = moran(DILEMMA, np.array([50, 50]), jax.random.key(0), runs=3, most_steps=5)
    assert (cut.fixed == -1).all() and (cut.steps == 5).all() and cut.fixation(2).sum() == 0


def test_the_replicator_of_two_types_whose_lead_is_constant_is_logistic():
    times, shares = replicator(np.array([[2.0, 2.0], [1.0, 1.0]]), np.array([0.1, 0.9]), time=8.0, points=50)
    expected = 1 / (1 + 9 * np.exp(-times))
    np.testing.assert_allclose(shares[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)


def test_the_replicator_comes_to_the_mixture_at_which_both_earn_alike():
    _, shares = replicator(SNOWDRIFT, np.array([0.9, 0.1]), time=200.0)
    np.testing.assert_allclose(shares[-1], [0.5, 0.5], atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moran(np.ones((2, 3)), np.array([1, 1]), jax.random.key(0)), "payoffs: must be a square table"),
        (lambda: moran(DILEMMA, np.array([1, 1, 1]), jax.random.key(0)), "counts: needs 2 whole numbers"),
        (lambda: moran(DILEMMA, np.array([1, 0]), jax.random.key(0)), "counts: needs at least two players"),
        (lambda: moran(DILEMMA, np.array([1, 1]), jax.random.key(0), intensity=-1.0), "intensity: must be at least 0"),
        (lambda: replicator(DILEMMA, np.array([0.5, 0.6]), time=1.0), "shares: needs 2 numbers"),
        (lambda: replicator(DILEMMA, np.array([0.5, 0.5]), time=0.0), "time: must be above 0"),
        (lambda: fixation_of_a_mutant(np.eye(3), 4), "payoffs: needs two types, got 3"),
        (lambda: fixation_of_a_mutant(np.eye(2), 4, intensity=np.nan), "intensity: must be finite, got nan"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(CoplayerError, match=message):
        call()
